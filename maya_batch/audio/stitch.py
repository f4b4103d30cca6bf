"""Joins clips of speech into one stream of PCM: trims and fades their edges, and adds the pauses.

It is lazy: clips are taken from the caller one at a time.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SILENCE_DBFS = -50.0
"""A step of `STEP_MS` with an RMS below this, relative to full scale, counts as silence."""
STEP_MS = 10
"""The length of the steps in which silence at the edges is measured."""
MARGIN_MS = 30
"""Silence kept at either edge: soft onsets and fricatives begin below the threshold."""
FADE_IN_MS = 5
FADE_OUT_MS = 10

_FULL_SCALE = 32767
_BYTES = 2  # of one sample
_Segment: TypeAlias = Any  # a pydub.AudioSegment; pydub has no types


@dataclass(frozen=True, eq=False)
class Clip:
    """One piece of speech and the pause that follows it."""

    waveform: NDArray[np.float32]
    """[samples], within -1..1, mono."""
    pause: float
    """Seconds of silence until the next clip; 0 for the last one, which `stitch`'s `end` follows."""
    voice: str = ""
    """Who speaks; empty for a sound without a voice."""
    name: str = ""
    """What reports call the clip."""


def stitch(clips: Iterable[Clip], *, start: float, end: float, sampling_rate: int = 24000) -> Iterator[bytes]:
    """Join `clips` into little-endian 16-bit mono PCM, in pieces of whole samples; see `segments`."""
    return (pcm for pcm, _ in segments(clips, start=start, end=end, sampling_rate=sampling_rate))


def segments(
    clips: Iterable[Clip], *, start: float, end: float, sampling_rate: int = 24000
) -> Iterator[tuple[bytes, Clip | None]]:
    """The PCM of each clip, and of each silence between them, with None.

    Silence at a clip's edges is cut to `MARGIN_MS`, and the rest counts towards the pause next to it, so the silence in
    the chapter is as long as the pause, to about `STEP_MS`. A clip without sound is not trimmed. `start` and `end` are
    seconds of silence before the first clip and after the last.

    Raises:
        ValueError: a sample is not a number within -1..1 (it is not clamped: the caller has a bug), a clip is not
            one-dimensional floats, a pause is negative or not finite, or `sampling_rate` is not a whole number of kHz.
    """
    if sampling_rate <= 0 or sampling_rate % 1000:
        raise ValueError(f"sampling_rate is {sampling_rate}, not a whole number of kHz")
    owed = _samples("start", start, sampling_rate)  # silence not yet written, in samples
    closing = _samples("end", end, sampling_rate)
    pydub = _pydub()
    for position, clip in enumerate(clips):
        name = f"clip {position}"
        voice, head, tail = _trim(pydub, _segment(pydub, clip.waveform, name, sampling_rate))
        yield bytes(max(0, owed - head) * _BYTES), None
        yield _fade(voice), clip
        # Below zero if the margin alone is longer than the pause: the head of the next clip must not add to it.
        owed = _samples(f"{name}: pause", clip.pause, sampling_rate) - tail
    yield bytes(max(0, owed + closing) * _BYTES), None


def _pydub() -> ModuleType:
    """Import pydub without warnings: it looks for an ffmpeg that is not needed here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Couldn't find ffmpeg or avconv", RuntimeWarning)
        # Python 3.11 and 3.12 warn of audioop's removal, newer ones of escapes in pydub's source.
        warnings.filterwarnings("ignore", ".*audioop", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*invalid escape sequence", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*invalid escape sequence", SyntaxWarning)
        import pydub
        import pydub.silence
    module: ModuleType = pydub
    return module


def _segment(pydub: ModuleType, waveform: NDArray[np.float32], name: str, sampling_rate: int) -> _Segment:
    """`waveform` as an AudioSegment of whole milliseconds."""
    pcm = _int16(waveform, name)
    # pydub counts in milliseconds, and would drop or blank the samples after the last whole one. Repeating the last
    # sample for less than a millisecond adds no step and no click.
    missing = -len(pcm) % (sampling_rate // 1000)
    if missing:
        pcm = np.pad(pcm, (0, missing), mode="edge")
    return pydub.AudioSegment(pcm.tobytes(), sample_width=_BYTES, frame_rate=sampling_rate, channels=1)


def _trim(pydub: ModuleType, segment: _Segment) -> tuple[_Segment, int, int]:
    """`segment` without the silence outside its margins, and the samples of margin at its head and tail."""
    lead = pydub.silence.detect_leading_silence(segment, SILENCE_DBFS, STEP_MS)
    trail = pydub.silence.detect_leading_silence(segment.reverse(), SILENCE_DBFS, STEP_MS)
    if lead + trail >= len(segment):
        return segment, 0, 0
    head, tail = min(lead, MARGIN_MS), min(trail, MARGIN_MS)
    per_ms = segment.frame_rate // 1000
    return segment[lead - head : len(segment) - trail + tail], head * per_ms, tail * per_ms


def _fade(segment: _Segment) -> bytes:
    """The samples of `segment`, faded in and out."""
    # A clip shorter than both fades gets shorter ones, which must not overlap.
    half = len(segment) // 2
    if half:
        segment = segment.fade_in(min(FADE_IN_MS, half)).fade_out(min(FADE_OUT_MS, half))
    return bytes(segment.raw_data)


def _int16(waveform: NDArray[np.float32], name: str) -> NDArray[np.int16]:
    if waveform.ndim != 1 or not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(f"{name}: shape {waveform.shape} of {waveform.dtype}, not one-dimensional floats")
    wrong = np.flatnonzero(~(np.abs(waveform) <= 1))  # a NaN compares false
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(f"{name}: {len(wrong)} samples not within -1..1, first sample {at}: {waveform[at]}")
    return np.rint(waveform * _FULL_SCALE).astype("<i2")


def _samples(name: str, seconds: float, sampling_rate: int) -> int:
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{name} is {seconds}, not a length in seconds")
    return round(seconds * sampling_rate)
