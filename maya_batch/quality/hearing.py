"""What Whisper hears: one take at a time on a CPU, several on a GPU, which one alone would leave mostly idle."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.errors import MachineError, first_line
from maya_batch.messages.install_hint import install_hint
from maya_batch.text.language import base_language

if TYPE_CHECKING:
    from faster_whisper.transcribe import Segment

#: Whisper's sampling rate, in Hz.
RATE = 16_000

#: The seconds that Whisper transcribes at a time, and those in which a longer take is cut.
_WINDOW, _CUT_WITHIN = 30, 10

#: Samples of a pause between words, the longest stretch of sound that is compared when a take is cut: 0.2 s.
_PAUSE = RATE // 5

#: Frames a second in faster-whisper's `Segment.seek`.
_SEEK_RATE = 100

#: A transcript that compresses better than this has run into a loop: Whisper's own `compression_ratio_threshold`
#: (openai/whisper, whisper/transcribe.py). A sentence said twice stays below 2.
_LOOP = 2.4

#: A transcript less likely than this, of sound that is silence with more than this probability, counts as silence:
#: Whisper's own `logprob_threshold` and `no_speech_threshold`. faster-whisper applies them to one take at a time alone.
_UNLIKELY, _SILENCE = -1.0, 0.6


@dataclass(frozen=True)
class Recognizer:
    """A loaded ASR model."""

    name: str
    """As the user gave it."""
    model: Any
    """faster-whisper's WhisperModel."""
    batch: int = 1
    """How many takes it transcribes at a time for one thread."""
    workers: int = 1
    """How many threads can use it at a time."""


@dataclass(frozen=True)
class SpokenTake:
    """A take that is transcribed, and what it should say."""

    waveform: NDArray[np.float32]
    """Samples [n] in -1..1, mono."""
    text: str
    respellings: Mapping[str, str] = field(default_factory=dict)
    """Words that stand in the text, and the words they stand for: both are right."""


@dataclass(frozen=True)
class Heard:
    """What was transcribed."""

    text: str = ""
    looped: bool = False
    starts: tuple[int, ...] = ()
    """As `Transcript.starts`."""


def hear_all(recognizer: Recognizer, waveforms: Sequence[NDArray[np.float32]], language: str) -> list[Heard]:
    """The transcripts of takes; `waveforms` have samples [n] in -1..1 at `RATE`.

    Takes of a batch do not touch each other, but a GPU rounds sums by the size of the batch: a transcript that is as
    likely as another may be the one or the other.

    Raises:
        MachineError: ASR fails, for instance because GPU memory is full.
    """
    windows = [_windows(waveform) for waveform in waveforms]
    every = [window for of_take in windows for window in of_take]
    if recognizer.batch == 1 or len(every) < 2:
        heard = iter([_hear_window(recognizer, window, language) for window in every])
    else:
        heard = iter(_in_batches(recognizer, every, language))
    return [_joined(of_take, [next(heard) for _ in of_take]) for of_take in windows]


def hear(recognizer: Recognizer, waveform: NDArray[np.float32], language: str, **otherwise: Any) -> Heard:
    """The transcript of one take. `otherwise` are options of faster-whisper.

    Raises:
        MachineError: as `hear_all`.
    """
    windows = _windows(waveform)
    return _joined(windows, [_hear_window(recognizer, window, language, **otherwise) for window in windows])


