"""Masters a chapter: voices are evened, one gain brings it to its loudness, and a limiter holds its true peak.

The chapter is measured before it is amplified, so its PCM waits in a file without a name; memory holds a few blocks. It
can be mastered again from there, with more room for encoders.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.clip_levels import ClipLevel, ClipLevels, floats, pcm_bytes
from maya_batch.audio.loudness_meter import LoudnessMeter, Samples, loudness
from maya_batch.audio.room_tone import PauseSpectrum, RoomTone
from maya_batch.audio.stitch import Clip
from maya_batch.audio.true_peak import limited
from maya_batch.manifest import Master

MOST_EVENED = 2.0
"""dB by which one clip of a voice may be raised or lowered: more than that is a way of speaking."""
_SURE_SECONDS = 10.0
"""A voice that speaks less than this in a chapter is evened in proportion: of a few words the loudness says little."""
_CLOSE = 0.1
"""dB from the target at which the gain is not tried again."""
_TRIES = 4
"""How often the gain is corrected for what the limiter takes away."""
_BLOCK = 1 << 18
"""Samples of a block: 11 s at 24 kHz."""


@dataclass(frozen=True)
class Mastered:
    """What was done to a chapter."""

    gain: float
    """dB, for all of it."""
    clip_gains: tuple[float, ...]
    """dB, for each clip in addition: of its voice, and of itself if clips are evened."""
    voice_gains: Mapping[str, float] = field(default_factory=dict)
    """dB by voice."""
    missed: float = 0.0
    """dB that the chapter lacks to its target: the limiter would have to take away too much."""


class ChapterMaster:
    """Masters one chapter."""

    def __init__(
        self,
        settings: Master,
        sampling_rate: int,
        seed: int,
        spool: IO[bytes],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`seed` is the room tone's; `spool` is an empty file, open for reading and writing.

        `check` is called before each block of each pass, and may end it by raising an error.
        """
        self._settings, self._rate, self._seed, self._spool = settings, sampling_rate, seed, spool
        self._check = check
        self.levels = ClipLevels(sampling_rate, spectra=settings.room_tone)
        self.done: Mastered | None = None
        """What was done; set before the first sound is returned."""

    def read(self, segments: Iterable[tuple[bytes, Clip | None]]) -> None:
        """Read the chapter; to be called once, before `pcm`."""
        for pcm in self.levels.watch(segments):
            self._spool.write(pcm)

    def pcm(self, headroom: float = 0.0) -> Iterator[bytes]:
        """The mastered PCM of the chapter.

        The limiter stays `headroom` dB below the true peak that is asked for, because encoders raise peaks.
        """
        clips, ceiling = self.levels.clips, _factor(self._settings.true_peak - headroom)
        voices = voice_gains(clips, self._rate) if self._settings.even_voices else {}
        gains = [voices.get(clip.voice, 0.0) for clip in clips]
        if self._settings.even_chunks:
            gains = [gain + own for gain, own in zip(gains, clip_gains(clips), strict=True)]
        tone = self._tone()
        gain, missed = self._gain(gains, tone, ceiling)
        self.done = Mastered(gain, tuple(gains), voices, missed)
        for block in limited(self._blocks(gains, gain, tone), ceiling, self._rate):
            yield pcm_bytes(block)

    def _gain(self, gains: Sequence[float], tone: RoomTone | None, ceiling: float) -> tuple[float, float]:
        """The gain of the chapter in dB, and what it misses with peaks up to `ceiling` (full scale is 1)."""
        target = self._settings.rms if self._settings.lufs is None else self._settings.lufs
        if target is None:
            raise ValueError("no target")
        level = self._level(self._blocks(gains, 0.0, None))
        if level is None:
            return 0.0, 0.0  # silence
        gain, missed = target - level, 0.0
        for tried in range(1, _TRIES + 1):
            reached = self._level(limited(self._blocks(gains, gain, tone), ceiling, self._rate))
            missed = 0.0 if reached is None else target - reached
            if abs(missed) <= _CLOSE or tried == _TRIES:
                break
            gain += missed
        return gain, missed

    def _level(self, blocks: Iterable[Samples]) -> float | None:
        """LUFS or, for a target in RMS, dB of the root mean square; None for silence."""
        if self._settings.lufs is None:
            square = sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
            return 10 * math.log10(square / self.levels.samples) if square else None
        meter = LoudnessMeter(self._rate)
        for block in blocks:
            meter.add(block)
        return loudness([meter.powers()])

    def _tone(self) -> RoomTone | None:
        if not self._settings.room_tone:
            return None
        spoken: dict[str, int] = {}
        for clip in self.levels.clips:
            spoken[clip.voice] = spoken.get(clip.voice, 0) + clip.end - clip.start
        voice = max(filter(None, spoken), key=lambda name: spoken[name], default="")
        return self.levels.spectra.get(voice, PauseSpectrum()).tone(self._rate, self._seed)

    def _blocks(self, gains: Sequence[float], gain: float, tone: RoomTone | None) -> Iterator[Samples]:
        """The chapter with its gains in dB, in blocks."""
        clips = self.levels.clips
        spans = [(clip.start, clip.end, _factor(own)) for clip, own in zip(clips, gains, strict=True)]
        edges = [0, *(edge for clip in clips for edge in (clip.start, clip.end)), self.levels.samples]
        silences = list(zip(edges[::2], edges[1::2], strict=True)) if tone is not None else []
        first_span = first_silence = 0
        made: dict[int, Samples] = {}  # the tone of the silence that the last block ended in
        self._spool.seek(0)
        for start in range(0, self.levels.samples, _BLOCK):
            self._check()
            block = floats(self._spool.read(2 * _BLOCK))
            end = start + len(block)
            while first_span < len(spans) and spans[first_span][1] <= start:
                first_span += 1
            _amplify(block, start, spans, first_span)
            block *= np.float32(_factor(gain))
            while first_silence < len(silences) and silences[first_silence][1] <= start:
                first_silence += 1
            for number in range(first_silence, len(silences)):
                begun, ended = silences[number]
                if begun >= end or tone is None:
                    break
                if ended > begun:
                    sound = made[number] if number in made else tone.at(number, ended - begun, _factor(gain))
                    made = {number: sound}
                    low, high = max(begun, start), min(ended, end)
                    block[low - start : high - start] += sound[low - begun : high - begun]
            yield block


