"""Speech recognition (ASR) of takes with Whisper, run by faster-whisper.

faster-whisper is the extra `verify`. Nothing here uses the network; `maya-batch fetch --recognizer` downloads models.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from maya_batch.errors import MachineError, UsageError, first_line, is_of_a_signal
from maya_batch.manifest import Quality
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.hearing import RATE, Heard, Recognizer, SpokenTake, hear, hear_all
from maya_batch.quality.recognizers import check_installed, find_recognizer
from maya_batch.text.language import base_language

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

#: Tokens of Whisper without which nothing is transcribed.
_TOKENS = ("<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>", "<|endoftext|>")

#: Takes that are transcribed at a time on a GPU, and the bytes of its memory for each. Most of what a take needs is the
#: encoder's attention: in float16, with a copy, 1,500 x 1,500 positions in each head are 103 MiB in small.en, which has
#: 12 heads, and 172 MiB in large-v3, which has 20.
_FEWEST_TOGETHER, _MOST_TOGETHER, _BYTES_A_TAKE = 4, 64, 2 * 2**30

#: Workers on a GPU: some check sound and compute spectra while the batch of another is on the GPU. A third one pays
#: where each still has this many takes, because most of a batch's time does not depend on its size: on an H200 that
#: transcribed all takes beside the voice, two made 0.77 of the speed without, three 0.79 and 0.80, and four 0.79.
_GPU_WORKERS, _FEWEST_A_WORKER = 3, 16

#: CU_MEMPOOL_ATTR_RELEASE_THRESHOLD of CUDA's driver API: the bytes that a pool of memory keeps.
_RELEASE_THRESHOLD = 4

#: Threads of a worker on a CPU. More threads for one take gain less than more takes at a time.
_THREADS_A_WORKER = 2

#: CPU threads of a worker on a GPU. More would only wait for each other, and while they do, each keeps a core busy.
_THREADS_BESIDE_GPU = 4


def load_recognizer(name: str, device: str, language: str, threads: int = 1, workers: int | None = None) -> Recognizer:
    """Load a model onto `cpu` (8-bit weights), `cuda` or `cuda:N` (float16).

    Transcripts on a CPU do not depend on `threads`, the number of CPU threads. `workers` is how many threads will use
    it; None: as many as pay on this device. On a GPU, takes of silence are transcribed first, as many as will be at a
    time: CTranslate2 loads the GPU's libraries only then, and keeps the memory that it took, so that the engine, which
    plans with what is free, plans without it.

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
    together = 0 if kind == "cpu" else _takes_together(int(index or 0))
    most = max(1, threads // _THREADS_A_WORKER) if kind == "cpu" else min(_workers_on_gpu(together), threads)
    workers = most if workers is None else min(workers, threads)
    if kind != "cpu":
        _load_cublas()
        _keep_memory(int(index or 0))
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
                cpu_threads=min(threads // workers, threads if kind == "cpu" else _THREADS_BESIDE_GPU),
                num_workers=workers,
                local_files_only=True,
            ).result()
    except Exception as error:  # a tokenizer that cannot be read raises nothing narrower
        if is_of_a_signal(error):
            raise
        why = first_line(error)
        hint = "" if kind == "cpu" else "; try --recognizer-device cpu"
        raise MachineError(f"recognizer {name} cannot be loaded on {device}: {why}{hint}") from error
    if base_language(language) not in model.supported_languages:
        other = "" if model.model.is_multilingual else "--recognizer small, which is multilingual, or "
        raise UsageError(f"recognizer {name} does not support {language}, the book's language; use {other}--verify off")
    _check_fits(name, model)
    recognizer = Recognizer(name, model, max(1, together // workers), workers)
    if kind != "cpu":
        # When the model is gone, the engine may use its memory.
        finalize(model, _keep_memory, int(index or 0), 0).atexit = False
        silence = [np.zeros(RATE, dtype=np.float32)] * recognizer.batch
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda _: hear_all(recognizer, silence, language), range(workers)))
    return recognizer


def _check_fits(name: str, model: "WhisperModel") -> None:
    """Raise a MachineError if the files next to the weights are of another model: the first take would show it.

    Who converts large-v3 may forget its preprocessor_config.json, and without it faster-whisper assumes 80 bands.
    """
    bands, made = model.model.n_mels, len(model.feature_extractor.mel_filters)
    if made != bands:
        raise MachineError(
            f"recognizer {name}: the model hears {bands} bands of sound, but without a preprocessor_config.json, or "
            f"with this one, it would get {made}; copy the file of the model that it was converted from"
        )
    unknown = [token for token in _TOKENS if model.hf_tokenizer.token_to_id(token) is None]
    if unknown:
        raise MachineError(f"recognizer {name}: its tokenizer.json has no {unknown[0]}; fetch the model again")


def _takes_together(gpu: int) -> int:
    """How many takes are transcribed at a time on a GPU, by all workers."""
    import torch

    memory = torch.cuda.get_device_properties(gpu).total_memory if torch.cuda.is_available() else 0
    return max(_FEWEST_TOGETHER, min(_MOST_TOGETHER, memory // _BYTES_A_TAKE))


def _workers_on_gpu(together: int) -> int:
    """How many workers share so many takes."""
    return min(_GPU_WORKERS, max(_GPU_WORKERS - 1, together // _FEWEST_A_WORKER))


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


def _keep_memory(gpu: int, size: int = 2**64 - 1) -> None:
    """Make CUDA's memory pool keep up to `size` free bytes, for the next batch of CTranslate2.

    By default the pool returns free memory at each synchronization, and the engine plans with it: two batches of 32
    take 5 GiB. Without a pool CTranslate2 uses its own cache.
    """
    from ctypes import CDLL, byref, c_uint64, c_void_p

    try:
        cuda = CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        pool = c_void_p()
        if cuda.cuInit(0) == 0 and cuda.cuDeviceGetDefaultMemPool(byref(pool), gpu) == 0:
            cuda.cuMemPoolSetAttribute(pool, _RELEASE_THRESHOLD, byref(c_uint64(size)))
    except (OSError, AttributeError):  # no driver, or one without pools
        return


def listen(
    recognizer: Recognizer,
    takes: Sequence[SpokenTake],
    rate: int,
    language: str,
    quality: Quality,
    twice: bool = True,
) -> list[tuple[Transcript, tuple[Problem, ...]]]:
    """Transcribe takes at `rate` Hz, and check each transcript against its text.

    On a CPU, the same samples give the same result on the same machine: beam search takes the most likely of five
    transcripts, and nothing is sampled. On a GPU so do the same takes together.

    Whisper sometimes fails on a good take: it stops, or repeats a word without end. A take with wrong words is
    transcribed a second time, with time stamps, which change the decoding, and after a loop instead so that no three
    tokens come twice; words that the take lacks are in neither transcript. Of 600 good takes of the demo voice tiny.en
    flagged 14; the second time cleared 6 of these. Without `twice` each is transcribed once.

    Raises:
        MachineError: ASR fails, for instance because GPU memory is full.
    """
    from maya_batch.quality.transcript_checks import check_words

    def checked(take: SpokenTake, heard: Heard) -> tuple[Transcript, tuple[Problem, ...]]:
        transcript, found = check_words(take.text, heard.text, recognizer.name, language, quality, take.respellings)
        return replace(transcript, starts=heard.starts), found

    results, waveforms = [], [_resample(take.waveform, rate) for take in takes]
    for take, waveform, heard in zip(takes, waveforms, hear_all(recognizer, waveforms, language), strict=True):
        first = checked(take, heard)
        if not twice or not first[1] or any(problem.kind == "tag" for problem in first[1]):
            results.append(first)
            continue
        otherwise = {"no_repeat_ngram_size": 3} if heard.looped else {"without_timestamps": False}
        second = checked(take, hear(recognizer, waveform, language, **otherwise))
        results.append(first if second[1] else second)
    return results


def _resample(waveform: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resample to Whisper's rate; the polyphase filter keeps higher frequencies from aliasing into its band."""
    from math import gcd

    from scipy.signal import resample_poly

    common = gcd(rate, RATE)
    return np.ascontiguousarray(resample_poly(waveform, RATE // common, rate // common), dtype=np.float32)
