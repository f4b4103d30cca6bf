"""Progress on a terminal: a tqdm bar."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from maya_batch.run.progress import ProgressListener

log = logging.getLogger(__name__)

_REDRAWN = 1.0  # seconds between two drawings of the bar while nothing is finished


class ProgressBar(ProgressListener):
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
