import threading
import time
from collections.abc import Callable

import pytest

from maya_batch.errors import MachineError, StoppedError
from maya_batch.interrupt import Interruption
from maya_batch.run.background import BackgroundWorker


def failing() -> None:
    raise OSError("disk full")


def waiting(event: threading.Event, done: list[int], number: int) -> Callable[[], None]:
    def job() -> None:
        event.wait(5)
        done.append(number)

    return job


def look_on(worker: BackgroundWorker, job: Callable[[], None]) -> None:
    worker.do(job)
    for _ in range(500):
        worker.check()
        time.sleep(0.01)


@pytest.mark.parametrize("in_background", [True, False])
def test_jobs_are_done_in_the_order_given_and_all_before_the_end(in_background: bool) -> None:
    done: list[int] = []
    with BackgroundWorker(in_background) as worker:
        for number in range(200):
            worker.do(lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == list(range(200))


def test_a_job_beside_does_not_hold_up_who_gave_it() -> None:
    go, done = threading.Event(), list[int]()
    with BackgroundWorker(in_background=True) as worker:
        worker.do(waiting(go, done, 1))
        worker.check()
        assert done == []
        go.set()
    assert done == [1]


def test_a_job_not_beside_is_done_at_once_in_the_same_thread() -> None:
    where: list[int] = []
    with BackgroundWorker(in_background=False) as worker:
        worker.do(lambda: where.append(threading.get_ident()))
        assert where == [threading.get_ident()]


def test_no_more_jobs_wait_than_memory_is_meant_for() -> None:
    go, done = threading.Event(), list[int]()
    threading.Timer(0.2, go.set).start()
    with BackgroundWorker(in_background=True) as worker:
        for number in range(70):
            worker.do(waiting(go, done, number))
        assert done


def test_what_goes_wrong_in_a_job_is_raised_at_the_next_look() -> None:
    with pytest.raises(OSError, match="disk full"), BackgroundWorker(in_background=True) as worker:
        look_on(worker, failing)


def test_what_goes_wrong_in_the_last_job_is_raised_at_the_end() -> None:
    with pytest.raises(OSError, match="disk full"), BackgroundWorker(in_background=True) as worker:
        worker.do(failing)


def test_a_run_that_ends_early_does_what_was_given_and_says_what_went_wrong(caplog: pytest.LogCaptureFixture) -> None:
    done: list[bool] = []

    def job() -> None:
        time.sleep(0.05)
        done.append(worker.stopping.is_set())

    def fail_after_jobs() -> None:
        with worker:
            worker.do(job)
            worker.do(failing)
            raise MachineError("the model failed")

    worker = BackgroundWorker(in_background=True)
    with pytest.raises(MachineError, match="the model failed"):
        fail_after_jobs()
    assert done == [True]
    assert "disk full" in caplog.text


def drain_after(worker: BackgroundWorker, job: Callable[[], None], tick: Callable[[], None]) -> None:
    with worker:
        worker.do(job)
        worker.drain(tick)


@pytest.mark.parametrize("in_background", [True, False])
def test_all_jobs_are_waited_for_those_too_that_jobs_give_to_another_worker(in_background: bool) -> None:
    done: list[str] = []
    ticks: list[int] = []

    def slow(number: int) -> None:
        time.sleep(0.01)
        second.do(lambda: first.post(lambda: done.append(f"back {number}")))

    with BackgroundWorker(in_background) as first, BackgroundWorker(in_background) as second:
        for number in range(100):  # more than may wait: who has to come back must not wait for those who wait for him
            first.do(lambda number=number: slow(number))  # type: ignore[misc]
        for line in (first, second, first):
            line.drain(lambda: ticks.append(1))
        assert sorted(done) == sorted(f"back {number}" for number in range(100))
    assert bool(ticks) == in_background


def test_waiting_ends_with_what_the_waiter_is_told() -> None:
    go = threading.Event()

    def stop() -> None:
        go.set()
        raise KeyboardInterrupt

    worker = BackgroundWorker(in_background=True)
    with pytest.raises(KeyboardInterrupt):
        drain_after(worker, waiting(go, [], 1), stop)
    assert worker.stopping.is_set()


def test_what_goes_wrong_while_jobs_are_waited_for_is_raised() -> None:
    with pytest.raises(OSError, match="disk full"):
        drain_after(BackgroundWorker(in_background=True), failing, lambda: None)


@pytest.mark.parametrize("told", [Interruption(), StoppedError("the minutes are over")])
def test_a_disk_that_is_full_weighs_more_than_being_told_to_stop(told: BaseException) -> None:
    done: list[bool] = []

    def stop_after_jobs() -> None:
        with BackgroundWorker(in_background=True) as worker:
            worker.do(lambda: time.sleep(0.05))
            worker.do(failing)
            worker.do(lambda: done.append(True))
            raise told

    with pytest.raises(OSError, match="disk full"):
        stop_after_jobs()
    assert done == [True]
