"""Place, loudness and pauses of each clip of a chapter, and the steps between neighbouring clips of a voice."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.loudness_meter import LoudnessMeter, Powers, Samples, loudness
from maya_batch.audio.quiet import Sounding, sounding
from maya_batch.audio.room_tone import PauseSpectrum
from maya_batch.audio.stitch import Clip

_FULL_SCALE = 32768


@dataclass(frozen=True, eq=False)
class ClipLevel:
    """One clip in the PCM of its chapter."""

    name: str
    voice: str
    start: int
    end: int
    """Samples from the start of the chapter."""
    powers: Powers
    lufs: float | None
    """None for silence and below 400 ms."""
    sounding: Sounding
    """Where it has sound, in samples from the start of the chapter."""
    lead: int = 0
    """Samples before its first sound in the waveform that it is made of."""


class ClipLevels:
    """Measures clips while they pass."""

    def __init__(self, sampling_rate: int, spectra: bool = False) -> None:
        """`spectra`: also gather what room tone is made of."""
        self.clips: list[ClipLevel] = []
        self.samples = 0
        """The length of the chapter up to now."""
        self.spectra: dict[str, PauseSpectrum] = {}
        """By voice; empty unless asked for."""
        self._rate, self._gather = sampling_rate, spectra

    def watch(self, segments: Iterable[tuple[bytes, Clip | None]]) -> Iterator[bytes]:
        """The PCM of the segments, unchanged."""
        for pcm, clip in segments:
            start = self.samples
            self.samples += len(pcm) // 2
            if clip is not None:
                self._measure(clip, start, floats(pcm))
            yield pcm

    def _measure(self, clip: Clip, start: int, samples: Samples) -> None:
        meter = LoudnessMeter(self._rate)
        meter.add(samples)
        powers = meter.powers()
        lufs, heard = loudness([powers]), sounding(samples, self._rate).shifted(start)
        lead = sounding(clip.waveform, self._rate).start
        self.clips.append(ClipLevel(clip.name, clip.voice, start, self.samples, powers, lufs, heard, lead))
        if self._gather:
            self.spectra.setdefault(clip.voice, PauseSpectrum()).add(samples)


def steps(clips: Sequence[ClipLevel], gains: Sequence[float]) -> list[float | None]:
    """By how many LU each clip is louder than the clip of its voice before it, each with its gain in dB.

    None for the first clip of a voice, and where one of the two has no loudness.
    """
    before: dict[str, float | None] = {}
    found: list[float | None] = []
    for clip, gain in zip(clips, gains, strict=True):
        level = None if clip.lufs is None else clip.lufs + gain
        last = before.get(clip.voice)
        found.append(None if level is None or last is None else level - last)
        before[clip.voice] = level
    return found


def floats(pcm: bytes) -> Samples:
    """s16le as samples whose full scale is 1."""
    samples: Samples = np.multiply(np.frombuffer(pcm, "<i2"), np.float32(1 / _FULL_SCALE), dtype=np.float32)
    return samples


def pcm_bytes(samples: NDArray[np.float32]) -> bytes:
    """Samples below full scale as s16le."""
    return np.rint(samples * _FULL_SCALE).astype("<i2").tobytes()
