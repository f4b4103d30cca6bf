"""The sound of takes, decoded as they come and kept until their chapter is put together, as far as memory allows."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from maya_batch.store import Take

if TYPE_CHECKING:
    from maya_batch.codec import Codec

#: Bytes of sound that are kept: more than two hours. What is over is decoded when it is needed.
_KEPT = 768 * 2**20


class Waves:
    """Decoded takes."""

    def __init__(self, codec: "Codec") -> None:
        self._codec = codec
        self._kept: dict[tuple[str, int], NDArray[np.float32]] = {}
        self._bytes = 0

    def prepare(self, take: Take) -> None:
        """Decode a take now that will be asked for later."""
        if self._bytes < _KEPT:
            wave = self._kept[take.key, take.attempt] = self._decode(take)
            self._bytes += wave.nbytes

    def pop(self, take: Take) -> NDArray[np.float32]:
        """A take's samples, -1 to 1; they are kept no longer."""
        wave = self._kept.pop((take.key, take.attempt), None)
        if wave is None:
            return self._decode(take)
        self._bytes -= wave.nbytes
        return wave

    def _decode(self, take: Take) -> NDArray[np.float32]:
        return self._codec.decode(take.codes, noise_seed(take.key, take.attempt))


def noise_seed(key: str, attempt: int) -> int:
    """What settles the codec's noise for a take."""
    return int.from_bytes(hashlib.sha256(f"noise {key} {attempt}".encode()).digest()[:7])
