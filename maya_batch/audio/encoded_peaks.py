"""The true peaks of encoded files: by how much an encoder raises those of its sound, only its file shows."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from maya_batch.audio.ffmpeg import FfmpegError, file_url, read_blocks
from maya_batch.audio.true_peak import TruePeakMeter
from maya_batch.audio.writers import Target
from maya_batch.errors import MachineError

MOST_OVER = 0.2
"""dB above the wanted true peak that a file may have."""

_LOSSLESS = frozenset({"wav", "flac"})
_OPUS_HERTZ = 48000
"""What Opus is decoded at (RFC 7845)."""
_BLOCK_BYTES = 1 << 20


class TooHighError(Exception):
    """A peak of an encoded file is too high."""


class EncodedPeaks:
    """Measures the files of one sound before they get their names."""

    def __init__(self, true_peak: float, sampling_rate: int, check: Callable[[], None], *, last: bool) -> None:
        """The files should stay below `true_peak` dB; `last` if those that do not are kept. The sound has
        `sampling_rate`. `check` is called often, and may end the measuring by raising an error.
        """
        self._true_peak, self._rate, self._check, self._last = true_peak, sampling_rate, check, last
        self.over = 0.0
        """By how many dB the highest peak is above it."""

    def inspect(self, target: Target, path: Path) -> None:
        """Measure the file at `path`, written for this target.

        Raises:
            TooHighError: it is above the wanted peak by more than `MOST_OVER`, and this is not the last try.
            MachineError: it cannot be read.
        """
        if target.type in _LOSSLESS:
            return  # its peaks are those of its sound
        rate = _OPUS_HERTZ if target.type == "opus" else target.sample_rate or self._rate
        meter = TruePeakMeter(rate)
        try:
            for block in read_blocks(["-i", file_url(path), "-map", "0:a:0", "-f", "f32le", "pipe:1"], _BLOCK_BYTES):
                self._check()
                meter.add(np.frombuffer(block, "<f4"))
        except FfmpegError as error:
            raise MachineError(f"{target.path}: cannot be read back: {error}") from error
        if peak := meter.peak():
            self.over = max(self.over, 20 * math.log10(peak) - self._true_peak)
        if self.over > MOST_OVER and not self._last:
            raise TooHighError
