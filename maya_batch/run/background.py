"""Work behind the engine's back: on one thread, in the order it was given."""

import logging
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event, Lock
from types import TracebackType

from maya_batch.errors import EXIT_STOPPED, exit_code_of

log = logging.getLogger(__name__)

#: Seconds until a thread that computes in Python lets the other one have the interpreter. By default 5 ms, which the
#: engine would wait at each of the thousand calls that a prompt's pass takes.
_SWITCH = 0.0002

#: Jobs that may wait. More would hold more in memory; who gives them waits when there are so many.
_MOST = 64

#: Seconds between two looks at whether the run is to stop, while all jobs are waited for.
_LOOK = 0.1


class BackgroundWorker:
    """Threads that do jobs while this one generates. An error in a job is raised where the job is waited for.

    Not `in_background`, jobs are done at once and in this thread: where the model runs on the same cores, a second
    thread would only be in its way.
    """

    def __init__(self, in_background: bool, threads: int = 1) -> None:
        """One thread does its jobs in the order given; several only begin them in that order."""
        self._in_background, self._interval = in_background, sys.getswitchinterval()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._jobs: deque[Future[None]] = deque()
        self._lock = Lock()
        self.stopping = Event()
        """Set when the run ends early: jobs are to store what they have, and leave what can be done later."""

    def __enter__(self) -> "BackgroundWorker":
        if self._in_background:
            sys.setswitchinterval(_SWITCH)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all jobs. What went wrong in one weighs more than being told to stop."""
        stopped = error is not None and exit_code_of(error) == EXIT_STOPPED
        if kind is not None:
            with self._lock:
                self.stopping.set()
        try:
            while (job := self._next()) is not None:
                if kind is None or stopped:
                    job.result()
                elif job.exception() is not None:
                    log.error("%s", job.exception())  # the run ends for another reason, which is raised
        except BaseException:
            self.stopping.set()
            raise
        finally:
            self._pool.shutdown(wait=True)
            sys.setswitchinterval(self._interval)

    def do(self, job: Callable[[], None]) -> None:
        """Put a job behind the others; there being too many, wait for the first."""
        self.check()
        if self._in_background and len(self._jobs) >= _MOST and (first := self._next()) is not None:
            first.result()
        self.post(job)

    def post(self, job: Callable[[], None]) -> None:
        """Put a job behind the others, however many there are; `stopping`, it can be done later and is not taken."""
        if self._in_background:
            with self._lock:
                if not self.stopping.is_set():
                    self._jobs.append(self._pool.submit(job))
        else:
            job()

    def check(self) -> None:
        """Raise what went wrong in a job that is done."""
        while (job := self._next(done=True)) is not None:
            job.result()

    def drain(self, tick: Callable[[], None]) -> None:
        """Wait until no job is left; `tick` is called meanwhile, and may end the waiting by an error of its own."""
        while self._jobs:
            wait([self._jobs[-1]], timeout=_LOOK)
            self.check()
            tick()

    def _next(self, done: bool = False) -> "Future[None] | None":
        """Take the first job off the line; with `done`, only one that is over."""
        with self._lock:
            if not self._jobs or (done and not self._jobs[0].done()):
                return None
            return self._jobs.popleft()
