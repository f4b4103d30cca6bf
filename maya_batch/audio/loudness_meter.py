"""Measures loudness by ITU-R BS.1770-4 while sound passes, so that no chapter is held in memory."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
"""[samples], mono, full scale is 1."""
Powers: TypeAlias = NDArray[np.float64]
"""[steps], the mean square of each step of `STEP_SECONDS` after K-weighting."""

STEP_SECONDS = 0.1
_STEPS_A_BLOCK = 4
"""A gating block has 400 ms, and each begins 100 ms after the one before it (BS.1770-4, annex 1)."""
_OFFSET = -0.691
"""dB; makes a sine of 997 Hz at full scale -3.01 LUFS (the same annex)."""
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0
"""LUFS, and LU below what the absolute gate leaves."""

_NEVER_ZERO = 1e-15
"""Added to every other sample (-300 dB): after digital silence a filter's state has numbers that are almost zero, with
which processors compute ten times as slowly."""


class LoudnessMeter:
    """K-weighting and the power of each step. Steps that are not complete do not count, as in the standard."""

    def __init__(self, sampling_rate: int) -> None:
        """`sampling_rate` in Hz, a multiple of 10."""
        self._filter = _k_weighting(sampling_rate)
        self._state = np.zeros((len(self._filter), 2))
        self._step = round(sampling_rate * STEP_SECONDS)
        self._rest: NDArray[np.float64] = np.zeros(0)
        self._powers: list[Powers] = []

    def add(self, samples: Samples) -> None:
        """Measure the next samples."""
        from scipy.signal import sosfilt

        if not len(samples):  # a take without a frame
            return
        heard = samples.astype(np.float64)
        heard[::2] += _NEVER_ZERO
        weighted, self._state = sosfilt(self._filter, heard, zi=self._state)
        weighted = np.concatenate((self._rest, weighted))
        whole = len(weighted) // self._step
        self._rest = weighted[whole * self._step :]
        if whole:
            steps = weighted[: whole * self._step].reshape(whole, self._step)
            self._powers.append(np.einsum("ij,ij->i", steps, steps) / self._step)

    def powers(self) -> Powers:
        """The power of each complete step up to now."""
        return np.concatenate(self._powers) if self._powers else np.zeros(0)


def loudness(parts: Iterable[Powers]) -> float | None:
    """The gated loudness in LUFS of some pieces of sound; no block reaches over the end of a piece.

    None for silence and where no piece has 400 ms.
    """
    blocks = np.concatenate([np.zeros(0), *map(_blocks, parts)])
    blocks = blocks[blocks >= _power(_ABSOLUTE_GATE)]
    if not len(blocks):
        return None
    blocks = blocks[blocks > blocks.mean() * 10 ** (_RELATIVE_GATE / 10)]
    return _OFFSET + 10 * math.log10(blocks.mean())


def _blocks(powers: Powers) -> Powers:
    sums = np.concatenate(([0.0], np.cumsum(powers)))
    means: Powers = (sums[_STEPS_A_BLOCK:] - sums[:-_STEPS_A_BLOCK]) / _STEPS_A_BLOCK
    return means


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET) / 10))


@lru_cache(maxsize=8)
def _k_weighting(sampling_rate: int) -> Any:
    """The two filters as second-order sections [2, 6].

    The standard lists coefficients for 48 kHz only. Their analog prototypes (a shelf of +4 dB above 1,682 Hz, and a
    high-pass at 38 Hz) give them at any rate, by the bilinear transform; frequencies and Q are those that
    reproduce the standard's table.
    """
    shelf_hertz, shelf_q, shelf_decibels = 1681.974450955533, 0.7071752369554196, 3.999843853973347
    pass_hertz, pass_q = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * shelf_hertz / sampling_rate)
    high = 10 ** (shelf_decibels / 20)
    band = high**0.4996667741545416
    scale = 1 + k / shelf_q + k * k
    poles = [1, 2 * (k * k - 1) / scale, (1 - k / shelf_q + k * k) / scale]
    zeros = [high + band * k / shelf_q + k * k, 2 * (k * k - high), high - band * k / shelf_q + k * k]
    shelf = [*(zero / scale for zero in zeros), *poles]
    k = math.tan(math.pi * pass_hertz / sampling_rate)
    scale = 1 + k / pass_q + k * k
    return np.array([shelf, [1, -2, 1, 1, 2 * (k * k - 1) / scale, (1 - k / pass_q + k * k) / scale]])
