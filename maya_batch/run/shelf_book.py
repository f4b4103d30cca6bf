"""A book that is open in a run over several: its takes, and its requests for the engine."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from maya_batch.book.chunk import Chunk
from maya_batch.book.output_files import hidden_folder
from maya_batch.book.take_store import Take
from maya_batch.messages.logs import LoggedBook, about, close_book_log
from maya_batch.run.book_run import BookRun
from maya_batch.run.book_takes import BookTakes
from maya_batch.run.pipeline_messages import TakeRequest
from maya_batch.run.shelf_result import ShelfBook

log = logging.getLogger(__name__)


class OpenBook:
    """A book between the opening of its folder and its report."""

    def __init__(self, entry: ShelfBook, run: BookRun, exits: ExitStack) -> None:
        """`entry` is what the summary tells of it; leaving `exits` ends all that is open for it."""
        self.entry, self.run, self._exits = entry, run, exits
        self.takes: BookTakes | None = None
        """Once it runs in a batch."""
        self._requests: list[TakeRequest] = []
        """Those that the engine does not have yet."""
        self._asked: set[str] = set()
        """Keys of those that it has."""
        self._known: set[str] = set()
        """Keys of all that it had."""
        self._logged = LoggedBook(entry.title, hidden_folder(run.state.folder))

    def about(self) -> AbstractContextManager[None]:
        """Inside, messages are about this book."""
        return about(self._logged)

    def begin(self, takes: BookTakes) -> None:
        """Examine the stored takes, and find out the requests."""
        self.takes = self._exits.enter_context(takes)
        takes.examine()
        self._requests = takes.begin(whole=True)

    def requests_left(self) -> list["ShelfRequest"]:
        """The requests that the engine does not have yet, to be given to it; also retries of an earlier run's takes."""
        given, self._requests = [*self._requests, *self._opened.retries()], []
        return self._given(given)

    def retries(self) -> list["ShelfRequest"]:
        """The retries of takes that the engine has generated, to be given to it."""
        return self._given(self._opened.retries(self._known))

    def drain(self) -> None:
        """Wait until all takes are processed."""
        self._requests += self._opened.drain()

    def read(self) -> None:
        """Read the news of the other owners; raises an error of one of them."""
        self._opened.pipeline.read()

    def count(self, seconds: float) -> None:
        """Add this time to what the engine took for the book."""
        self._opened.pipeline.times.add("model", seconds)

    def keep(self, takes: list[Take]) -> None:
        """Take what the engine has generated."""
        self._asked -= {take.key for take in takes}
        with self.about():
            self._opened.keep(takes)

    def store_only(self, takes: list[Take]) -> None:
        """Store what the engine has generated: the run ends."""
        with self.about():
            self._opened.store_only(takes)

    @property
    def done(self) -> bool:
        """Whether all its takes are settled."""
        return not self._requests and not self._asked and self._opened.settled

    def close(self) -> None:
        """Write what is left of its files, and its report.

        Raises:
            UsageError, MachineError: a file cannot be written.
        """
        with self.about():
            self._exits.close()

    def end_early(self) -> None:
        """The run ends: what is in work is stored only."""
        if self.takes is not None:
            self.takes.pipeline.end_early()

    def _given(self, requests: list[TakeRequest]) -> list["ShelfRequest"]:
        keys = {request.key for request in requests}
        self._asked |= keys
        self._known |= keys
        return [ShelfRequest(self, request) for request in requests]

    @property
    def _opened(self) -> BookTakes:
        if self.takes is None:
            raise ValueError(f"{self.entry.title} does not run in a batch yet")
        return self.takes

    def abandon(self, error: BaseException) -> BaseException:
        """End all that is open because of this error, and write the report; returns the error to raise."""
        with self.about():
            try:
                self._exits.__exit__(type(error), error, error.__traceback__)
            except BaseException as failure:
                return failure
        return error


@dataclass(frozen=True)
class ShelfRequest:
    """A take to generate, and its book."""

    book: OpenBook
    request: TakeRequest

    @property
    def chunk(self) -> Chunk:
        """The chunk that is spoken."""
        return self.request.chunk

    @property
    def name(self) -> str:
        """What the engine calls it: two books may have chunks of the same key."""
        return f"{self.request.key} {self.book.entry.number}"


@contextmanager
def logged_run(opened: AbstractContextManager[BookRun], folder: Path) -> Iterator[BookRun]:
    """A run in an output folder that is being opened; as other books follow, its log is closed after its end, also if
    it cannot be opened, and its waveforms are dropped.
    """
    run: BookRun | None = None
    try:
        with opened as run:
            yield run
    finally:
        close_book_log(hidden_folder(folder))
        if run is not None:
            run.waveforms.clear()


def keep_together(made: Sequence[tuple[OpenBook, list[Take]]]) -> None:
    """Take what has ended together. What goes wrong with one book's takes must not lose those of the next."""
    for at, (book, takes) in enumerate(made):
        try:
            book.keep(takes)
        except BaseException:
            for other, left in made[at + 1 :]:
                try:
                    other.store_only(left)
                except Exception as error:  # the first one ends the run
                    log.error("%s: %s", other.entry.title, error)
            raise
