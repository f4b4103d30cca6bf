"""Several books of one model for a run over all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.manifest import Render
from maya_batch.run.render import render_book
from maya_batch.run.shelf import ShelfRun
from tests.support.fakes import Events, TinyBook

UNHEARD = Machine(verify="off")


@dataclass
class Shelf:
    """Books next to each other, in the order they were written."""

    tiny: TinyBook
    books: list[Path] = field(default_factory=list)

    def add(self, name: str, chapters: Mapping[str, Sequence[str]], /, **more: object) -> Path:
        """Write a book; its title is its name, its folder of the same name."""
        path = self.tiny.write(chapters, title=name, **more).rename(self.tiny.folder / f"{name}.yaml")
        self.books.append(path)
        return path

    def run(self, books: Sequence[Path] | None = None, machine: Machine = UNHEARD, **more: Any) -> ShelfRun:
        """A run over these books, or all, that was not started."""
        plan: Callable[[Path], Any] = lambda path: make_plan(path, Render())  # noqa: E731
        settings: dict[str, Any] = {"progress": Events(), "loaders": self.tiny.loaders} | more
        return ShelfRun(self.books if books is None else books, plan, machine, **settings)

    def alone(self, book: Path, folder: str = "alone") -> dict[str, bytes]:
        """The files of a book that is rendered by itself, into another folder."""
        output = self.tiny.folder / folder / book.stem
        render_book(make_plan(book, Render()), UNHEARD, Events(), output, loaders=self.tiny.loaders)
        return files(output)

    def state(self, book: Path) -> BookState:
        """What is on the disk of a book."""
        return book_state(make_plan(book, Render()), UNHEARD)


def files(folder: Path) -> dict[str, bytes]:
    """The audio and the takes in a book's folder, by name."""
    found = [*folder.glob("*.wav"), *(folder / ".maya" / "takes").rglob("*.npz")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
