"""True peaks: the height of the curve through the samples, and a limiter that keeps it below a ceiling.

ffmpeg's `alimiter` at 192 kHz takes about as long for one pass as mastering takes for all its passes
(`tests/measure/LOG.md`): this limiter computes the curve only where samples come near the ceiling, and leaves all
other sound as it is.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.loudness_meter import Samples

_MEASURED_HERTZ = 192_000
"""The rate at which BS.1770-4 (annex 2) measures true peaks of sound at 48 kHz."""
_TAPS_A_SIDE = 16
"""Samples of the source on either side that shape a point of the curve."""
_NEAR = 0.7
"""Below this share of the ceiling, samples are not near it: the curve rises 3 dB above all samples around it only in
tones near a quarter or a half of the sampling rate, and speech is not one tone."""
_SEGMENT = 64
"""Samples that are looked at together."""
_WINDOW_SECONDS = 0.01
"""How long before and after a peak the gain moves: slow against a pitch period, too short to hear as pumping."""
_SPARE = 0.983
"""The share of the ceiling (-0.15 dB) that is aimed at: encoders with many bits raise the peaks a little above it; for
others `encoder_headroom` has more."""


def true_peak(samples: Samples, sampling_rate: int) -> float:
    """The highest point of the curve through some samples, which are silent outside."""
    return float(_curve(np.pad(samples, _TAPS_A_SIDE), sampling_rate).max(initial=0.0))


class TruePeakMeter:
    """The true peak of sound that passes in blocks."""

    def __init__(self, sampling_rate: int) -> None:
        self._rate, self._before = sampling_rate, np.zeros(2 * _TAPS_A_SIDE, np.float32)
        self._peak = 0.0

    def add(self, samples: Samples) -> None:
        """Measure the next samples; the curve is computed where it may be the highest yet."""
        joined = np.concatenate((self._before, samples))
        highest = max(self._peak, float(np.abs(joined).max()))
        if len(joined) > 2 * _TAPS_A_SIDE and highest:
            # At the edges the curve depends on samples that are not there yet, or were in the block before.
            heights = _heights(joined, highest, self._rate)[_TAPS_A_SIDE:-_TAPS_A_SIDE]
            self._peak = max(self._peak, float(heights.max()))
        self._before = joined[-2 * _TAPS_A_SIDE :]

    def peak(self) -> float:
        """The peak of all samples up to now, with silence after them; full scale is 1."""
        self.add(np.zeros(2 * _TAPS_A_SIDE, np.float32))
        return self._peak


def limited(blocks: Iterable[Samples], ceiling: float, sampling_rate: int) -> Iterator[Samples]:
    """The sound with its true peak at or below `ceiling` (full scale is 1), in blocks; as long as it was.

    One gain curve falls before a peak and rises after it, as a slope without corners, so the sound is not
    distorted within a period. Samples that are far from a peak do not change.
    """
    window = round(_WINDOW_SECONDS * sampling_rate)
    context = 2 * window + _TAPS_A_SIDE  # what a sample's gain depends on, on either side
    kept: Samples = np.zeros(context, np.float32)
    for block in blocks:
        joined = np.concatenate((kept, block))
        if len(joined) > 2 * context:
            yield _limited(joined, ceiling * _SPARE, sampling_rate, window)[context:-context]
            joined = joined[len(joined) - 2 * context :]
        kept = joined
    joined = np.concatenate((kept, np.zeros(context, np.float32)))
    yield _limited(joined, ceiling * _SPARE, sampling_rate, window)[context:-context]


def _limited(samples: Samples, ceiling: float, sampling_rate: int, window: int) -> Samples:
    reduction = 1 - np.minimum(1, ceiling / np.maximum(_heights(samples, ceiling, sampling_rate), 1e-9))
    if not reduction.any():
        return samples
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    smooth = maximum_filter1d(reduction, 2 * window + 1)
    for _ in range(2):
        smooth = uniform_filter1d(smooth, window | 1)  # running means: their cost does not grow with the window
    quieter: Samples = (samples * (1 - smooth)).astype(np.float32)
    return quieter


def _heights(samples: Samples, ceiling: float, sampling_rate: int) -> NDArray[np.float32]:
    """The height of the curve around each sample, where it may be above the ceiling; elsewhere 0."""
    whole = -(-len(samples) // _SEGMENT)
    heights = np.zeros((whole, _SEGMENT), np.float32)
    # A curve rises between two samples of which one may be in the next segment, so the neighbours count, too.
    near = np.unique(np.flatnonzero(np.abs(samples) > ceiling * _NEAR) // _SEGMENT)
    near = np.unique(np.clip(np.concatenate((near - 1, near, near + 1)), 0, max(0, whole - 1)))
    if len(near):
        padded = np.pad(samples, (_TAPS_A_SIDE, _TAPS_A_SIDE + whole * _SEGMENT - len(samples)))
        gaps = _curve(padded[near[:, None] * _SEGMENT + np.arange(_SEGMENT + 2 * _TAPS_A_SIDE)], sampling_rate).max(2)
        # Each point belongs to the samples on both sides of it.
        heights[near] = np.maximum(gaps[:, 1:], gaps[:, :-1])
    return heights.reshape(-1)[: len(samples)]


def _curve(padded: Samples, sampling_rate: int) -> NDArray[np.float32]:
    """The absolute curve [..., gaps, points] before, between and after samples [..., n + 2 * _TAPS_A_SIDE].

    The points of a gap begin at the sample before it.
    """
    from scipy.signal import upfirdn

    factor = -(-_MEASURED_HERTZ // sampling_rate)
    curve = np.abs(upfirdn(_interpolation(factor), padded, factor, axis=-1))
    # The filter delays by _TAPS_A_SIDE samples; the first gap lies before the first sample.
    start = (2 * _TAPS_A_SIDE - 1) * factor
    gaps = padded.shape[-1] - 2 * _TAPS_A_SIDE + 1
    points: NDArray[np.float32] = curve[..., start : start + gaps * factor].reshape(*padded.shape[:-1], gaps, factor)
    return points


@lru_cache(maxsize=8)
def _interpolation(factor: int) -> NDArray[np.float32]:
    """A low-pass at half the sampling rate of the source: a sinc in a Kaiser window."""
    from scipy.signal import firwin

    taps: NDArray[np.float64] = firwin(2 * _TAPS_A_SIDE * factor + 1, 1 / factor, window=("kaiser", 8.0)) * factor
    return taps.astype(np.float32)
