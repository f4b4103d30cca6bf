"""The books that are open in a run over several, and how each of them ends: rendered, left out, or stopped."""

import logging
import traceback
from collections.abc import Callable

from maya_batch.errors import (
    EXIT_STOPPED,
    GpuLostError,
    MayaBatchError,
    StoppedError,
    exit_code_of,
    first_line,
    is_of_a_signal,
)
from maya_batch.run.shelf_book import OpenBook
from maya_batch.run.shelf_queue import ShelfQueue
from maya_batch.run.shelf_result import ShelfBook, ShelfResult
from maya_batch.wording import bug

log = logging.getLogger(__name__)


class OpenBooks:
    """The open books, in the order given. A book that fails is left out, and the others go on without it."""

    def __init__(self, queue: ShelfQueue, result: ShelfResult, count_engine: Callable[[OpenBook], None]) -> None:
        """`count_engine` adds what the engine did to the result of a book that ends."""
        self._queue, self._result, self._count_engine = queue, result, count_engine
        self.all: list[OpenBook] = []
        """The last one may wait for the next batch."""

    def running(self) -> list[OpenBook]:
        """Those whose takes are being generated."""
        return [book for book in self.all if book.takes is not None]

    def next(self) -> OpenBook | None:
        """Open the next book that is waiting; None if it is left out."""
        entry, book = self._queue.waiting[0], None
        try:
            book = self._queue.opened(entry)
        except Exception as error:
            self._leave_out(entry, error)
        else:
            self.all.append(book)
        self._queue.waiting.popleft()
        return book

    def close_done(self) -> None:
        """Close those whose takes are settled."""
        for book in self.running():
            if book.done:
                self.close(book)

    def close(self, book: OpenBook) -> None:
        """Close a book that is rendered."""
        self._count_engine(book)
        try:
            book.close()
            self._closed(book)
        except Exception as error:
            self._closed(book)
            self._leave_out(book.entry, error)
            return
        book.entry.finished(book.run.result)
        log.info("%s: %s", book.entry.title, book.entry.state)

    def fail(self, book: OpenBook, error: Exception) -> None:
        """Close a book that cannot be rendered.

        Raises:
            The error, if it ends the whole run.
        """
        self._count_engine(book)
        failure = book.abandon(error)
        self._closed(book)
        self._leave_out(book.entry, failure)

    def abandon(self, error: BaseException) -> BaseException:
        """Close all because of this error; returns the one that ends the run."""
        failure = error
        for book in self.all:
            book.end_early()
        for book in self.all:
            self._count_engine(book)
            ended = book.abandon(error)
            self._result.count(book.run.result)
            book.entry.stopped(ended)
            if exit_code_of(failure) == EXIT_STOPPED:
                failure = ended
        return failure

    def _closed(self, book: OpenBook) -> None:
        self.all.remove(book)
        self._result.count(book.run.result)

    def _leave_out(self, entry: ShelfBook, error: BaseException) -> None:
        """The other books go on without this one; what ends the whole run is raised."""
        if _ends_all(error):
            entry.stopped(error)
            raise error
        entry.left_out(error)
        if not isinstance(error, MayaBatchError | OSError):
            for line in "".join(traceback.format_exception(error)).splitlines():
                log.error("%s", line)
            log.error("%s: %s", entry.title or entry.manifest, bug(first_line(error)))
            return
        for line in error.lines() if isinstance(error, MayaBatchError) else [str(error)]:
            log.error("%s", line)
        if error.__cause__ is not None:
            log.debug("%s", error, exc_info=error.__cause__)


def _ends_all(error: BaseException) -> bool:
    """Whether an error is of the machine or of a person, and not of one book. What PyTorch raises may be of the GPU."""
    of_the_machine = isinstance(error, GpuLostError | StoppedError | RuntimeError | MemoryError)
    return of_the_machine or not isinstance(error, Exception) or is_of_a_signal(error)
