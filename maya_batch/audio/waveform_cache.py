"""Decodes takes and keeps their waveforms until their chapter is assembled, as far as memory allows."""

import hashlib
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maya_batch.checkpoint.token_layout import Codes
from maya_batch.errors import MachineError, first_line
from maya_batch.torch_errors import is_gpu_failure, out_of_memory

#: Bytes of waveforms that are kept unless more are allowed: more than two hours of speech.
_FEW = 768 * 2**20


class Decodable(Protocol):
    """A take that can be decoded, named by the key of its chunk and its attempt."""

    @property
    def key(self) -> str:
        """The chunk's key."""

    @property
    def attempt(self) -> int:
        """The number of the take, from 1."""

    @property
    def codes(self) -> ArrayLike:
        """Codes [frames, 7]."""


class Decoder(Protocol):
    """A codec: `audio.snac_codec.Codec`, or a fake."""

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        """Samples [n] in -1..1 of codes [frames, 7]."""


@runtime_checkable
class StartingDecoder(Protocol):
    """A codec that goes on decoding while its caller does something else."""

    def start(self, codes: Codes, seed: int) -> Callable[[], NDArray[np.float32]]:
        """Begin to decode; what is returned waits for the samples."""


def start_decoding(codec: Decoder, codes: Codes, seed: int) -> Callable[[], NDArray[np.float32]]:
    """Begin to decode, or decode if the codec cannot only begin; what is returned waits for the samples."""
    if isinstance(codec, StartingDecoder):
        return codec.start(codes, seed)
    samples = codec.decode(codes, seed)
    return lambda: samples


class Waveform:
    """The samples of a take, which a GPU may still be decoding. Any thread may ask for them."""

    def __init__(self, wait: Callable[[], NDArray[np.float32]]) -> None:
        self._wait: Callable[[], NDArray[np.float32]] | None = wait
        self._samples: NDArray[np.float32] = np.zeros(0, np.float32)
        self._lock = Lock()
        self.counted = 0
        """Bytes that its memory counts."""

    def samples(self) -> NDArray[np.float32]:
        """Samples [n] in -1 to 1, or what the codec made instead."""
        with self._lock:
            if self._wait is not None:
                self._samples, self._wait = self._wait(), None
            return self._samples


class WaveformMemory:
    """The memory that the waveforms of several books share. Of all of them, one clip is decoded at a time."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.most = _FEW
        """Bytes that are kept; other waveforms are decoded again when they are needed."""
        self.bytes = 0
        """Bytes of the waveforms that are kept."""


class WaveformCache:
    """Decoded takes. Any thread may use it; clips are decoded one at a time, which bounds the memory for that."""

    def __init__(self, load: Callable[[], Decoder], memory: WaveformMemory | None = None) -> None:
        """`load` is called when the codec is first needed."""
        self._load = load
        self._codec: Decoder | None = None
        self._kept: dict[tuple[str, int], Waveform] = {}
        self._memory = memory or WaveformMemory()
        self._lock = self._memory.lock

    @property
    def loaded(self) -> bool:
        """Whether the codec is loaded."""
        return self._codec is not None

    def load(self) -> Decoder:
        """The codec; the first call loads it."""
        with self._lock:
            if self._codec is None:
                self._codec = self._load()
            return self._codec

    def allow(self, most: int) -> None:
        """Keep up to `most` bytes, if that is more than up to now."""
        with self._lock:
            self._memory.most = max(self._memory.most, most)

    def forget(self) -> None:
        """Drop the codec: it cannot be used any more."""
        self._codec = None

    def prepare(self, take: Decodable) -> NDArray[np.float32]:
        """A take's waveform; it is kept for its chapter."""
        return self.samples(take, self.start(take))

    def start(self, take: Decodable) -> Waveform:
        """Begin to decode a take, whose waveform is kept for its chapter. `samples` has to be asked for it."""
        name = (take.key, take.attempt)
        with self._lock:
            if name in self._kept:
                return self._kept[name]
            waveform = self._start(take)
            if self._memory.bytes < self._memory.most:
                self._kept[name] = waveform
            return waveform

    def samples(self, take: Decodable, waveform: Waveform) -> NDArray[np.float32]:
        """The samples of what `start` began for a take."""
        with _decoding():
            samples = waveform.samples()
        with self._lock:
            if self._kept.get((take.key, take.attempt)) is waveform and not waveform.counted:
                waveform.counted = samples.nbytes
                self._memory.bytes += waveform.counted
        return samples

    def drop(self, take: Decodable) -> None:
        """Drop a take's waveform: no chapter needs it."""
        with self._lock:
            waveform = self._kept.pop((take.key, take.attempt), None)
            self._memory.bytes -= 0 if waveform is None else waveform.counted

    def drop_keys(self, keys: Container[str]) -> None:
        """Drop the waveforms of takes of these keys: no chapter needs them any more."""
        with self._lock:
            for key, attempt in [name for name in self._kept if name[0] in keys]:
                self._memory.bytes -= self._kept.pop((key, attempt)).counted

    def clear(self) -> None:
        """Drop all waveforms: the book is closed."""
        with self._lock:
            self._memory.bytes -= sum(waveform.counted for waveform in self._kept.values())
            self._kept.clear()

    def pop(self, take: Decodable) -> NDArray[np.float32]:
        """A take's waveform for its chapter, -1 to 1; it is then dropped."""
        with self._lock:
            waveform = self._kept.get((take.key, take.attempt)) or self._start(take)
            self.drop(take)
        with _decoding():
            return audible(waveform.samples())

    def _start(self, take: Decodable) -> Waveform:
        with _decoding():
            return Waveform(start_decoding(self.load(), np.asarray(take.codes), noise_seed(take.key, take.attempt)))


@contextmanager
def _decoding() -> Iterator[None]:
    """Where clips are decoded, full memory is a MachineError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error) or is_gpu_failure(error):
            raise
        # Its own error: the engine would answer PyTorch's with a smaller batch.
        raise MachineError(
            f"the memory is full while audio is decoded ({first_line(error)}); use a smaller --batch-size"
        ) from error


def audible(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """The waveform with non-finite samples as silence; `quality.audio_checks` records these."""
    return waveform if np.isfinite(waveform).all() else np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)


def noise_seed(key: str, attempt: int) -> int:
    """The seed of the codec's noise for a take."""
    return int.from_bytes(hashlib.sha256(f"noise {key} {attempt}".encode()).digest()[:7])
