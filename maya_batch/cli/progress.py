"""Progress on a terminal: a tqdm bar on standard error."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from maya_batch.run.progress import LogProgress, ProgressListener

log = logging.getLogger(__name__)

_REDRAW_SECONDS = 1.0  # how often the bar is drawn while no chunk is finished


def shown_progress(quiet: bool) -> ProgressListener:
    """A bar on a terminal, else a line a minute."""
    return ProgressBar() if sys.stderr.isatty() and not quiet else LogProgress()


class ProgressBar(ProgressListener):
    """A bar of chunks, with the speed and the time left."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm[Any] | None = None
        self._drawn = 0.0

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """Draw the bar; chunks that were rendered before count as done."""
        super().begun(chunks, waiting, unexamined)
        self._draw()

    def book_begun(self, title: str, number: int, books: int, chunks: int, waiting: int, unexamined: int) -> None:
        """Lengthen the bar by the book's chunks, and show its number."""
        super().book_begun(title, number, books, chunks, waiting, unexamined)
        if self._bar is None:
            self._draw()
        else:
            self._bar.total = self.total
            self._bar.update(chunks - waiting)
        if self._bar is not None:
            self._bar.set_description_str(f"book {number} of {books}")

    def expected(self, chunks: int) -> None:
        """Move the bar back by these chunks."""
        super().expected(chunks)
        if self._bar is None:
            self._draw()
        else:
            self._bar.update(-chunks)

    def tick(self) -> None:
        """Draw the bar again, for its time."""
        if self._bar is not None and time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._drawn = time.monotonic()
            self._bar.refresh()

    def rendered(self, chunks: int, seconds: float) -> None:
        """Move the bar on by these chunks."""
        super().rendered(chunks, seconds)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self.speed:.1f}x real time", refresh=False)
            self._bar.update(chunks)

    def joining(self, chunks: int) -> None:
        """Draw a bar of the chunks that are joined to chapters."""
        super().joining(chunks)
        self.close()
        self._bar = tqdm(total=chunks, unit="chunk", desc="joining", file=sys.stderr, leave=False)

    def joined(self) -> None:
        """Move the bar on by a chunk."""
        super().joined()
        if self._bar is not None:
            self._bar.update(1)

    def published(self, path: Path, seconds: float) -> None:
        """Log the file and its length."""
        log.info("%s  %d:%02d", path, *divmod(round(seconds), 60))

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _draw(self) -> None:
        if self.waiting:
            done = self.total - self.waiting + self.done
            self._bar = tqdm(total=self.total, initial=done, unit="chunk", file=sys.stderr, leave=False)
