"""The sound of takes, decoded as they come and kept until their chapter is put together, as far as memory allows."""

import hashlib
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec

#: Bytes of sound that are kept: more than two hours. What is over is decoded when it is needed.
_KEPT = 768 * 2**20


class Decodable(Protocol):
    """What is decoded: a take, by the name of its chunk and which attempt at it this is."""

    @property
    def key(self) -> str:
        """The chunk's key."""

    @property
    def attempt(self) -> int:
        """Its number, from 1."""

    @property
    def codes(self) -> ArrayLike:
        """Codes [frames, 7]."""


class WaveformCache:
    """Decoded takes."""

    def __init__(self, load: Callable[[], "Codec"]) -> None:
        """`load` is called once, when the codec is needed."""
        self._load = load
        self._codec: Codec | None = None
        self._kept: dict[tuple[str, int], NDArray[np.float32]] = {}
        self._bytes = 0

    @property
    def loaded(self) -> bool:
        """Whether the codec is there."""
        return self._codec is not None

    @property
    def kept_bytes(self) -> int:
        """How much sound is kept."""
        return self._bytes

    def load(self) -> "Codec":
        """Have the codec loaded."""
        if self._codec is None:
            self._codec = self._load()
        return self._codec

    def forget(self) -> None:
        """The codec is of no use any more; for the rest of the run it counts as not loaded."""
        self._codec = None

    def prepare(self, take: Decodable) -> NDArray[np.float32]:
        """A take's samples, which will be asked for again."""
        name = (take.key, take.attempt)
        if name in self._kept:
            return self._kept[name]
        wave = self._decode(take)
        if self._bytes < _KEPT:
            self._kept[name] = wave
            self._bytes += wave.nbytes
        return wave

    def drop(self, take: Decodable) -> None:
        """Keep a take's samples no longer: no chapter will ask for them."""
        wave = self._kept.pop((take.key, take.attempt), None)
        self._bytes -= 0 if wave is None else wave.nbytes

    def drop_keys(self, keys: Container[str]) -> None:
        """Keep no samples of takes of these keys: their chapter is put together, or needs not be."""
        for key, attempt in [name for name in self._kept if name[0] in keys]:
            self._bytes -= self._kept.pop((key, attempt)).nbytes

    def pop(self, take: Decodable) -> NDArray[np.float32]:
        """A take's samples as a chapter has them, -1 to 1; they are kept no longer."""
        wave = self._kept.get((take.key, take.attempt))
        self.drop(take)
        return audible(self._decode(take) if wave is None else wave)

    def _decode(self, take: Decodable) -> NDArray[np.float32]:
        return self.load().decode(np.asarray(take.codes), noise_seed(take.key, take.attempt))


def audible(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples, with silence for those that are no finite numbers; quality.sound puts these on record."""
    return wave if np.isfinite(wave).all() else np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0)


def noise_seed(key: str, attempt: int) -> int:
    """What settles the codec's noise for a take."""
    return int.from_bytes(hashlib.sha256(f"noise {key} {attempt}".encode()).digest()[:7])
