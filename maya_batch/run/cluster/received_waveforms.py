"""The waveforms that workers have decoded, until the driver asks its codec for them."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import Decoder, start_decoding
from maya_batch.checkpoint.token_layout import Codes

#: Bytes that are kept: more than the takes that wait for their inspection have. The oldest are dropped first, and
#: decoded here if they are needed after all.
_KEPT = 512 * 2**20


class ReceivedWaveforms:
    """Waveforms by the seed of their noise, which is that of one take. Any thread may use it."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        """Of the codec with which workers decode; None if they do not."""
        self._lock = Lock()
        self._kept = OrderedDict[int, tuple[Codes, NDArray[np.float32]]]()
        self._bytes = 0

    def put(self, seed: int, codes: Codes, waveform: NDArray[np.float32]) -> None:
        """Keep a copy of the samples [n] of these codes [frames, 7]."""
        with self._lock:
            self._drop(seed)
            self._kept[seed] = codes, waveform.copy()
            self._bytes += waveform.nbytes
            while self._bytes > _KEPT:
                self._drop(next(iter(self._kept)))

    def pop(self, seed: int, codes: Codes) -> NDArray[np.float32] | None:
        """The samples of these codes, which are then dropped; None if they were not received."""
        with self._lock:
            found = self._drop(seed)
        return found[1] if found is not None and np.array_equal(found[0], codes) else None

    def _drop(self, seed: int) -> tuple[Codes, NDArray[np.float32]] | None:
        found = self._kept.pop(seed, None)
        self._bytes -= 0 if found is None else found[1].nbytes
        return found


class ReceivingCodec:
    """The codec of this folder, for the driver: it decodes what no worker has decoded with it."""

    def __init__(self, codec: Decoder, received: ReceivedWaveforms, folder: Path) -> None:
        self._codec, self._received, self._folder = codec, received, folder

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        """Samples [n] in -1..1 of codes [frames, 7]."""
        return self.start(codes, seed)()

    def start(self, codes: Codes, seed: int) -> Callable[[], NDArray[np.float32]]:
        """Begin to decode; what is returned waits for the samples."""
        received = self._received.pop(seed, codes) if self._received.folder == self._folder else None
        if received is not None:
            return lambda: received
        return start_decoding(self._codec, codes, seed)
