"""What became of each book of a run over several."""

from dataclasses import dataclass, field
from pathlib import Path

from maya_batch.book.report_files import PAGE_NAME
from maya_batch.errors import (
    EXIT_BUSY,
    EXIT_ENVIRONMENT,
    EXIT_PROBLEMS,
    EXIT_STOPPED,
    EXIT_USAGE,
    EXIT_WHOLE,
    exit_code_of,
)
from maya_batch.messages.plural import plural
from maya_batch.run.result import RunResult
from maya_batch.wording import SAVED, incomplete, problems_recorded

#: From the worst to the best: what a person or another machine must see to, what the same command goes on with, books
#: that were left out, and books to listen to. Codes that are not listed, like that of a bug, are worse.
_WORST_FIRST = (EXIT_ENVIRONMENT, EXIT_STOPPED, EXIT_USAGE, EXIT_BUSY, EXIT_PROBLEMS, EXIT_WHOLE)


@dataclass
class ShelfBook:
    """A book of the command line, and what became of it."""

    manifest: Path
    number: int
    """Its place on the command line, from 1."""
    title: str = ""
    """Empty where the manifest was not read, or has mistakes."""
    folder: Path | None = None
    """The output folder, once it is known."""
    exit_code: int | None = None
    """As if it had been the only book; None while it is not begun."""
    state: str = "not begun"
    """In words."""

    def left_out(self, error: BaseException) -> None:
        """The book ended with this error; the others go on."""
        self.exit_code = exit_code_of(error)
        words = {EXIT_USAGE: "left out because of mistakes", EXIT_BUSY: "left out, because another run has locked it"}
        self.state = words.get(self.exit_code, "failed")

    def stopped(self, error: BaseException) -> None:
        """The whole run ended with this error while the book was open."""
        self.exit_code = exit_code_of(error)
        self.state = f"stopped; {SAVED}"

    def finished(self, result: RunResult) -> None:
        """The book is rendered, as far as its chunks allow."""
        self.exit_code = result.exit_code
        self.state = "whole"
        if result.problems:
            self.state = problems_recorded(plural(len(result.problems), "problem"))
        if result.incomplete:
            self.state = incomplete(plural(len(result.incomplete), "chapter"))

    @property
    def page(self) -> Path | None:
        """The path of report.html, where the folder is known."""
        return None if self.folder is None else self.folder / PAGE_NAME


@dataclass
class ShelfResult:
    """What a run over several books did. A book without an exit code was not begun."""

    books: list[ShelfBook] = field(default_factory=list)
    chunks: int = 0
    """Chunks that were rendered, of all books."""
    speech: float = 0.0
    """Seconds of speech in their takes."""
    retries: int = 0
    seconds: float = 0.0
    """How long the run took."""

    def count(self, result: RunResult) -> None:
        """Add what was done for one book."""
        self.chunks += result.chunks
        self.speech += result.speech
        self.retries += result.retries

    @property
    def worst(self) -> ShelfBook | None:
        """The first of the books with the worst exit code; None if no book was begun."""
        return min((book for book in self.books if book.exit_code is not None), key=_rank, default=None)

    @property
    def exit_code(self) -> int:
        """That of the worst book; a book that was not begun counts as stopped."""
        codes = [EXIT_STOPPED if book.exit_code is None else book.exit_code for book in self.books]
        return min(codes, key=_code_rank)


def _rank(book: ShelfBook) -> int:
    return _code_rank(EXIT_STOPPED if book.exit_code is None else book.exit_code)


def _code_rank(code: int) -> int:
    return _WORST_FIRST.index(code) if code in _WORST_FIRST else -1
