"""How a run is followed: the calls that a listener gets, and one that writes a line a minute to the log."""

import logging
import time
from pathlib import Path
from typing import Protocol

from maya_batch.messages.plural import plural

log = logging.getLogger(__name__)

_EVERY = 60.0  # seconds between two lines of the log


class ProgressListener(Protocol):
    """Who wants to know how a run goes on."""

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """The book has so many chunks, so many of them to be rendered, and so many takes of earlier runs unexamined."""
        ...

    def expected(self, chunks: int) -> None:
        """So many chunks more are to be rendered than was known."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...

    def rendered(self, chunks: int, seconds: float) -> None:
        """So many chunks more have a take that stays, of so many seconds of speech."""
        ...

    def examined(self) -> None:
        """A chunk whose take an earlier run has made is examined, and is not spoken again."""
        ...

    def published(self, path: Path, seconds: float) -> None:
        """A chapter's file is in its place."""
        ...


class ProgressCount:
    """The counts that every listener shows."""

    def __init__(self) -> None:
        self.total = self.done = self.waiting = self.looked_at = self.unexamined = 0
        self.speech = 0.0
        self.started = time.monotonic()

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """The run starts with so many chunks to go, and takes to look at."""
        self.total, self.waiting, self.done = chunks, waiting, 0
        self.unexamined, self.looked_at = unexamined, 0
        self.started = time.monotonic()

    def expected(self, chunks: int) -> None:
        """So many more are to go."""
        self.waiting += chunks

    def examined(self) -> None:
        """One of the takes was looked at."""
        self.looked_at += 1

    def rendered(self, chunks: int, seconds: float) -> None:
        """So many more are done."""
        self.done += chunks
        self.speech += seconds

    @property
    def speed(self) -> float:
        """Seconds of speech a second, so far in this run."""
        return self.speech / max(time.monotonic() - self.started, 1e-3)


class LogProgress(ProgressCount):
    """One line a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said = time.monotonic()

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """Say what there is to do."""
        super().begun(chunks, waiting, unexamined)
        if waiting:
            log.info("%d of %s to render", waiting, plural(chunks, "chunk"))

    def tick(self) -> None:
        """Say how far it is, once a minute."""
        if time.monotonic() - self._said < _EVERY:
            return
        self._said = time.monotonic()
        if self.looked_at < self.unexamined and not self.done:
            log.info("%d of %s examined", self.looked_at, plural(self.unexamined, "take"))
            return
        spent = self._said - self.started
        left = f"{spent / self.done * (self.waiting - self.done) / 60:.0f} min left" if self.done else "first batch"
        chunks = plural(self.waiting, "chunk")
        log.info("%d of %s, %.1fx real time, %s", self.done, chunks, self.speed, left)

    def rendered(self, chunks: int, seconds: float) -> None:
        """Count on."""
        super().rendered(chunks, seconds)
        self.tick()

    def published(self, path: Path, seconds: float) -> None:
        """Name the file."""
        log.info("%s  %d:%02d", path, *divmod(round(seconds), 60))

    def close(self) -> None:
        """Nothing is open."""
