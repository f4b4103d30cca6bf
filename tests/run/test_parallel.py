"""Jobs on several threads: results in order, few jobs at a time, and an end that leaves no thread behind."""

import threading
import time
from collections.abc import Callable, Iterator
from threading import Barrier, Event

import pytest

from maya_batch.run.parallel import in_parallel


def nothing() -> None:
    pass


def test_results_come_as_soon_as_they_are_there_on_the_caller_s_thread() -> None:
    first_may_end, heard = Event(), []

    def work(job: int, _: Callable[[], None]) -> int:
        if job == 0:
            assert first_may_end.wait(30)
        return job * 10

    def done(job: int, result: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        heard.append((job, result))
        if job == 4:
            first_may_end.set()

    in_parallel(range(5), work, done, 2, nothing)
    assert heard[-1] == (0, 0)
    assert sorted(heard) == [(job, job * 10) for job in range(5)]


def test_what_ends_well_after_an_error_is_told() -> None:
    failed, heard = Event(), []

    def work(job: int, _: Callable[[], None]) -> int:
        if job == 1:
            failed.set()
            raise ValueError("the second one failed")
        assert failed.wait(30)
        time.sleep(0.3)
        return job

    with pytest.raises(ValueError, match="the second one failed"):
        in_parallel(range(2), work, lambda job, _: heard.append(job), 2, nothing)
    assert heard == [0]


def test_as_many_jobs_run_at_once_as_there_are_threads() -> None:
    together = Barrier(3, timeout=30)
    in_parallel(range(6), lambda job, _: together.wait(), lambda *_: None, 3, nothing)


def test_jobs_are_read_as_they_are_needed() -> None:
    finished: list[int] = []
    ahead: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(20):
            ahead.append(job - len(finished))
            yield job

    in_parallel(jobs(), lambda job, _: None, lambda job, _: finished.append(job), 2, nothing)
    assert sorted(finished) == list(range(20))
    assert max(ahead) <= 3


def test_an_error_of_a_later_job_ends_the_earlier_ones() -> None:
    begun, ended = Event(), []

    def work(job: int, end: Callable[[], None]) -> None:
        if job == 1:
            assert begun.wait(30)
            raise ValueError("the second one failed")
        begun.set()
        try:
            while True:
                end()
                time.sleep(0.001)
        finally:
            ended.append(job)

    with pytest.raises(ValueError, match="the second one failed"):
        in_parallel(range(2), work, lambda *_: None, 2, nothing)
    assert ended == [0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_of_the_check_ends_all_jobs(error: type[BaseException]) -> None:
    begun, done, threads = Event(), [], threading.active_count()

    def work(job: int, end: Callable[[], None]) -> None:
        begun.set()
        while True:
            end()
            time.sleep(0.001)

    def check() -> None:
        if begun.is_set():
            raise error

    with pytest.raises(error):
        in_parallel(range(10), work, lambda *_: done.append(1), 2, check)
    assert not done
    assert threading.active_count() == threads
