"""Admission control: how many sequences fit into the cache together, by their expected lengths.

A sequence takes blocks as it grows and returns them when it ends, so counting each at its `max_frames` would leave most
of the memory empty. The forecast is the sum over all sequences, frame by frame from now on.
"""

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.token_layout import SLOTS

#: Frames from one point of the forecast to the next: 0.7 s of speech.
_STRIDE = 8

#: The fewest ended sequences whose lengths correct the expected ones. The first to end are the short ones.
_MIN_ENDED = 32

#: Bounds of the correction. Below the lower one, sequences that end early would admit more than fit.
_MIN_CORRECTION, _MAX_CORRECTION = 0.8, 2.0


class BlockForecast:
    """The blocks that the running sequences will need."""

    def __init__(self, blocks: int, block_size: int) -> None:
        self._blocks, self._block_size = blocks, block_size
        self._needed: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._expected = self._actual = self._ended = 0

    @property
    def correction(self) -> float:
        """The factor between the actual and the expected length of the ended sequences."""
        if self._ended < _MIN_ENDED:
            return 1.0
        return min(max(self._actual / self._expected, _MIN_CORRECTION), _MAX_CORRECTION)

    @property
    def max_blocks(self) -> int:
        """The most blocks that the counted sequences will need at a time."""
        return int(self._needed.max())

    def record_end(self, expected_frames: int, frames: int) -> None:
        """Learn from a sequence that has ended."""
        self._ended += 1
        self._expected += expected_frames
        self._actual += frames

    def reset(self, longest_frames: int) -> None:
        """Forget the counted sequences; those added next have at most `longest_frames`."""
        self._needed = np.zeros(longest_frames // _STRIDE + 2, dtype=np.int64)

    def add(self, tokens: int, expected_frames: int, decoded_frames: int = 0) -> None:
        """Count a sequence that has `tokens` in the cache, the prompt included."""
        curve = self._curve(tokens, expected_frames, decoded_frames)
        self._needed[: len(curve)] += curve

    def fits(self, tokens: int, expected_frames: int) -> bool:
        """Whether one more sequence has room until it ends."""
        curve = self._curve(tokens, expected_frames, 0)
        return int((self._needed[: len(curve)] + curve).max()) <= self._blocks

    def _curve(self, tokens: int, expected_frames: int, decoded_frames: int) -> NDArray[np.int64]:
        """Blocks of a sequence at each point until its expected end; a sequence past it may end at any time."""
        left = max(round(expected_frames * self.correction) - decoded_frames, _STRIDE)
        points = min(left // _STRIDE + 2, len(self._needed))
        lengths = tokens + SLOTS * _STRIDE * np.arange(points, dtype=np.int64) + SLOTS
        return -(-lengths // self._block_size)
