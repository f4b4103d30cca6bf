"""What a take says, written down by a speech recognizer: Whisper, as faster-whisper runs it.

It is an extra, `verify`. Nothing here uses the network; models come by
`maya-batch fetch --recognizer`.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.locate import cached_snapshot
from maya_batch.errors import MachineError, UsageError, first_line
from maya_batch.manifest import Quality
from maya_batch.manifest.one_line import HUB_ID
from maya_batch.messages.install_hint import install_hint
from maya_batch.quality import Problem, Transcript

#: What Whisper hears, in samples a second.
_RATE = 16_000

#: The weights of a CTranslate2 model, and what is read beside them.
_FILES = ("config.json", "model.bin", "tokenizer.json")

#: As faster-whisper's own table has them. Every run asks for one of these, and need not import all of it for that.
_DEFAULTS = {"small.en": "Systran/faster-whisper-small.en", "small": "Systran/faster-whisper-small"}


@dataclass(frozen=True)
class Recognizer:
    """A recognizer that is loaded."""

    name: str
    """As a person gave it."""
    model: Any
    """faster-whisper's WhisperModel."""


def default_recognizer(language: str) -> str:
    """The recognizer for a book's language: small.en hears names and numbers that the smaller ones do not."""
    return "small.en" if _code(language) == "en" else "small"


def _code(language: str) -> str:
    """Whisper's name of a book's language."""
    return language.lower().replace("_", "-").partition("-")[0]


def recognizer_installed() -> bool:
    """Whether faster-whisper is there; it is not loaded."""
    return find_spec("faster_whisper") is not None


def recognizer_ready(name: str) -> bool:
    """Whether faster-whisper is installed and this model lies whole on this disk."""
    if not recognizer_installed():
        return False
    try:
        find_recognizer(name)
    except (MachineError, UsageError):
        return False
    return True


def recognizers_here() -> list[str]:
    """The models that faster-whisper names and that lie whole on this disk.

    Raises:
        ImportError: faster-whisper cannot be loaded.
    """
    from faster_whisper import available_models

    return [name for name in available_models() if recognizer_ready(name)]


def recognizer_repository(name: str) -> str:
    """The hub id of a model that faster-whisper names, like small.en; a hub id is its own.

    Raises:
        MachineError: faster-whisper is not installed.
        UsageError: it names no such model.
    """
    if not recognizer_installed():
        raise MachineError(
            f"the speech recognizer is not installed: {install_hint('verify')}; `--verify off` needs none"
        )
    if "/" in name:
        return name
    if name in _DEFAULTS:
        return _DEFAULTS[name]
    from faster_whisper import utils

    repositories = utils._MODELS  # its only table; available_models() has the names alone
    if name not in repositories:
        raise UsageError(f"recognizer {name}: unknown; known are {', '.join(repositories)}, hub ids and folders")
    return str(repositories[name])


def find_recognizer(name: str) -> Path:
    """The folder of a model, given as that folder, by faster-whisper's name or by hub id.

    Raises:
        MachineError: faster-whisper is not installed, or the model does not lie whole on this disk.
        UsageError: it names no such model.
    """
    folder = Path(name).expanduser()
    if folder.is_absolute() or name.startswith(".") or folder.is_dir():
        lacking = [file for file in _FILES if not (folder / file).is_file()]
        if lacking:
            raise MachineError(
                f"recognizer {name}: no {lacking[0]} there; give the folder of a CTranslate2 Whisper model"
            )
        return folder
    repository = recognizer_repository(name)
    match = HUB_ID.fullmatch(repository)
    if match is None:
        raise UsageError(f"recognizer {name}: neither a folder nor a hub id")
    found = cached_snapshot(match["repo"], match["revision"] or "main")
    if found is None or not all((found / file).is_file() for file in _FILES):
        what = "is not on this disk" if found is None else "is not whole"
        mend = f"get it with `maya-batch fetch --recognizer {name}`, or go on with --verify off"
        raise MachineError(f"recognizer {name} {what}: {mend}")
    return found


