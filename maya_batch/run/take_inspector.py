"""Inspects takes: checks the sound, and compares the transcript with the text."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import audible
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.take_store import Take
from maya_batch.messages.install_hint import install_hint
from maya_batch.quality import Problem
from maya_batch.quality.audio_checks import check_sound, quiet_end
from maya_batch.quality.hearing import SpokenTake
from maya_batch.quality.transcriber import Transcriber
from maya_batch.run.loading import Loaders
from maya_batch.run.pipeline_messages import Decoded, Inspected
from maya_batch.wording import NOT_TRANSCRIBED

log = logging.getLogger(__name__)


class TakeInspector:
    """Checks the sound of takes, and transcribes them if that is turned on."""

    def __init__(
        self,
        plan: Plan,
        machine: Machine,
        transcriber: Transcriber | None = None,
        disabled_reason: str | None = None,
    ) -> None:
        """Without a `transcriber` takes are not transcribed.

        `disabled_reason` is logged when speech recognition is off although the user did not turn it off.
        """
        self._quality, self._rate = plan.sound.quality, plan.layout.sampling_rate
        self._transcriber, self._disabled_reason, self._device = transcriber, disabled_reason, machine.device
        self._suspects_only = machine.verify == "suspects"

    def find(self) -> None:
        """Raise a MachineError or a UsageError if the ASR model is needed and not on this machine."""
        if self._transcriber is not None:
            self._transcriber.find()

    def load(self, told: set[str] | None = None) -> None:
        """Load the ASR model, if one is used. Else the reason is logged, if it is not in `told`, and put there.

        Raises:
            MachineError, UsageError: it cannot be loaded.
        """
        told = set() if told is None else told
        if self._disabled_reason is not None and self._disabled_reason not in told:
            told.add(self._disabled_reason)
            log.info("%s", self._disabled_reason)
        if self._transcriber is not None:
            from maya_batch.engine.device import choose_device

            self._transcriber.load(str(choose_device(self._device)))

    def needs_work(self, take: Take) -> bool:
        """Whether a take is still to be checked or to be transcribed."""
        return not take.examined or self.needs_transcript(take)

    def needs_transcript(self, take: Take) -> bool:
        """Whether a take whose sound is checked is still to be transcribed."""
        if self._transcriber is None or take.transcript is not None:
            return False
        return bool(take.problems) or not self._suspects_only

    def check_audio(self, take: Take, text: str, wave: NDArray[np.float32]) -> Take:
        """The take with the problems of its sound; unchanged if it was checked before."""
        if take.examined:
            return take
        found = check_sound(wave, self._rate, text, self._quality)
        quiet = quiet_end(audible(wave), self._rate, text)
        return replace(take, examined=True, quiet=quiet, problems=_joined(take.problems, found))

    @property
    def batch(self) -> int:
        """How many takes a thread should inspect at a time."""
        return 1 if self._transcriber is None else self._transcriber.batch

    @property
    def workers(self) -> int:
        """How many threads should inspect takes."""
        return 1 if self._transcriber is None else self._transcriber.workers

    def transcribe(self, takes: Sequence[Take], spoken: Sequence[SpokenTake]) -> list[Take]:
        """Takes with their transcripts, and the problems that these show; `spoken` says what each should say."""
        if self._transcriber is None:
            raise ValueError("no transcriber")
        heard = self._transcriber.transcribe(spoken, self._rate)
        return [
            replace(take, transcript=transcript, problems=_joined(take.problems, problems))
            for take, (transcript, problems) in zip(takes, heard, strict=True)
        ]


class InspectStage:
    """The inspect threads: each inspects decoded takes, and returns what it found."""

    def __init__(self, inspector: TakeInspector, stopping: Event, postprocess: Callable[[Inspected], None]) -> None:
        self._inspector, self._stopping, self._postprocess = inspector, stopping, postprocess

    def handle(self, messages: Sequence[Decoded]) -> None:
        """Inspect takes, and return them in this order."""
        if self._stopping.is_set():
            return  # the next run does it
        takes, seconds, spoken = list[Take](), list[float](), dict[int, SpokenTake]()
        for at, message in enumerate(messages):
            waveform = message.waveform()
            began = time.monotonic()
            takes.append(self._inspector.check_audio(message.take, message.text, waveform))
            seconds.append(time.monotonic() - began)
            if self._inspector.needs_transcript(takes[at]):
                spoken[at] = SpokenTake(audible(waveform), message.text, message.respellings)
        began = time.monotonic()
        if spoken:
            heard = self._inspector.transcribe([takes[at] for at in spoken], list(spoken.values()))
            for at, take in zip(spoken, heard, strict=True):
                takes[at] = take
        listening = (time.monotonic() - began) / max(1, len(spoken))
        for at, (message, take) in enumerate(zip(messages, takes, strict=True)):
            known = message.take.problems
            self._postprocess(Inspected(take, known, seconds[at], listening if at in spoken else 0.0))


def _joined(known: tuple[Problem, ...], found: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Both, but no found problem of a kind that is already known."""
    kinds = {problem.kind for problem in known}
    return (*known, *(problem for problem in found if problem.kind not in kinds))


def make_inspector(plan: Plan, machine: Machine, loaders: Loaders) -> TakeInspector:
    """The inspector that the machine's `verify` asks for: it transcribes all takes, only suspects, or none.

    Without `verify`, all takes are transcribed if the ASR model is on this machine; otherwise `load` logs why not.
    """
    from maya_batch.quality.recognizers import default_recognizer, recognizer_installed, recognizer_ready

    name = machine.recognizer or default_recognizer(plan.book.language)
    if machine.verify == "off":
        return TakeInspector(plan, machine)
    if machine.verify is None and machine.recognizer is None and not recognizer_ready(name):
        how = f"maya-batch fetch --recognizer {name}" if recognizer_installed() else install_hint("verify")
        lacking = (
            "the speech model is not on this machine"
            if recognizer_installed()
            else "speech recognition is not installed"
        )
        return TakeInspector(plan, machine, disabled_reason=f"{lacking}, so {NOT_TRANSCRIBED}; to enable it: `{how}`")
    suspects_only = machine.verify == "suspects"
    transcriber = loaders.transcriber(
        name, plan.book.language, plan.sound.quality, machine.recognizer_device, suspects_only
    )
    return TakeInspector(plan, machine, transcriber)
