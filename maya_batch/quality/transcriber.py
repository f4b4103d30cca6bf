"""Runs ASR on the takes of a book, on a GPU or on the CPU."""

import logging
import os
from collections.abc import Sequence
from threading import Lock

from maya_batch.errors import MachineError
from maya_batch.manifest import Quality
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.hearing import Recognizer, SpokenTake

log = logging.getLogger(__name__)

#: Cores that ASR leaves to the threads that drive the GPU and write files.
_OTHERS = 2


class Transcriber:
    """Transcribes and checks the takes of a book, for several threads. With the device `auto` it falls back from the
    GPU to the CPU: at the start if a library is missing, at any time if memory runs out.
    """

    def __init__(
        self, name: str, language: str, quality: Quality, device: str = "auto", suspects_only: bool = False
    ) -> None:
        """`device` may be `auto`. `suspects_only` is for the log: the caller passes only takes with problems."""
        self._name, self._language, self._quality, self._suspects_only = name, language, quality, suspects_only
        self._recognizer: Recognizer | None = None
        self._asked, self._device, self._threads = device, device, 1
        self._falling_back = Lock()

    def find(self) -> None:
        """Do nothing if the ASR library is installed and the model is on this machine.

        Raises:
            MachineError: one of them is missing.
            UsageError: there is no model of this name.
        """
        from maya_batch.quality.recognizers import find_recognizer

        find_recognizer(self._name)

    def load(self, engine_device: str) -> None:
        """Load the model, if it is not loaded, and log its device; `auto` is the engine's device.

        Raises:
            MachineError: it cannot be loaded.
            UsageError: there is no model of this name, or it does not support the book's language.
        """
        if self._recognizer is not None:
            return
        if self._device == "auto":
            self._device = engine_device
        # If the engine runs on the CPU, it uses all other threads.
        self._threads = 1 if engine_device == "cpu" else max(1, cores() - _OTHERS)
        self.find()  # outside the `try`: a missing model is no reason to fall back to the CPU
        try:
            self._load()
        except MachineError as error:
            self._fall_back(error)

    @property
    def recognizer(self) -> Recognizer:
        """The loaded model."""
        if self._recognizer is None:
            raise ValueError("the ASR model is not loaded")
        return self._recognizer

    @property
    def batch(self) -> int:
        """How many takes a thread should have transcribed at a time, once it is loaded: several on a GPU."""
        return self.recognizer.batch

    @property
    def workers(self) -> int:
        """How many threads should transcribe, once it is loaded."""
        return self.recognizer.workers

    def transcribe(self, takes: Sequence[SpokenTake], rate: int) -> list[tuple[Transcript, tuple[Problem, ...]]]:
        """Transcribe takes at `rate` Hz; returns each one's transcript and the problems that it shows.

        Raises:
            MachineError: ASR fails.
        """
        failed = self.recognizer
        try:
            return self._listen(failed, takes, rate)
        except MachineError as error:
            with self._falling_back:
                if self.recognizer is failed:  # if not, another thread has fallen back
                    self._fall_back(error)
        return self._listen(self.recognizer, takes, rate)

    def _load(self) -> None:
        from maya_batch.quality.whisper import load_recognizer

        # After a fall back, as many threads use it as before.
        workers = None if self._recognizer is None else self._recognizer.workers
        self._recognizer = load_recognizer(self._name, self._device, self._language, self._threads, workers)
        which = "takes with problems" if self._suspects_only else "all takes"
        log.info("transcribing %s with %s on %s", which, self._name, self._device)

    def _listen(
        self, recognizer: Recognizer, takes: Sequence[SpokenTake], rate: int
    ) -> list[tuple[Transcript, tuple[Problem, ...]]]:
        from maya_batch.quality.whisper import listen

        return listen(recognizer, takes, rate, self._language, self._quality)

    def _fall_back(self, error: MachineError) -> None:
        if self._asked != "auto" or self._device == "cpu":
            raise error
        log.warning("%s; transcribing on the CPU instead, which may be slower than generation", error)
        self._device = "cpu"
        self._load()


def cores() -> int:
    """The CPU cores that this process may use; on some systems, all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
