"""The workers of a run, as Ray actors: started, listened to, and replaced when they are lost."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maya_batch.errors import MachineError, MayaBatchError, first_line
from maya_batch.messages.plural import plural
from maya_batch.run.cluster.answers import wrong_loaded
from maya_batch.run.cluster.messages import Beat, Job, Loaded, Note
from maya_batch.run.cluster.patience import Patience
from maya_batch.run.cluster.worker import EngineWorker

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Worker:
    """A worker, as the driver sees it."""

    number: int
    actor: Any
    state: str = "waiting"
    """`waiting` for room, `loading`, or `ready`."""
    since: float = field(default_factory=time.monotonic)
    """When it came to its state, or gave its last sign of life; on the monotonic clock."""
    answer: Any = None
    """The reference of the answer that it owes; None if it was not asked."""
    busy: bool = False
    """Whether it has something to generate, or to find out."""
    host: str = ""
    loaded: Loaded | None = None
    frames: int = -1
    last: Beat | None = None

    @property
    def name(self) -> str:
        """Its machine and its number in the run."""
        return f"{self.host or 'new'}/{self.number}"


class Crew:
    """All workers of a run. `lost` takes back what a worker held, and returns the number of chunks."""

    def __init__(self, ray: Any, job: Job, resources: Mapping[str, float], count: int, patience: Patience) -> None:
        self._ray, self._job, self._resources, self._patience = ray, job, dict(resources), patience
        self._replacements = count + patience.replacements
        self._reason = ""
        """Why the last worker was lost."""
        self._error: MayaBatchError | None = None
        """What the last worker that did not load has raised."""
        self._started = 0
        self.identity: str | None = None
        """The checkpoint that all workers must have."""
        self.expected: Loaded | None = None
        """What all workers must have loaded; set by the first one."""
        self.workers: list[Worker] = []
        self.lost: Callable[[Worker], int] = nothing_held
        for _ in range(count):
            self._start()

    @property
    def ready(self) -> list[Worker]:
        """The workers that have loaded their engine."""
        return [worker for worker in self.workers if worker.state == "ready"]

    def load(self, identity: str) -> None:
        """Wait until all workers for which there is room have loaded the checkpoint of this identity.

        Raises:
            MachineError, UsageError: none has.
        """
        self.identity, began = identity, time.monotonic()
        while [worker for worker in self.workers if worker.state == "loading"] or not self._all_placed(began):
            for worker, answer in self.answers(0.5):
                raise ValueError(f"{worker.name} answered {answer} before it was asked")
        if waiting := len(self.workers) - len(self.ready):
            log.warning(
                "%s of %d without room on the cluster; the run begins with the others",
                plural(waiting, "worker"),
                len(self.workers),
            )

    def _all_placed(self, began: float) -> bool:
        waiting = any(worker.state == "waiting" for worker in self.workers)
        return not waiting or (bool(self.ready) and time.monotonic() - began > self._patience.room)

    def answers(self, seconds: float) -> Iterator[tuple[Worker, Any]]:
        """What workers that are ready answer within so many seconds; the others go on, or are lost.

        Raises:
            MachineError, UsageError: no worker is left.
        """
        owed = {worker.answer: worker for worker in self.workers if worker.answer is not None}
        if owed:
            found, _ = self._ray.wait(list(owed), timeout=seconds)
            more = [reference for reference in owed if reference not in found]
            found += self._ray.wait(more, num_returns=len(more), timeout=0)[0] if found and more else []
        else:
            found = []
            time.sleep(seconds)
        for reference in found:
            worker = owed[reference]
            if worker not in self.workers:
                continue  # lost meanwhile
            worker.answer = None
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                self._failed(worker, error)
                continue
            if worker.state == "ready":
                yield worker, answer
            else:
                self._advance(worker, answer)
        self._check_time()
        if not self.workers:
            raise self._gone()

    def ask(self, worker: Worker, method: str, *arguments: Any) -> None:
        """Ask a worker; `answers` has its answer."""
        worker.answer = getattr(worker.actor, method).remote(*arguments)

    def ask_now(self, method: str, *arguments: Any) -> Any:
        """Ask the first worker that is ready, or if it is lost the next one; return its answer.

        Raises:
            MayaBatchError: the engine has raised it, or no worker is left.
        """
        while True:
            if not self.ready:
                list(self.answers(0.5))
                continue
            worker = self.ready[0]
            worker.busy, worker.since = True, time.monotonic()
            self.ask(worker, method, *arguments)
            while worker in self.workers and worker.answer is not None:
                for _, answer in self.answers(0.5):
                    worker.busy = False
                    return answer

    def lose(self, worker: Worker, reason: str, replace: bool = True) -> None:
        """Give up a worker: it is killed, what it held goes back, and a new one is started."""
        self.workers.remove(worker)
        self._ray.kill(worker.actor, no_restart=True)
        self._reason = f"{worker.name}: {reason}"
        chunks = self.lost(worker)
        worker.last = None
        replace = replace and self._replacements > 0
        log.warning(
            "worker %s is left out: %s%s%s",
            worker.name,
            reason,
            f"; {plural(chunks, 'chunk')} {'waits' if chunks == 1 else 'wait'} for another worker" if chunks else "",
            "; a new one is started" if replace else "",
        )
        if replace:
            self._replacements -= 1
            self._start()

    def heard(self, worker: Worker, beat: Beat) -> None:
        """A worker has answered what it generates."""
        if beat.frames != worker.frames or beat.generations:
            worker.since, worker.frames = time.monotonic(), beat.frames
        worker.last = beat.without_takes()
        self._tell(worker, beat.notes)

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            self._ray.kill(worker.actor, no_restart=True)
        self.workers.clear()

    def _tell(self, worker: Worker, notes: Sequence[Note]) -> None:
        for note in notes:
            log.log(note.level, "worker %s: %s", worker.name, note.message)

    def _start(self) -> None:
        self._started += 1
        actor = self._ray.remote(EngineWorker).options(scheduling_strategy="SPREAD", **self._resources)
        worker = Worker(self._started, actor.remote(self._job))
        self.workers.append(worker)
        self.ask(worker, "host")

    def _advance(self, worker: Worker, answer: Any) -> None:
        """A worker that is not ready has answered."""
        worker.since = time.monotonic()
        if worker.state == "waiting":
            worker.host, worker.state = str(answer), "loading"
            self.ask(worker, "load")
            return
        if wrong := wrong_loaded(answer):
            self.lose(worker, wrong)
            return
        self._tell(worker, answer.notes)
        expected = self.expected or answer
        if answer.identity != self.identity:
            self._refuse(worker, f"its checkpoint is {_short(answer.identity)}, not {_short(self.identity or '')}")
        elif (answer.form, answer.layout) != (expected.form, expected.layout):
            self._refuse(worker, f"it loads the model as {answer.form}, not {expected.form}")
        else:
            self.expected, worker.loaded, worker.state = expected, answer, "ready"

    def _refuse(self, worker: Worker, reason: str) -> None:
        self._error = MachineError(f"worker {worker.name}: {reason}")
        self.lose(worker, reason, replace=False)

    def _failed(self, worker: Worker, error: Any) -> None:
        """A call of a worker has raised an error, or its process or machine is gone."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, MayaBatchError):
            if worker.state == "ready":
                raise cause
            self._error = cause
            self.lose(worker, first_line(cause), replace=False)
            return
        reason = "its process or its machine is gone" if cause is None else first_line(cause)
        log.debug("worker %s: %s", worker.name, error)
        self.lose(worker, reason)

    def _check_time(self) -> None:
        """Give up workers that have given no sign of life for too long."""
        now, most = time.monotonic(), self._patience
        for worker in list(self.workers):
            silent = now - worker.since
            if worker.state == "loading" and silent > most.loading:
                self.lose(worker, f"its engine is not loaded after {silent:.0f} s")
            elif worker.state == "ready" and worker.busy and silent > most.frame:
                self.lose(worker, f"it hangs: no frame in {silent:.0f} s")
        if all(worker.state == "waiting" and now - worker.since > most.room for worker in self.workers):
            self.workers.clear()

    def _gone(self) -> MayaBatchError:
        if self._error is not None and self.expected is None:
            return self._error
        if self._reason:
            return MachineError(f"no worker is left; the last one was lost: {self._reason}")
        return MachineError("no worker finds room on the cluster; `ray status` shows what is free")


def nothing_held(worker: Worker) -> int:
    """What `Crew.lost` is while nothing is generated."""
    return 0


def _short(identity: str) -> str:
    return identity if identity.startswith("hub:") else identity[:19]
