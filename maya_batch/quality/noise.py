"""Finds noise in place of speech: a spectrum that is flat, or high as of an "s", for longer than any consonant."""

import numpy as np
from numpy.typing import NDArray

#: Samples of one spectrum: 43 ms at 24 kHz, enough to tell the single tones of a voice of 80 Hz or more.
_WINDOW = 1024

#: The band of voices' tones, in Hz. Consonants are noise above it.
_LOWEST, _HIGHEST = 80, 3000

#: The spectral flatness (geometric by arithmetic mean of the power, 0 to 1) of noise. White noise has 0.56, pink noise
#: 0.4; the vowels of the demo voice stay below 0.1.
_FLAT = 0.2

#: The share of the power above voices' tones that only consonants have. Of 60 "s" of the demo voice, drawn out to 1 to
#: 3 s, it finds 59 as noise, and flatness alone 28; in 150 good takes no run is longer than 0.34 s.
_HISS = 0.8


def longest_noise(wave: NDArray[np.float32], rate: int, faintest: float) -> tuple[float, float]:
    """The start and the length, in seconds, of the longest noise in a wave [samples], -1 to 1; (0, 0) without noise.

    Sound below `faintest`, in dB of full scale, counts as silence.
    """
    from scipy.fft import rfft  # several times as fast as NumPy's; its import takes a while

    count = len(wave) // _WINDOW
    windows = wave[: count * _WINDOW].reshape(count, _WINDOW)
    power = np.abs(rfft(windows * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2
    tone = np.fft.rfftfreq(_WINDOW, 1 / rate)
    above = power[:, tone > _HIGHEST].sum(axis=1)
    power = power[:, (tone >= _LOWEST) & (tone <= _HIGHEST)] + 1e-12  # digital silence has no logarithm
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    hisses = above > _HISS * (above + power.sum(axis=1))
    loud = 10 * np.log10(np.square(windows).mean(axis=1) + 1e-12) > faintest
    start, length = longest_run(((flatness > _FLAT) | hisses) & loud)
    return start * _WINDOW / rate, length * _WINDOW / rate


def longest_run(marks: NDArray[np.bool_]) -> tuple[int, int]:
    """The start and the length of the longest run of true marks; (0, 0) without one."""
    starts, lengths = runs(marks)
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(lengths))
    return int(starts[longest]), int(lengths[longest])


def runs(marks: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The starts and the lengths of all runs of true marks."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marks, [False])).astype(np.int8)))
    return edges[::2], edges[1::2] - edges[::2]