def voice_gains(clips: Sequence[ClipLevel], sampling_rate: int) -> dict[str, float]:
    """DB by voice that make the voices of a chapter, and sounds without one, as loud as the one that speaks most."""
    by_voice: dict[str, list[ClipLevel]] = {}
    for clip in clips:
        by_voice.setdefault(clip.voice, []).append(clip)
    spoken = {voice: sum(clip.end - clip.start for clip in own) / sampling_rate for voice, own in by_voice.items()}
    levels = {voice: loudness(clip.powers for clip in own) for voice, own in by_voice.items()}
    main = max(filter(None, spoken), key=lambda voice: spoken[voice], default=None)
    wanted = None if main is None else levels[main]
    return {
        voice: 0.0 if wanted is None or level is None else (wanted - level) * _sureness(voice, spoken[voice])
        for voice, level in levels.items()
    }


def _sureness(voice: str, seconds: float) -> float:
    """How much of its difference a voice is evened by; a sound without a voice by all of it."""
    return min(1.0, seconds / _SURE_SECONDS) if voice else 1.0


def clip_gains(clips: Sequence[ClipLevel]) -> list[float]:
    """DB for each clip towards the median loudness of its voice, `MOST_EVENED` at most."""
    known: dict[str, list[float]] = {}
    for clip in clips:
        if clip.lufs is not None:
            known.setdefault(clip.voice, []).append(clip.lufs)
    medians = {voice: float(np.median(levels)) for voice, levels in known.items()}
    return [
        0.0 if clip.lufs is None else float(np.clip(medians[clip.voice] - clip.lufs, -MOST_EVENED, MOST_EVENED))
        for clip in clips
    ]


def _amplify(block: NDArray[np.float32], start: int, spans: Sequence[tuple[int, int, float]], first: int) -> None:
    """Amplify the parts of a block that belong to clips; `first` is the first clip that does not end before it."""
    for begun, ended, factor in spans[first:]:
        if begun >= start + len(block):
            return
        if factor != 1:
            block[max(0, begun - start) : ended - start] *= np.float32(factor)


def _factor(decibels: float) -> float:
    return float(10 ** (decibels / 20))
