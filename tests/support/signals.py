"""Waves that stand for speech, noise and silence, float32 at 24 kHz."""

import numpy as np
from numpy.typing import NDArray

RATE = 24000

Wave = NDArray[np.float32]


def tones(seconds: float, pitch: float = 120.0) -> Wave:
    """A voice's vowel: harmonics of a pitch in Hz, the higher the fainter, in words of 0.4 s that rise and fade."""
    at = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * pitch * n * at + n) / n for n in range(1, 25))
    return np.asarray(0.2 * voice * np.abs(np.sin(np.pi * at / 0.4)), dtype=np.float32)


def noise(seconds: float) -> Wave:
    """White noise as loud as speech."""
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def pink_noise(seconds: float) -> Wave:
    """Noise that is the fainter the higher, by 3 dB an octave."""
    spectrum = np.fft.rfft(noise(seconds))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), round(seconds * RATE))
    return np.asarray(0.1 * pink / pink.std(), dtype=np.float32)


def hiss(seconds: float) -> Wave:
    """An "s": noise above 4 kHz, and below it a faint hum."""
    spectrum = np.fft.rfft(noise(seconds))
    spectrum[: round(4000 * seconds)] = 0
    hum = 0.01 * np.sin(2 * np.pi * 120 * np.arange(round(seconds * RATE)) / RATE)
    return np.asarray(np.fft.irfft(spectrum, round(seconds * RATE)) + hum, dtype=np.float32)


def hush(seconds: float) -> Wave:
    """Digital silence."""
    return np.zeros(round(seconds * RATE), dtype=np.float32)
