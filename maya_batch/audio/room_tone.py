"""Room tone: quiet noise in place of digital silence, with the spectrum of a voice's own pauses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.loudness_meter import Samples

_FRAME = 512
"""Samples of a spectrum: 21 ms at 24 kHz, short enough to lie within a pause between words."""
_QUIETEST_SHARE = 0.05
"""Of a clip's frames, how many count as its pauses."""
_LOUDEST_PAUSE, _SOFTEST_PAUSE = 10 ** (-45 / 20), 10 ** (-95 / 20)
"""RMS between which a quiet frame is taken for noise, neither speech nor digital silence."""
_RAMP_SECONDS = 0.01
"""As long as a clip fades out."""
_PLAIN_FALL = 3.0
"""dB an octave by which the tone falls above 100 Hz where no pause was found: that of pink noise."""

QUIETEST, LOUDEST = 10 ** (-75 / 20), 10 ** (-65 / 20)
"""The RMS of room tone: heard as no gap, and 5 dB under the noise floor of -60 dB that stores accept."""


@dataclass(frozen=True, eq=False)
class RoomTone:
    """The noise of one chapter."""

    filter: NDArray[np.float64]
    """An FIR filter whose noise has an RMS of 1."""
    rms: float
    """Of the voice's pauses; 0 if none was found."""
    sampling_rate: int
    seed: int

    def at(self, number: int, samples: int, gain: float) -> Samples:
        """The tone of silence `number` of the chapter, faded in and out; `gain` is what the speech is amplified by."""
        from scipy.signal import oaconvolve

        noise = np.random.default_rng([self.seed, number]).standard_normal(samples + len(self.filter) - 1)
        tone = oaconvolve(noise, self.filter, mode="valid") * min(max(self.rms * gain, QUIETEST), LOUDEST)
        ramp = np.linspace(0, 1, min(round(_RAMP_SECONDS * self.sampling_rate), samples // 2), endpoint=False)
        tone[: len(ramp)] *= ramp
        tone[samples - len(ramp) :] *= ramp[::-1]
        faded: Samples = tone.astype(np.float32)
        return faded


class PauseSpectrum:
    """The mean spectrum of a voice's pauses, gathered clip by clip."""

    def __init__(self) -> None:
        self._sum = np.zeros(_FRAME // 2 + 1)
        self._square = 0.0
        self._frames = 0

    def add(self, samples: Samples) -> None:
        """Take the quietest frames of a clip."""
        frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
        if not len(frames):
            return
        power = np.square(frames, dtype=np.float64).mean(axis=1)
        quiet = np.argsort(power, kind="stable")[: max(1, round(len(frames) * _QUIETEST_SHARE))]
        quiet = quiet[(power[quiet] > _SOFTEST_PAUSE**2) & (power[quiet] < _LOUDEST_PAUSE**2)]
        spectra = np.abs(np.fft.rfft(frames[quiet] * np.hanning(_FRAME), axis=1)) ** 2
        self._sum += spectra.sum(axis=0)
        self._square += power[quiet].sum()
        self._frames += len(quiet)

    def tone(self, sampling_rate: int, seed: int) -> RoomTone:
        """Noise with this spectrum; with that of pink noise if no pause was found."""
        if self._frames:
            shape, rms = np.sqrt(self._sum), float(np.sqrt(self._square / self._frames))
        else:
            hertz = np.maximum(np.fft.rfftfreq(_FRAME, 1 / sampling_rate), 100.0)
            shape, rms = (100.0 / hertz) ** (_PLAIN_FALL / 6.02), 0.0
        shape[0] = 0.0  # no constant offset
        taps = np.roll(np.fft.irfft(shape), _FRAME // 2) * np.hanning(_FRAME)
        return RoomTone(taps / np.sqrt(np.square(taps).sum()), rms, sampling_rate, seed)
