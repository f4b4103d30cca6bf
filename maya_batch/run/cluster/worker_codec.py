"""Decodes on a worker what its engine has generated.

In the driver's process a clip would take more of a GPU: two processes have it by turns, and here a clip is decoded
between two frames.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import Decoder, start_decoding
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import Codes, TokenLayout
from maya_batch.errors import MachineError, first_line
from maya_batch.run.cluster.messages import CodecJob

log = logging.getLogger(__name__)

#: What is called with the samples of a generation, or with None if the driver is to decode it.
Deliver: TypeAlias = Callable[[NDArray[np.float32] | None], None]

Result = TypeVar("Result")

_INSTEAD = "the driver decodes what it generates"


class WorkerCodec:
    """Begins to decode on one thread, and waits for samples on another: on a GPU, a clip waits for a frame or two."""

    def __init__(self, codec: Decoder) -> None:
        self._codec: Decoder | None = codec
        self._starting = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._waiting = ThreadPoolExecutor(1, thread_name_prefix="arrive")

    def decode(self, codes: Codes, seed: int, deliver: Deliver) -> None:
        """Decode codes [frames, 7]; `deliver` is called on another thread, in the order of these calls."""
        self._starting.submit(self._start, codes, seed, deliver)

    def _start(self, codes: Codes, seed: int, deliver: Deliver) -> None:
        codec = self._codec
        wait = None if codec is None else self._attempt(lambda: start_decoding(codec, codes, seed))
        self._waiting.submit(lambda: deliver(None if wait is None else self._attempt(wait)))

    def _attempt(self, work: Callable[[], Result]) -> Result | None:
        """What is made; None if that fails, after which no further clip is begun."""
        try:
            return work()
        except Exception as error:  # whatever it is, the codes are good
            if self._codec is not None:
                log.warning("decoding failed (%s); %s", first_line(error), _INSTEAD)
            self._codec = None
            return None


def load_worker_codec(job: CodecJob, layout: TokenLayout, device: str) -> WorkerCodec | None:
    """Load the driver's codec on this machine; None, which is logged, if it is not here."""
    try:
        checkpoint = find_checkpoint(job.checkpoint.name, "codec", job.checkpoint.revision)
        if checkpoint.identity() != job.identity:
            raise MachineError(f"codec {job.checkpoint.name}: it is another one on this machine")
        return WorkerCodec(job.load(checkpoint.path, layout, device))
    except Exception as error:  # whatever it is, the engine generates
        log.warning("%s; %s", first_line(error), _INSTEAD)
        return None
