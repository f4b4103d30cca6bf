"""Does jobs on several threads, which all end before an error or a signal is raised."""

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
    """Call `work` with each job on `threads` threads, and `done` with each result on this one, as soon as it is there.

    `check` is called meanwhile, on this thread, and may raise an error. After an error of any kind, jobs that have not
    begun are dropped, and the function that `work` gets raises an exception, which ends the job; `done` is still called
    for those that end well. `jobs` are read one by one, at most one more than there are threads.
    """
    ending = Event()
    running: dict[Future[Done], Job] = {}

    def end() -> None:
        if ending.is_set():
            raise _EndedError

    def settle(most: int) -> None:
        """Wait until at most so many jobs are left."""
        while len(running) > most:
            finished, _ = wait(running, _CHECK_INTERVAL, FIRST_COMPLETED)
            check()
            for future in finished:
                job = running.pop(future)
                done(job, future.result())

    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                running[pool.submit(work, job, end)] = job
                settle(threads)
            settle(0)
        except BaseException:
            ending.set()
            pool.shutdown(cancel_futures=True)
            for future, job in running.items():
                if not future.cancelled() and future.exception() is None:
                    done(job, future.result())
            raise
