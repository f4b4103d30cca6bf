"""Noise in place of speech: sound whose spectrum is flat, for longer than any consonant."""

import numpy as np
from numpy.typing import NDArray

#: Samples of one spectrum: 43 ms at 24 kHz, in which a voice of 80 Hz and more shows its single tones.
_WINDOW = 1024

#: Where voices have their tones, in Hz. Consonants are noise above that.
_LOWEST, _HIGHEST = 80, 3000

#: The spectral flatness (geometric by arithmetic mean of the power, 0 to 1) of noise. White noise has 0.56, pink noise
#: 0.4; the vowels of the demo voice stay below 0.1.
_FLAT = 0.2


def longest_noise(wave: NDArray[np.float32], rate: int, faintest: float) -> tuple[float, float]:
    """Where in a wave [samples], -1 to 1, its longest noise begins and how long it lasts, in seconds; (0, 0): nowhere.

    What lies below `faintest`, in dB of full scale, is silence and no noise.
    """
    count = len(wave) // _WINDOW
    windows = wave[: count * _WINDOW].reshape(count, _WINDOW)
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2
    tone = np.fft.rfftfreq(_WINDOW, 1 / rate)
    power = power[:, (tone >= _LOWEST) & (tone <= _HIGHEST)] + 1e-12  # digital silence has no logarithm
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    loud = 10 * np.log10(np.square(windows).mean(axis=1) + 1e-12) > faintest
    start, length = longest_run((flatness > _FLAT) & loud)
    return start * _WINDOW / rate, length * _WINDOW / rate


def longest_run(marks: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest run of true marks begins, and how many it has; (0, 0) where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marks, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest] - starts[longest])
