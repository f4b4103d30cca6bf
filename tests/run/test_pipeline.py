import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from maya_batch.errors import EXIT_UNEXPECTED, MachineError, StoppedError, exit_code_of
from maya_batch.interrupt import Interruption
from maya_batch.run.pipeline import MOST_WAITING, Inbox, Pipeline, Threads

both = pytest.mark.parametrize("threaded", [True, False])


def no_tick() -> None:
    pass


def failing(_: object) -> None:
    raise OSError("disk full")


def send_and(handle: Callable[[int], None], pipeline: Pipeline, then: Callable[[], None]) -> None:
    """Send a message that cannot be handled, and do something that raises its error."""
    with pytest.raises(OSError, match="disk full"):
        send(handle, pipeline, then)


def send(handle: Callable[[int], None], pipeline: Pipeline, then: Callable[[], None]) -> None:
    with pipeline:
        pipeline.inbox("one", handle).send(1)
        then()


def once_set(event: threading.Event, done: list[int]) -> Callable[[int], None]:
    def handle(number: int) -> None:
        event.wait(5)
        done.append(number)

    return handle


@both
def test_messages_are_handled_in_the_order_sent_and_all_before_the_end(threaded: bool) -> None:
    done: list[int] = []
    with Pipeline(threaded) as pipeline:
        inbox = pipeline.inbox("one", done.append)
        for number in range(200):
            inbox.send(number)
    assert done == list(range(200))


def test_a_sender_does_not_wait_for_the_handler() -> None:
    go, done = threading.Event(), list[int]()
    with Pipeline(threaded=True) as pipeline:
        pipeline.inbox("one", once_set(go, done)).send(1)
        pipeline.check()
        assert done == []
        go.set()
    assert done == [1]


def test_without_threads_a_message_is_handled_at_once_by_the_sender() -> None:
    where: list[int] = []
    with Pipeline(threaded=False) as pipeline:
        inbox: Inbox[int] = pipeline.inbox("one", lambda _: where.append(threading.get_ident()))
        inbox.send(1)
        assert where == [threading.get_ident()]