def load_recognizer(name: str, device: str, language: str, threads: int = 1) -> Recognizer:
    """Load a model onto `cpu`, `cuda` or `cuda:N`, where it computes with 8-bit weights or in float16.

    What it hears does not depend on the `threads` that it may use on a CPU. On a GPU it hears a second of silence, for
    only then are the GPU's libraries looked for.

    Raises:
        MachineError: faster-whisper is not installed, the model is not on this disk, it cannot be loaded, or does not
            run on the GPU.
        UsageError: there is no such model, or it does not know the book's `language`.
    """
    folder = find_recognizer(name)
    recognizer_repository("org/any")  # a folder needs the library too
    from faster_whisper import WhisperModel

    kind, _, index = device.partition(":")
    compute = "int8" if kind == "cpu" else "float16"
    if kind != "cpu":
        _load_cublas()
    try:
        model = WhisperModel(
            str(folder),
            device=kind,
            device_index=int(index or 0),
            compute_type=compute,
            cpu_threads=threads,
            local_files_only=True,
        )
    except (RuntimeError, ValueError, OSError) as error:
        why = first_line(error)
        hint = "" if kind == "cpu" else "; try --recognizer-device cpu"
        raise MachineError(f"recognizer {name} cannot be loaded on {device}: {why}{hint}") from error
    if _code(language) not in model.supported_languages:
        mend = "" if model.model.is_multilingual else "take `small`, which knows many, or "
        raise UsageError(f"recognizer {name} does not know the book's language, {language}; {mend}--verify off")
    recognizer = Recognizer(name, model)
    if kind != "cpu":
        _transcribe(recognizer, np.zeros(_RATE, dtype=np.float32), language)
    return recognizer


def _load_cublas() -> None:
    """Have CUDA 12's cuBLAS where its Python package is installed: CTranslate2 asks the system for it by these names,
    and PyTorch brings CUDA 13's. Where it is not, the first use says so.

    Raises:
        MachineError: it is installed and cannot be loaded.
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
    recognizer: Recognizer, wave: NDArray[np.float32], rate: int, text: str, language: str, quality: Quality
) -> tuple[Transcript, tuple[Problem, ...]]:
    """What is heard in a take that is to say `text`, and what is wrong with it.

    `wave` are samples [n] in -1..1, `rate` of them a second. The same samples give the same result on the same
    machine: the likeliest of five transcripts is taken, nothing is drawn.

    Whisper loses itself now and then in a take that says its text: it stops, or repeats a word for ever. So where words
    seem wrong it listens once more, with time stamps, which lead it elsewhere; what a take lacks it hears neither time.
    Of 14 whole takes of the demo voice that tiny.en flagged, of 600, 6 were cleared so.

    Raises:
        MachineError: the recognizer fails, as when the GPU's memory is full.
    """
    from maya_batch.quality.transcript_checks import check_words

    samples = _resample(wave, rate)

    def hear(timed: bool) -> tuple[Transcript, tuple[Problem, ...]]:
        transcript = _transcribe(recognizer, samples, language, timed)
        return check_words(text, transcript, recognizer.name, language, quality)

    first = hear(timed=False)
    if not first[1] or any(problem.kind == "tag" for problem in first[1]):
        return first
    second = hear(timed=True)
    return first if second[1] else second


def _resample(wave: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """To Whisper's rate, by a polyphase filter that keeps what lies above its band out of it."""
    from math import gcd

    from scipy.signal import resample_poly

    common = gcd(rate, _RATE)
    return np.ascontiguousarray(resample_poly(wave, _RATE // common, rate // common), dtype=np.float32)


def _transcribe(recognizer: Recognizer, wave: NDArray[np.float32], language: str, timed: bool = False) -> str:
    if not len(wave):
        return ""
    try:
        segments, _ = recognizer.model.transcribe(
            wave,
            language=_code(language),
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=not timed,
        )
        return " ".join(segment.text.strip() for segment in segments)
    except RuntimeError as error:
        why = first_line(error)
        mend = f"{install_hint('verify-cuda')}, or" if "libcublas" in why else "try"
        raise MachineError(f"recognizer {recognizer.name}: {why}; {mend} --recognizer-device cpu") from error
