"""Speech recognition (ASR) of takes with Whisper, run by faster-whisper.

faster-whisper is the extra `verify`. Nothing here uses the network; `maya-batch fetch --recognizer` downloads models.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.errors import MachineError, UsageError, first_line
from maya_batch.manifest import Quality
from maya_batch.messages.install_hint import install_hint
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.recognizers import check_installed, find_recognizer
from maya_batch.text.language import base_language

#: Whisper's sampling rate, in Hz.
_RATE = 16_000

#: The seconds that Whisper transcribes at a time.
_WINDOW = 30

#: A transcript that compresses better than this has run into a loop: Whisper's own `compression_ratio_threshold`
#: (openai/whisper, whisper/transcribe.py). A sentence said twice stays below 2.
_LOOP = 2.4


@dataclass(frozen=True)
class Recognizer:
    """A loaded ASR model."""

    name: str
    """As the user gave it."""
    model: Any
    """faster-whisper's WhisperModel."""


@dataclass(frozen=True)
class _Heard:
    """What was transcribed."""

    text: str = ""
    looped: bool = False
    starts: tuple[int, ...] = ()
    """As `Transcript.starts`."""


def load_recognizer(name: str, device: str, language: str, threads: int = 1) -> Recognizer:
    """Load a model onto `cpu` (8-bit weights), `cuda` or `cuda:N` (float16).

    Transcripts do not depend on `threads`, the number of CPU threads. On a GPU, a second of silence is transcribed
    first: CTranslate2 loads the GPU's libraries only then.

    Raises:
        MachineError: faster-whisper is not installed, or the model is not on this disk, cannot be loaded, or does not
            run on the GPU.
        UsageError: there is no model of this name, or it does not support the book's `language`.
    """
    folder = find_recognizer(name)
    check_installed()
    from faster_whisper import WhisperModel

    kind, _, index = device.partition(":")
    compute = "int8" if kind == "cpu" else "float16"
    if kind != "cpu":
        _load_cublas()
    try:
        # CTranslate2 sets the number of OpenMP threads of the thread that loads a model, and PyTorch, which shares
        # OpenMP with it, would go on there with as many: the voice with one, and other last bits.
        with ThreadPoolExecutor(1) as pool:
            model = pool.submit(
                WhisperModel,
                str(folder),
                device=kind,
                device_index=int(index or 0),
                compute_type=compute,
                cpu_threads=threads,
                local_files_only=True,
            ).result()
    except (RuntimeError, ValueError, OSError) as error:
        why = first_line(error)
        hint = "" if kind == "cpu" else "; try --recognizer-device cpu"
        raise MachineError(f"recognizer {name} cannot be loaded on {device}: {why}{hint}") from error
    if base_language(language) not in model.supported_languages:
        other = "" if model.model.is_multilingual else "--recognizer small, which is multilingual, or "
        raise UsageError(f"recognizer {name} does not support {language}, the book's language; use {other}--verify off")
    recognizer = Recognizer(name, model)
    if kind != "cpu":
        _transcribe(recognizer, np.zeros(_RATE, dtype=np.float32), language)
    return recognizer


def _load_cublas() -> None:
    """Load CUDA 12's cuBLAS from its Python package, if that is installed: CTranslate2 loads it by these names, and
    PyTorch brings that of CUDA 13. Without it, the first transcription raises an error.

    Raises:
        MachineError: it is installed but cannot be loaded.
    """
    from ctypes import CDLL, RTLD_GLOBAL

    spec = find_spec("nvidia.cublas") if find_spec("nvidia") is not None else None
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for name in ("libcublasLt.so.12", "libcublas.so.12"):
            if not (library := Path(folder, "lib", name)).is_file():
                continue
            try:
                CDLL(str(library), mode=RTLD_GLOBAL)
            except OSError as error:
                raise MachineError(f"{library}: cannot be loaded ({error}); try --recognizer-device cpu") from error


def listen(
    recognizer: Recognizer,
    waveform: NDArray[np.float32],
    rate: int,
    text: str,
    language: str,
    quality: Quality,
    respellings: Mapping[str, str] | None = None,
) -> tuple[Transcript, tuple[Problem, ...]]:
    """Transcribe a take of `text`, and check the transcript against the text.

    `respellings` of words that stand in the text, to the words they stand for: both are right. `waveform` has samples
    in -1..1 at `rate` Hz, mono. The same samples give the same result on the same machine: beam search takes the most
    likely of five transcripts, and nothing is sampled.

    Whisper sometimes fails on a good take: it stops, or repeats a word without end. A take with wrong words is
    transcribed a second time, with time stamps, which change the decoding, and after a loop instead so that no three
    tokens come twice; words that the take lacks are in neither transcript. Of 600 good takes of the demo voice tiny.en
    flagged 14; the second time cleared 6 of these.

    Raises:
        MachineError: ASR fails, for instance because GPU memory is full.
    """
    from maya_batch.quality.transcript_checks import check_words

    samples = _resample(waveform, rate)

    def checked(heard: _Heard) -> tuple[Transcript, tuple[Problem, ...]]:
        transcript, found = check_words(text, heard.text, recognizer.name, language, quality, respellings)
        return replace(transcript, starts=heard.starts), found

    heard = _transcribe(recognizer, samples, language)
    first = checked(heard)
    if not first[1] or any(problem.kind == "tag" for problem in first[1]):
        return first
    otherwise = {"no_repeat_ngram_size": 3} if heard.looped else {"without_timestamps": False}
    second = checked(_transcribe(recognizer, samples, language, **otherwise))
    return first if second[1] else second


def _resample(waveform: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resample to Whisper's rate; the polyphase filter keeps higher frequencies from aliasing into its band."""
    from math import gcd

    from scipy.signal import resample_poly

    common = gcd(rate, _RATE)
    return np.ascontiguousarray(resample_poly(waveform, _RATE // common, rate // common), dtype=np.float32)


def _transcribe(recognizer: Recognizer, waveform: NDArray[np.float32], language: str, **otherwise: int) -> _Heard:
    """The transcript. `otherwise` are options of faster-whisper."""
    if not len(waveform):
        return _Heard()
    options = {
        "beam_size": 5,
        "temperature": 0.0,
        "condition_on_previous_text": False,
        "without_timestamps": True,
    } | otherwise
    # A window is one segment. With the times of words faster-whisper would go on after the last word, and transcribe
    # the silence there; and it drops a segment of a word without length, which is then transcribed without times.
    for timed in (True, False) if options["without_timestamps"] and len(waveform) <= _WINDOW * _RATE else (False,):
        try:
            segments, _ = recognizer.model.transcribe(
                waveform, language=base_language(language), word_timestamps=timed, **options
            )
            found = list(islice(segments, 1 if timed else None))
        except RuntimeError as error:
            why = first_line(error)
            mend = f"{install_hint('verify-cuda')}, or" if "libcublas" in why else "try"
            raise MachineError(f"recognizer {recognizer.name}: {why}; {mend} --recognizer-device cpu") from error
        if timed and found and found[0].seek == 0:
            break
    text = " ".join(segment.text.strip() for segment in found)
    looped = any(segment.compression_ratio > _LOOP for segment in found)
    starts = tuple(round(1000 * word.start) for segment in found for word in segment.words or ())
    # Languages without spaces have other words than the text shows.
    return _Heard(text, looped, starts if len(starts) == len(text.split()) else ())
