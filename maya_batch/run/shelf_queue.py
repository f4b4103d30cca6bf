"""The books of a run over several that are not open yet, in the order given; each is planned when its turn comes."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeAlias

from maya_batch.book.plan import Plan
from maya_batch.errors import UsageError
from maya_batch.manifest import output_folder
from maya_batch.run.book_run import BookRun
from maya_batch.run.progress import ProgressListener
from maya_batch.run.shelf_book import OpenBook, logged_run
from maya_batch.run.shelf_progress import BookProgress
from maya_batch.run.shelf_result import ShelfBook

log = logging.getLogger(__name__)

Opener: TypeAlias = Callable[[Plan, ProgressListener], AbstractContextManager[BookRun]]
"""Opens the folder of a book for a run."""


class ShelfQueue:
    """Manifests, and the folders that those before them write to."""

    def __init__(
        self, manifests: Sequence[Path], plan: Callable[[Path], Plan], opener: Opener, progress: ProgressListener
    ) -> None:
        """`plan` plans a manifest. Of one that is named twice, the first place counts."""
        self._plan, self._opener, self._progress = plan, opener, progress
        self.books: list[ShelfBook] = []
        """All of them."""
        places: dict[Path, Path] = {}
        for manifest in manifests:
            if places.setdefault(manifest.resolve(), manifest) is not manifest:
                log.info("%s is named twice; it is rendered once", manifest)
                continue
            self.books.append(ShelfBook(manifest, len(self.books) + 1))
        self.waiting = deque(self.books)
        self._folders: dict[Path, Path] = {}
        """Manifests by output folder."""

    def opened(self, entry: ShelfBook) -> OpenBook:
        """A book, ready to be rendered.

        Raises:
            UsageError: its output folder is that of an earlier book; or as `opened_book` and `plan`.
        """
        plan = self._plan(entry.manifest)
        entry.title, entry.folder = plan.book.title, output_folder(plan.manuscript)
        self._refuse_shared_folder(entry, entry.folder)
        exits = ExitStack()
        progress = BookProgress(self._progress, entry.title, entry.number, len(self.books))
        run = exits.enter_context(logged_run(self._opener(plan, progress), entry.folder))
        # Only now: a book that is refused there does not keep out the one that the folder belongs to.
        self._folders[entry.folder.resolve()] = entry.manifest
        return OpenBook(entry, run, exits)

    def _refuse_shared_folder(self, entry: ShelfBook, folder: Path) -> None:
        other = self._folders.get(folder.resolve())
        if other is not None:
            raise UsageError(
                f"{entry.manifest}: its output folder {folder} is that of {other}; set another output.folder in one of "
                "them"
            )
