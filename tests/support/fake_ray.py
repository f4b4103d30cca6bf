"""What the driver uses of Ray, without processes: workers answer at once, never, or with an error, as a test says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import EngineStats, Generation, Request
from maya_batch.engine.load import load_engine
from maya_batch.run.cluster.messages import Beat, Call, EngineSettings, Job, Loaded

LAYOUT = TokenLayout()
CODES = np.ones((150, SLOTS), np.uint16)


JOB = Job(load_engine, Checkpoint("demo", "model", Path()), EngineSettings("auto", "cpu", "auto", "none", None, "auto"))
"""Nothing loads it."""

LOADED = Loaded("sha256:a", "hf", "float32", "none", "model", False, 4, LAYOUT, ())


class RayError(Exception):
    """A process or its machine is gone."""


NEVER = object()
"""The answer of a worker that hangs."""


@dataclass(eq=False)
class Answer:
    """A reference to what a worker answers."""

    value: Any


@dataclass
class FakeRay:
    """`speak` is called for each exchange with the number of the worker, the call and what the worker holds; it returns
    the requests that are finished, `NEVER`, an error to raise, or anything that a faulty worker may answer.
    """

    speak: Callable[[int, Call, list[Request]], Any] = lambda number, call, held: held
    loaded: Callable[[int], Any] = lambda number: LOADED
    batch_size: int = 4
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(RayError=RayError))
    actors: list["FakeActor"] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)

    def remote(self, kind: type) -> "FakeRay":
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))  # type: ignore[return-value]

    def _start(self, job: object) -> "FakeActor":
        self.actors.append(FakeActor(self, len(self.actors) + 1))
        return self.actors[-1]

    def wait(
        self, answers: Sequence[Answer], num_returns: int = 1, timeout: float = 0
    ) -> tuple[list[Answer], list[Answer]]:
        done = [answer for answer in answers if answer.value is not NEVER]
        return done, [answer for answer in answers if answer not in done]

    def get(self, answer: Answer) -> Any:
        if isinstance(answer.value, Exception):
            raise answer.value
        return answer.value

    def kill(self, actor: "FakeActor", no_restart: bool) -> None:
        assert no_restart
        self.killed.append(actor.number)


class FakeActor:
    """A worker's handle."""

    def __init__(self, ray: FakeRay, number: int) -> None:
        self.number, self._ray, self._frames = number, ray, 0
        self._call: Call | None = None
        self._held: list[Request] = []

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self, f"_{name}"))

    def _host(self) -> Answer:
        return Answer("fake")

    def _load(self) -> Answer:
        return Answer(self._ray.loaded(self.number))

    def _exchange(self, call: Call, requests: list[Request]) -> Answer:
        if call is not self._call:
            self._call, self._held = call, []
        self._held += requests
        self._frames += 1
        done = self._ray.speak(self.number, call, list(self._held))
        if not isinstance(done, list):
            return Answer(done)
        self._held = [request for request in self._held if request not in done]
        generations = [Generation(request.key, CODES[: request.max_frames], "eos") for request in done]
        return Answer(Beat(generations, self._frames, self._ray.batch_size, EngineStats(steps=1), 0, 0.0))
