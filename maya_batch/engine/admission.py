"""How many rows may be spoken together before the cache is full, seen from how long each is expected to become.

Rows grow while they are spoken and give their pages back when they end, so counting each at its cap would leave most
of the memory empty. What is forecast is the sum of all rows, frame by frame from now on.
"""

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.token_layout import SLOTS

#: Frames from one point of the forecast to the next: 0.7 s of speech.
_STRIDE = 8

#: Ended rows from which their lengths correct the expected ones; the first to end are the short ones.
_ENOUGH = 32

#: How far the correction may go. Below, rows that end early would let in more than there will be room for.
_LEAST, _MOST = 0.8, 2.0


class Forecast:
    """The pages that the rows now spoken will need."""

    def __init__(self, pages: int, page_size: int) -> None:
        self._pages, self._page_size = pages, page_size
        self._need: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._expected = self._actual = self._ended = 0

    @property
    def correction(self) -> float:
        """How much longer than expected rows became so far."""
        if self._ended < _ENOUGH:
            return 1.0
        return min(max(self._actual / self._expected, _LEAST), _MOST)

    @property
    def most(self) -> int:
        """The most pages that the rows counted will need at a time."""
        return int(self._need.max())

    def ended(self, expected_frames: int, frames: int) -> None:
        """A row has ended."""
        self._ended += 1
        self._expected += expected_frames
        self._actual += frames

    def begin(self, longest_frames: int) -> None:
        """Start anew, for rows of at most so many frames; those spoken now are to be added."""
        self._need = np.zeros(longest_frames // _STRIDE + 2, dtype=np.int64)

    def add(self, tokens: int, expected_frames: int, spoken_frames: int = 0) -> None:
        """Count a row that has `tokens` in the cache, prompt and all."""
        curve = self._curve(tokens, expected_frames, spoken_frames)
        self._need[: len(curve)] += curve

    def fits(self, tokens: int, expected_frames: int) -> bool:
        """Whether a row more has room until it ends."""
        curve = self._curve(tokens, expected_frames, 0)
        return int((self._need[: len(curve)] + curve).max()) <= self._pages

    def _curve(self, tokens: int, expected_frames: int, spoken_frames: int) -> NDArray[np.int64]:
        """Pages of a row at each point, until it is expected to end; one that is past that may end any time."""
        left = max(round(expected_frames * self.correction) - spoken_frames, _STRIDE)
        points = min(left // _STRIDE + 2, len(self._need))
        lengths = tokens + SLOTS * _STRIDE * np.arange(points, dtype=np.int64) + SLOTS
        return -(-lengths // self._page_size)
