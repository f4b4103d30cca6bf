"""Progress of a run: the calls that a listener gets, and a listener that logs a line a minute."""

import logging
import time
from pathlib import Path

from maya_batch.messages.plural import plural

log = logging.getLogger(__name__)

_EVERY = 60.0  # seconds between two lines in the log


class ProgressListener:
    """Counts how a run progresses. Subclasses show it; all calls come on the thread that called `render_book`."""

    def __init__(self) -> None:
        self.total = self.waiting = self.done = self.unexamined = self.examined_takes = 0
        """Chunks in the book, chunks to render, those rendered; takes of earlier runs to examine, those examined."""
        self.joins = self.joined_chunks = 0
        """Chunks of the chapters that are written, and those joined to them."""
        self.speech = 0.0
        """Seconds of speech rendered."""
        self.started = time.monotonic()

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """The run starts: chunks in the book, chunks to render, and takes of earlier runs to examine."""
        self.total, self.waiting, self.unexamined = chunks, waiting, unexamined
        self.started = time.monotonic()

    def book_begun(self, title: str, number: int, books: int, chunks: int, waiting: int, unexamined: int) -> None:
        """A book of a run over several starts: its number from 1, their number, and as for `begun`, its chunks."""
        if not self.total:
            self.started = time.monotonic()
        self.total += chunks
        self.waiting += waiting
        self.unexamined += unexamined

    def expected(self, chunks: int) -> None:
        """More chunks are to be rendered than was known."""
        self.waiting += chunks

    def tick(self) -> None:
        """Time has passed."""

    def rendered(self, chunks: int, seconds: float) -> None:
        """Chunks have their take, with these seconds of speech."""
        self.done += chunks
        self.speech += seconds

    def examined(self) -> None:
        """A chunk's take from an earlier run is examined, and needs no retry."""
        self.examined_takes += 1

    def joining(self, chunks: int) -> None:
        """The chapters that are written next have these chunks; their takes are stored."""
        self.joins, self.joined_chunks = chunks, 0

    def joined(self) -> None:
        """One of these chunks was decoded and joined to its chapter."""
        self.joined_chunks += 1

    def published(self, path: Path, seconds: float) -> None:
        """A chapter file was written, with these seconds of audio."""

    def close(self) -> None:
        """The run has ended."""

    @property
    def speed(self) -> float:
        """Seconds of speech a second in this run."""
        return self.speech / max(time.monotonic() - self.started, 1e-3)


class LogProgress(ProgressListener):
    """Logs a line a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said = time.monotonic()

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """Log how much there is to do."""
        super().begun(chunks, waiting, unexamined)
        if waiting:
            log.info("%d of %s to render", waiting, plural(chunks, "chunk"))

    def book_begun(self, title: str, number: int, books: int, chunks: int, waiting: int, unexamined: int) -> None:
        """Log which book it is, and how much there is to do."""
        super().book_begun(title, number, books, chunks, waiting, unexamined)
        if waiting:
            log.info("book %d of %d, %d of %s to render", number, books, waiting, plural(chunks, "chunk"))

    def tick(self) -> None:
        """Log the progress, once a minute."""
        if time.monotonic() - self._said < _EVERY:
            return
        self._said = time.monotonic()
        if self.joins:
            log.info("%d of %s joined to chapters", self.joined_chunks, plural(self.joins, "chunk"))
            return
        if self.examined_takes < self.unexamined and not self.done:
            log.info("%d of %s examined", self.examined_takes, plural(self.unexamined, "take"))
            return
        spent = self._said - self.started
        left = f"{spent / self.done * (self.waiting - self.done) / 60:.0f} min left" if self.done else "first batch"
        chunks = plural(self.waiting, "chunk")
        log.info("%d of %s, %.1fx real time, %s", self.done, chunks, self.speed, left)

    def rendered(self, chunks: int, seconds: float) -> None:
        """Count, and log if a minute has passed."""
        super().rendered(chunks, seconds)
        self.tick()

    def published(self, path: Path, seconds: float) -> None:
        """Log the file and its length."""
        log.info("%s  %d:%02d", path, *divmod(round(seconds), 60))