def _windows(waveform: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """A take in parts of at most a window, each cut where it is most quiet near its end, the last two near the middle
    of both. None of an empty take.
    """
    windows = list[NDArray[np.float32]]()
    while len(waveform) > _WINDOW * RATE:
        end = min(_WINDOW * RATE, (len(waveform) + _CUT_WITHIN * RATE) // 2)
        start = end - _CUT_WITHIN * RATE
        sums = np.pad(np.square(waveform[start:end], dtype=np.float64).cumsum(), (1, 0))
        cut = start + int((sums[_PAUSE:] - sums[:-_PAUSE]).argmin()) + _PAUSE // 2
        windows.append(waveform[:cut])
        waveform = waveform[cut:]
    return [*windows, waveform] if len(waveform) else windows


def _joined(windows: Sequence[NDArray[np.float32]], heard: Sequence[Heard]) -> Heard:
    """What was heard of a take, from what was heard of each of its windows."""
    starts, at = list[int](), 0
    for window, part in zip(windows, heard, strict=True):
        starts += [1000 * at // RATE + start for start in part.starts]
        at += len(window)
    text = " ".join(part.text for part in heard if part.text)
    complete = all(part.starts or not part.text for part in heard)
    return Heard(text, any(part.looped for part in heard), tuple(starts) if complete else ())


def _hear_window(recognizer: Recognizer, waveform: NDArray[np.float32], language: str, **otherwise: Any) -> Heard:
    """The transcript of at most a window."""
    options = _options(language) | {"condition_on_previous_text": False} | otherwise
    # A window is one segment. With the times of words faster-whisper would go on after the last word, and transcribe
    # the silence there; and it drops a segment of a word without length, which is then transcribed without times.
    for timed in (True, False) if options["without_timestamps"] else (False,):
        try:
            segments, _ = recognizer.model.transcribe(waveform, word_timestamps=timed, **options)
            found = list(islice(segments, 1 if timed else None))
        except RuntimeError as error:
            raise _failed(recognizer, error) from error
        if timed and found and found[0].seek == 0:
            break
    return _heard(found)


def _in_batches(recognizer: Recognizer, waveforms: Sequence[NDArray[np.float32]], language: str) -> list[Heard]:
    """The transcripts of windows, none of them empty."""
    from faster_whisper import BatchedInferencePipeline

    starts, clips, sound = list[int](), list[dict[str, float]](), list[NDArray[np.float32]]()
    at = 0
    for waveform in waveforms:
        seconds = -(-len(waveform) // RATE)
        starts.append(at)
        clips.append({"start": float(at), "end": at + len(waveform) / RATE})
        sound.append(np.pad(waveform, (0, seconds * RATE - len(waveform))))
        at += seconds
    try:
        segments, _ = BatchedInferencePipeline(recognizer.model).transcribe(
            np.concatenate(sound),
            clip_timestamps=clips,
            batch_size=recognizer.batch,
            word_timestamps=True,
            **_options(language),
        )
        by_start = {start: list(found) for start, found in groupby(segments, lambda each: each.seek // _SEEK_RATE)}
    except RuntimeError as error:
        raise _failed(recognizer, error) from error
    return [
        _heard([each for each in by_start.get(start, ()) if not _is_silence(each)], 1000 * start) for start in starts
    ]


def _options(language: str) -> dict[str, Any]:
    return {"language": base_language(language), "beam_size": 5, "temperature": 0.0, "without_timestamps": True}


def _is_silence(segment: "Segment") -> bool:
    return bool(segment.no_speech_prob > _SILENCE and segment.avg_logprob <= _UNLIKELY)


def _heard(segments: Iterable["Segment"], start: int = 0) -> Heard:
    """What was heard of a take that begins `start` ms after the start of the sound."""
    found = list(segments)
    text = " ".join(segment.text.strip() for segment in found)
    looped = any(segment.compression_ratio > _LOOP for segment in found)
    starts = tuple(max(0, round(1000 * word.start) - start) for segment in found for word in segment.words or ())
    # Languages without spaces have other words than the text shows.
    return Heard(text, looped, starts if len(starts) == len(text.split()) else ())


def _failed(recognizer: Recognizer, error: RuntimeError) -> MachineError:
    why = first_line(error)
    mend = f"{install_hint('verify-cuda')}, or" if "libcublas" in why else "try"
    return MachineError(f"recognizer {recognizer.name}: {why}; {mend} --recognizer-device cpu")
