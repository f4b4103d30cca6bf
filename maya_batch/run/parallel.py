"""Does jobs on several threads, which all end before an error or a signal is raised."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")

#: Seconds between two calls of `check` while jobs are done.
_CHECK_INTERVAL = 0.1


class _EndedError(Exception):
    """Another job failed, or the run was stopped."""


def in_parallel(
    jobs: Iterable[Job],
    work: Callable[[Job, Callable[[], None]], Done],
    done: Callable[[Job, Done], None],
    threads: int,
    check: Callable[[], None],
) -> None:
    """Call `work` with each job on `threads` threads, and `done` with each result on this one, in the order of `jobs`.

    `check` is called meanwhile, on this thread, and may raise an error. After an error of any kind, jobs that have not
    begun are dropped, and the function that `work` gets raises an exception, which ends the job. `jobs` are read one by
    one, at most one more than there are threads.
    """
    ending = Event()
    waiting: deque[tuple[Job, Future[Done]]] = deque()

    def end() -> None:
        if ending.is_set():
            raise _EndedError

    def settle(most: int) -> None:
        """Wait until at most so many jobs are left."""
        while len(waiting) > most:
            wait([future for _, future in waiting if not future.done()], _CHECK_INTERVAL, FIRST_COMPLETED)
            check()
            for _, future in waiting:
                if future.done() and (error := future.exception()) is not None:
                    raise error
            while waiting and waiting[0][1].done():
                job, future = waiting.popleft()
                done(job, future.result())

    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                waiting.append((job, pool.submit(work, job, end)))
                settle(threads)
            settle(0)
        except BaseException:
            ending.set()
            for _, future in waiting:
                future.cancel()
            raise
