"""How a run is followed: a bar on a terminal, else a line a minute on the log."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from maya_batch.counted import counted

log = logging.getLogger(__name__)

_EVERY = 60.0  # seconds between two lines of the log
_REDRAWN = 1.0  # seconds between two drawings of the bar while nothing is finished


class _Count:
    """What all ways of following count."""

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


class TerminalWatcher(_Count):
    """A tqdm bar on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm[Any] | None = None
        self._drawn = 0.0

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """Draw the bar; chunks rendered earlier count as done."""
        super().begun(chunks, waiting, unexamined)
        self._draw()

    def expected(self, chunks: int) -> None:
        """Move the bar back."""
        super().expected(chunks)
        if self._bar is None:
            self._draw()
        else:
            self._bar.update(-chunks)

    def tick(self) -> None:
        """Redraw the time."""
        if self._bar is not None and time.monotonic() - self._drawn > _REDRAWN:
            self._drawn = time.monotonic()
            self._bar.refresh()

    def rendered(self, chunks: int, seconds: float) -> None:
        """Move the bar on."""
        super().rendered(chunks, seconds)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self.speed:.1f}x real time", refresh=False)
            self._bar.update(chunks)

    def published(self, path: Path, seconds: float) -> None:
        """Name the file."""
        log.info("%s  %d:%02d", path, *divmod(round(seconds), 60))

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _draw(self) -> None:
        if self.waiting:
            done = self.total - self.waiting + self.done
            self._bar = tqdm(total=self.total, initial=done, unit="chunk", file=sys.stderr, leave=False)


class LogWatcher(_Count):
    """One line a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said = time.monotonic()

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """Say what there is to do."""
        super().begun(chunks, waiting, unexamined)
        if waiting:
            log.info("%d of %s to render", waiting, counted(chunks, "chunk"))

    def tick(self) -> None:
        """Say how far it is, once a minute."""
        if time.monotonic() - self._said < _EVERY:
            return
        self._said = time.monotonic()
        if self.looked_at < self.unexamined and not self.done:
            log.info("%d of %s examined", self.looked_at, counted(self.unexamined, "take"))
            return
        spent = self._said - self.started
        left = f"{spent / self.done * (self.waiting - self.done) / 60:.0f} min left" if self.done else "first batch"
        chunks = counted(self.waiting, "chunk")
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