def test_messages_that_wait_are_handled_together_in_the_order_sent() -> None:
    begun, go, handled = threading.Event(), threading.Event(), list[list[int]]()

    def handle(messages: Sequence[int]) -> None:
        begun.set()
        go.wait(5)
        handled.append(list(messages))

    with Pipeline(threaded=True) as pipeline:
        inbox = pipeline.inbox_in_batches("one", handle, lambda: 4)
        inbox.send(0)
        assert begun.wait(5)
        for number in range(1, 11):
            inbox.send(number)
        assert pipeline.in_flight == 11
        go.set()
        pipeline.drain(no_tick)
        assert pipeline.in_flight == 0
    assert handled == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_beside_full_batches_on_several_threads_as_many_wait_as_elsewhere() -> None:
    """So the thread that is done first gets a full batch, too."""
    sizes, begun, go = list[int](), threading.Barrier(3, timeout=10), threading.Event()

    def handle(messages: Sequence[int]) -> None:
        if len(sizes) < 2:
            sizes.append(len(messages))
            begun.wait()
            go.wait(10)
        else:
            sizes.append(len(messages))

    most = 1
    with Pipeline(threaded=True) as pipeline:
        inbox: Inbox[int] = pipeline.inbox_in_batches("two", handle, lambda: most, threads=2)
        with pipeline.threads.changed:  # no thread takes a message before the batches are full
            most = MOST_WAITING // 2
            for number in range(MOST_WAITING):
                inbox.send(number)
        begun.wait()
        for number in range(MOST_WAITING):
            inbox.send(number)
            inbox.wait_for_room(go.set)
        assert not go.is_set()
        go.set()
        pipeline.drain(no_tick)
    assert sizes[:4] == [MOST_WAITING // 2] * 4


def test_books_with_other_numbers_of_threads_do_not_share_them() -> None:
    with Threads(threaded=True) as threads:
        one, several = threads.owner("inspect", 1), threads.owner("inspect", 2)
        assert one is threads.owner("inspect", 1)
        assert one is not several


def test_without_threads_no_message_waits_for_others() -> None:
    handled: list[list[int]] = []
    with Pipeline(threaded=False) as pipeline:
        inbox: Inbox[int] = pipeline.inbox_in_batches("one", lambda messages: handled.append(list(messages)), lambda: 4)
        for number in range(3):
            inbox.send(number)
    assert handled == [[0], [1], [2]]


def test_what_goes_wrong_with_several_messages_ends_the_run_and_the_others_are_handled() -> None:
    begun, go, handled = threading.Event(), threading.Event(), list[list[int]]()

    def handle(messages: Sequence[int]) -> None:
        begun.set()
        go.wait(5)
        if 2 in messages:
            raise OSError("disk full")
        handled.append(list(messages))

    def send_all() -> None:
        with Pipeline(threaded=True) as pipeline:
            inbox: Inbox[int] = pipeline.inbox_in_batches("one", handle, lambda: 2)
            inbox.send(0)
            assert begun.wait(5)
            for number in range(1, 5):
                inbox.send(number)
            go.set()

    with pytest.raises(OSError, match="disk full"):
        send_all()
    assert handled == [[0], [3, 4]]


def test_an_inbox_has_its_own_thread_with_its_name() -> None:
    names: list[str] = []
    with Pipeline(threaded=True) as pipeline:
        inboxes: list[Inbox[int]] = [
            pipeline.inbox(name, lambda _: names.append(threading.current_thread().name)) for name in "ab"
        ]
        for inbox in inboxes * 2:
            inbox.send(1)
    assert sorted(names) == ["a_0", "a_0", "b_0", "b_0"]


def test_a_sender_waits_while_the_inbox_is_full_and_ticks_meanwhile() -> None:
    go, done, ticks = threading.Event(), list[int](), list[int]()

    def tick() -> None:
        ticks.append(len(done))
        go.set()

    with Pipeline(threaded=True) as pipeline:
        inbox = pipeline.inbox("one", once_set(go, done))
        for number in range(MOST_WAITING + 6):
            inbox.send(number)
            inbox.wait_for_room(tick)
            assert number + 1 - len(done) <= MOST_WAITING + 1  # one is being handled
    assert ticks[0] == 0
    assert len(done) == MOST_WAITING + 6


def test_what_goes_wrong_in_a_handler_is_raised_by_check() -> None:
    def check_often() -> None:
        for _ in range(500):
            pipeline.check()
            time.sleep(0.01)

    pipeline = Pipeline(threaded=True)
    send_and(failing, pipeline, check_often)


@both
def test_what_goes_wrong_with_the_last_message_is_raised_at_the_end(threaded: bool) -> None:
    with pytest.raises(OSError, match="disk full"), Pipeline(threaded) as pipeline:
        pipeline.inbox("one", failing).send(1)


def test_a_run_that_ends_early_handles_what_was_sent_and_says_what_went_wrong(caplog: pytest.LogCaptureFixture) -> None:
    done: list[bool] = []
    pipeline = Pipeline(threaded=True)

    def handle(number: int) -> None:
        time.sleep(0.05)
        done.append(pipeline.stopping.is_set())
        if number == 2:
            raise OSError("disk full")

    def fail_after_messages() -> None:
        with pipeline:
            inbox = pipeline.inbox("one", handle)
            inbox.send(1)
            inbox.send(2)
            raise MachineError("the model failed")

    with pytest.raises(MachineError, match="the model failed"):
        fail_after_messages()
    assert done == [True, True]
    assert "disk full" in caplog.text


@both
def test_draining_waits_for_answers_too_and_owners_that_send_to_each_other_never_block(threaded: bool) -> None:
    done: list[int] = []
    ticks: list[int] = []

    with Pipeline(threaded) as pipeline:
        back: Inbox[int]

        def forth(number: int) -> None:
            time.sleep(0.001)
            back.send(-number)

        def handle(number: int) -> None:
            if number > 0:
                there.send(number)
                there.wait_for_room()
            else:
                done.append(-number)

        there: Inbox[int] = pipeline.inbox("there", forth)
        back = pipeline.inbox("back", handle)
        for number in range(1, 5 * MOST_WAITING):
            back.send(number)
        pipeline.drain(lambda: ticks.append(1))
        assert sorted(done) == list(range(1, 5 * MOST_WAITING))
    assert bool(ticks) == threaded


def test_waiting_ends_with_what_tick_raises() -> None:
    go = threading.Event()

    def stop() -> None:
        go.set()
        raise KeyboardInterrupt

    pipeline = Pipeline(threaded=True)
    with pytest.raises(KeyboardInterrupt):
        send(once_set(go, []), pipeline, lambda: pipeline.drain(stop))
    assert pipeline.stopping.is_set()


def test_what_goes_wrong_while_messages_are_waited_for_is_raised() -> None:
    pipeline = Pipeline(threaded=True)
    send_and(failing, pipeline, lambda: pipeline.drain(no_tick))


@pytest.mark.parametrize("told", [Interruption(), StoppedError("the minutes are over")])
def test_a_disk_that_is_full_overrides_stopped(told: BaseException) -> None:
    done: list[bool] = []

    def handle(number: int) -> None:
        time.sleep(0.02)
        if number == 1:
            raise OSError("disk full")
        done.append(True)

    def stop_after_messages() -> None:
        with Pipeline(threaded=True) as pipeline:
            inbox = pipeline.inbox("one", handle)
            for number in range(3):
                inbox.send(number)
            raise told

    with pytest.raises(OSError, match="disk full"):
        stop_after_messages()
    assert done == [True, True]  # what came after the failure was handled, too


def test_a_failure_while_a_signal_ends_the_run_keeps_its_exit_code() -> None:
    def stop_after_a_message() -> None:
        with Pipeline(threaded=True) as pipeline:
            inbox: Inbox[dict[str, int]] = pipeline.inbox("one", lambda message: print(message["missing"]))
            inbox.send({})
            raise Interruption

    with pytest.raises(KeyError) as caught:
        stop_after_a_message()
    assert exit_code_of(caught.value) == EXIT_UNEXPECTED


def test_a_system_without_threads_is_an_error_and_no_endless_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    pipeline = Pipeline(threaded=True)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        send(lambda _: None, pipeline, no_tick)


def test_pipelines_share_threads_and_room_but_not_errors() -> None:
    go, done, full = threading.Event(), list[int](), list[bool]()

    def tick() -> None:
        full.append(True)
        go.set()

    with Threads(threaded=True) as threads:
        first, second = Pipeline(True, threads), Pipeline(True, threads)
        with second:
            waiting = second.inbox("one", once_set(go, done))
            for number in range(MOST_WAITING + 1):
                waiting.send(number)
            send_and(failing, first, lambda: first.inbox("one", failing).wait_for_room(tick))
            second.check()
        assert full
        assert done == list(range(MOST_WAITING + 1))
        assert (first.stopping.is_set(), second.stopping.is_set()) == (True, False)


@both
def test_a_message_is_handled_inside_what_is_around_it(threaded: bool) -> None:
    seen: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        seen.append("in")
        yield
        seen.append("out")

    with Pipeline(threaded, around=around) as pipeline:
        pipeline.inbox("one", seen.append).send("message")
    assert seen == ["in", "message", "out"]
