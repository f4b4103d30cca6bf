"""A stored take is looked at and listened to: its sound's problems, and which words of its text are heard in it."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from maya_batch.errors import MachineError
from maya_batch.plan import Chunk, Plan
from maya_batch.quality import Problem
from maya_batch.quality.ends import Ends
from maya_batch.quality.sound import check_sound, quiet_end
from maya_batch.settings import Machine
from maya_batch.store import Take

if TYPE_CHECKING:
    from maya_batch.hearing import Recognizer

log = logging.getLogger(__name__)

#: Cores that a recognizer leaves to the threads that speak on a GPU and keep the files.
_OTHERS = 2


class Examiner:
    """Knows what a take of a plan must sound like, and whether takes are listened to, by whom."""

    def __init__(
        self,
        plan: Plan,
        recognizer: "Callable[[], Recognizer] | None" = None,
        suspects_only: bool = False,
        alone: str | None = None,
    ) -> None:
        """`recognizer` loads the one that listens; it is called once. Suspects are takes with problems.

        `alone` says why nobody listens, where nobody said that nobody should.
        """
        self._quality, self._rate = plan.sound.quality, plan.layout.sampling_rate
        self._language = plan.book.language
        self._load, self._suspects_only, self._alone = recognizer, suspects_only, alone
        self._recognizer: Recognizer | None = None
        self._ends = Ends()

    def load(self) -> None:
        """Have the recognizer loaded, where there is one.

        Raises:
            MachineError: it cannot be had.
        """
        if self._alone is not None:
            log.info("%s", self._alone)
        if self._load is not None and self._recognizer is None:
            self._recognizer = self._load()

    def has_work(self, take: Take) -> bool:
        """Whether a take has not been looked at, or not been listened to though it should be."""
        return not take.examined or self.listens_to(take)

    def listens_to(self, take: Take) -> bool:
        """Whether a take that was looked at is yet to be listened to."""
        if self._load is None or take.hearing is not None:
            return False
        return bool(take.problems) or not self._suspects_only

    def learn(self, take: Take, description: str) -> None:
        """Know a voice from one of its takes."""
        if take.finish == "eos" and take.quiet is not None:
            self._ends.add(description, take.quiet)

    def look(self, take: Take, chunk: Chunk, wave: NDArray[np.float32]) -> Take:
        """The take, with what its sound shows, from which its voice is learned; unchanged where it was looked at."""
        if take.examined:
            return take
        found = check_sound(wave, self._rate, chunk.text, self._quality, self._ends.least(chunk.description))
        quiet = quiet_end(wave, self._rate, chunk.text)
        take = replace(take, examined=True, quiet=quiet, problems=_joined(take.problems, found))
        self.learn(take, chunk.description)
        return take

    def listen(self, take: Take, text: str, wave: NDArray[np.float32]) -> Take:
        """The take, with what the recognizer hears in it."""
        if self._recognizer is None:
            raise ValueError("nobody is there to listen")
        from maya_batch.hearing import listen

        hearing, problems = listen(self._recognizer, wave, self._rate, text, self._language, self._quality)
        return replace(take, hearing=hearing, problems=_joined(take.problems, problems))


def _cores() -> int:
    """CPU cores that this process may use, which may be fewer than there are; not all systems tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _joined(known: tuple[Problem, ...], found: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Problems of both; of a kind that is known, no second one."""
    kinds = {problem.kind for problem in known}
    return (*known, *(problem for problem in found if problem.kind not in kinds))


def make_examiner(plan: Plan, machine: Machine) -> Examiner:
    """The examiner that the machine's `verify` asks for: who listens to all takes, to suspects, or to none.

    Where nothing was asked for, all takes are listened to if the recognizer lies on this machine; if not, that is said
    when the examiner is loaded.
    """
    from maya_batch.hearing import (
        default_recognizer,
        find_recognizer,
        load_recognizer,
        recognizer_installed,
        recognizer_ready,
    )

    language = plan.book.language
    name = machine.recognizer or default_recognizer(language)
    if machine.verify == "off":
        return Examiner(plan)
    if machine.verify is None and machine.recognizer is None and not recognizer_ready(name):
        how = f"maya-batch fetch --recognizer {name}" if recognizer_installed() else "pip install 'maya-batch[verify]'"
        return Examiner(plan, alone=f"nobody listens to the takes; after `{how}` each word is checked")

    def load() -> "Recognizer":
        from maya_batch.engines.device import choose_device

        speaks = str(choose_device(machine.device))
        device = speaks if machine.recognizer_device == "auto" else machine.recognizer_device
        # On a CPU that speaks, too, all other threads are the model's.
        threads = 1 if speaks == "cpu" else max(1, _cores() - _OTHERS)
        who = "takes with problems" if machine.verify == "suspects" else "each take"
        find_recognizer(name)
        try:
            recognizer = load_recognizer(name, device, language, threads)
        except MachineError as error:
            if device == "cpu" or machine.recognizer_device != "auto":
                raise
            log.warning("%s; the CPU is what listens now, and may be slower than the voice", error)
            device = "cpu"
            recognizer = load_recognizer(name, device, language, threads)
        log.info("listening to %s with %s on %s", who, name, device)
        return recognizer

    return Examiner(plan, load, machine.verify == "suspects")
