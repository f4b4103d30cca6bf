"""The ASR of a run, on the device that is asked for or that there is."""

import logging
import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from maya_batch.errors import MachineError
from maya_batch.manifest import Quality
from maya_batch.quality import Problem, Transcript

if TYPE_CHECKING:
    from maya_batch.quality.whisper import Recognizer

log = logging.getLogger(__name__)

#: Cores that ASR leaves to the threads that drive the GPU and write files.
_OTHERS = 2


class Transcriber:
    """Transcribes and checks the takes of a book. Where its device is left open it falls back from the GPU to the CPU:
    for want of a library at the start, for want of memory at any time.
    """

    def __init__(
        self, name: str, language: str, quality: Quality, device: str = "auto", suspects_only: bool = False
    ) -> None:
        """`device` may be `auto`; `suspects_only` says that takes without problems are not given to it."""
        self._name, self._language, self._quality, self._suspects_only = name, language, quality, suspects_only
        self._recognizer: Recognizer | None = None
        self._asked, self._device, self._threads = device, device, 1

    def find(self) -> None:
        """Do nothing if the recognizer is installed and lies on this machine.

        Raises:
            MachineError: it is not, or does not.
            UsageError: there is no such recognizer.
        """
        from maya_batch.quality.whisper import find_recognizer

        find_recognizer(self._name)

    def load(self, engine_device: str) -> None:
        """Have the recognizer loaded, and say where it runs; left open, on the device that the engine has.

        Raises:
            MachineError: it cannot be had.
            UsageError: there is no such recognizer, or it does not know the book's language.
        """
        if self._device == "auto":
            self._device = engine_device
        # On a CPU that generates, too, all other threads are the model's.
        self._threads = 1 if engine_device == "cpu" else max(1, _cores() - _OTHERS)
        self.find()  # that it is not on the disk is no fault of the device
        try:
            self._load()
        except MachineError as error:
            self._fall_back(error)

    def transcribe(self, wave: NDArray[np.float32], rate: int, text: str) -> tuple[Transcript, tuple[Problem, ...]]:
        """The transcript of a take that is to say `text`, and the problems that it shows.

        `wave` are samples [n] in -1..1, `rate` of them a second.

        Raises:
            MachineError: the recognizer fails.
        """
        try:
            return self._listen(wave, rate, text)
        except MachineError as error:
            self._fall_back(error)
        return self._listen(wave, rate, text)

    def _load(self) -> None:
        from maya_batch.quality.whisper import load_recognizer

        self._recognizer = load_recognizer(self._name, self._device, self._language, self._threads)
        who = "takes with problems" if self._suspects_only else "each take"
        log.info("listening to %s with %s on %s", who, self._name, self._device)

    def _listen(self, wave: NDArray[np.float32], rate: int, text: str) -> tuple[Transcript, tuple[Problem, ...]]:
        from maya_batch.quality.whisper import listen

        if self._recognizer is None:
            raise ValueError("no recognizer is loaded")
        return listen(self._recognizer, wave, rate, text, self._language, self._quality)

    def _fall_back(self, error: MachineError) -> None:
        if self._asked != "auto" or self._device == "cpu":
            raise error
        log.warning("%s; the CPU is what listens now, and may be slower than the voice", error)
        self._device = "cpu"
        self._load()


def _cores() -> int:
    """CPU cores that this process may use, which may be fewer than there are; not all systems tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
