import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maya_batch.errors import EXIT_STOPPED, exit_code_of
from maya_batch.interrupt import Interruption, Stop
from maya_batch.wording import RESUMABLE
from tests.support.fakes import TinyBook
from tests.support.forked_run import Night, start

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TEXT = {
    "One": ["The night was dark.", "The river was high.", "The road was long."],
    "Two": ["The rain was gone.", "The wind was strong.", "The day was new."],
}


@pytest.fixture
def stop() -> Iterator[Stop]:
    """One that listens, until the test has ended."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    stop = Stop()
    stop.install()
    with stop.interrupts():
        yield stop
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_at_once(number: signal.Signals, stop: Stop) -> None:
    with pytest.raises(Interruption) as caught:
        signal.raise_signal(number)
    assert exit_code_of(caught.value) == EXIT_STOPPED


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_is_put_off_is_raised_by_the_next_check(number: signal.Signals, stop: Stop) -> None:
    steps = []

    def work() -> None:
        with stop.deferred():
            stop.check()
            signal.raise_signal(number)
            steps.append("went on")
            stop.check()
            steps.append("not here")

    with pytest.raises(Interruption):
        work()
    assert steps == ["went on"]


def test_a_signal_that_nobody_checked_for_is_raised_at_the_end_of_the_delay(stop: Stop) -> None:
    steps = []

    def work() -> None:
        with stop.deferred():
            with stop.deferred():
                signal.raise_signal(signal.SIGTERM)
            steps.append("after the inner one")
        steps.append("not here")

    with pytest.raises(Interruption):
        work()
    assert steps == ["after the inner one"]


def test_an_error_meanwhile_is_not_hidden_by_the_signal(stop: Stop) -> None:
    def work() -> None:
        with stop.deferred():
            signal.raise_signal(signal.SIGTERM)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        work()


@pytest.mark.parametrize("before", [True, False])
def test_inside_a_delay_a_part_may_be_interrupted_at_once(before: bool, stop: Stop) -> None:
    steps = []

    def work() -> None:
        with stop.deferred():
            if before:
                signal.raise_signal(signal.SIGTERM)
            steps.append("delayed")
            with stop.immediate():
                steps.append("loading")
                signal.raise_signal(signal.SIGTERM)
                steps.append("not here")

    with pytest.raises(Interruption):
        work()
    assert steps == (["delayed"] if before else ["delayed", "loading"])


def test_one_that_does_not_listen_does_nothing() -> None:
    stop = Stop()
    with stop.deferred(), stop.immediate():
        stop.check()


def test_a_terminal_that_closes_may_say_so_twice(stop: Stop) -> None:
    steps = []

    def work() -> None:
        with stop.deferred():
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
            steps.append("went on")

    with pytest.raises(Interruption):
        work()
    assert steps == ["went on"]


def test_a_hangup_that_was_ignored_stays_so() -> None:
    code = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from maya_batch.interrupt import Stop
Stop().install()
signal.raise_signal(signal.SIGHUP)
print("still there")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "still there\n")


# --- runs in processes of their own ------------------------------------------------------------------------------


def parts(book: TinyBook) -> list[Path]:
    return list(book.output.rglob("*.part"))


def goes_on(book: TinyBook) -> Night:
    """The same command completes the book."""
    run = start(book.path)
    assert run.end() == 0
    assert sorted(path.name for path in book.output.glob("*.wav")) == ["01-one.wav", "02-two.wav"]
    assert len(list(book.output.rglob("*.npz"))) == sum(map(len, TEXT.values()))
    return run


@pytest.mark.parametrize("number", NUMBERS)
def test_a_run_stops_between_frames_with_all_stored_that_has_ended(number: signal.Signals, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, FAKE_BATCH=1)
    run.wait_for("batch 1")
    run.tell(number)
    assert run.end() == 4
    assert run.said().splitlines()[-1] == RESUMABLE
    assert len(list(tiny.output.rglob("*.npz"))) == 2
    assert parts(tiny) == []
    goes_on(tiny)


@pytest.mark.parametrize(
    ("step", "slow"),
    [("load", "FAKE_LOAD"), ("batch 0", "FAKE_BATCH"), ("batch 2", "FAKE_BATCH"), ("clip", "FAKE_CLIP")],
)
def test_a_run_stops_in_each_stage(step: str, slow: str, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, env={slow: 1})
    run.wait_for(step)
    run.tell(signal.SIGTERM)
    assert run.end() == 4
    assert parts(tiny) == []
    goes_on(tiny)


def test_a_run_stops_while_a_chapter_is_put_together(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    goes_on(tiny)
    before = {path.name: path.read_bytes() for path in tiny.output.glob("*.wav")}
    tiny.write(TEXT, pauses={"paragraph": 0.7})  # other files, of the same takes
    run = start(tiny.path, FAKE_CLIP=1)
    run.wait_for("clip")
    run.tell(signal.SIGTERM)
    assert run.end() == 4
    assert {path.name: path.read_bytes() for path in tiny.output.glob("*.wav")} == before
    assert parts(tiny) == []
    goes_on(tiny)
    assert {path.name: path.read_bytes() for path in tiny.output.glob("*.wav")} != before


def test_a_second_signal_ends_at_once(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, FAKE_BATCH=1)
    run.wait_for("batch 1")
    run.tell(signal.SIGTERM, signal.SIGTERM)
    assert run.end() == 4
    assert "stopped" not in run.said()
    assert not (tiny.output / "report.json").exists()  # nothing was done any more
    goes_on(tiny)


def test_a_run_under_nohup_outlives_its_terminal(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, FAKE_BATCH=0.1, prepare=ignore_hangup)
    run.wait_for("batch 1")
    run.tell(signal.SIGHUP)
    assert run.end() == 0


def ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_takes_that_are_examined_stay_when_the_run_is_stopped(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, FAKE_CLIP=0.1)
    run.wait_for("clip")
    run.kill()  # a batch is stored and not yet examined
    takes = {path: path.read_bytes() for path in tiny.output.rglob("*.npz")}
    assert takes
    run = start(tiny.path, FAKE_CLIP=1)
    run.wait_for("clip")
    run.tell(signal.SIGTERM)
    assert run.end() == 4
    assert not any(step.startswith("batch") for step in run.steps.read_text().splitlines())
    assert set(tiny.output.rglob("*.npz")) == set(takes)
    goes_on(tiny)


def test_a_disk_error_while_stopping_weighs_more(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, FAKE_BATCH=1)
    run.wait_for("batch 1")
    (tiny.output / "report.json").mkdir()  # what ends the run cannot be written
    run.tell(signal.SIGTERM)
    assert run.end() == 5
    assert "report.json: cannot be written" in run.said().splitlines()[-1]
    (tiny.output / "report.json").rmdir()
    goes_on(tiny)


def test_a_run_stopped_with_problems_is_a_stopped_one(tiny: TinyBook) -> None:
    tiny.write(
        {"One": ["Broken words.", "Endless words.", "More words.", "And more."]},
        render={"model": "./lm", "codec": "./codec", "attempts": 1},
    )
    run = start(tiny.path, FAKE_BATCH=1)
    run.wait_for("batch 1")
    run.tell(signal.SIGTERM)
    assert run.end() == 4
    run = start(tiny.path)
    assert run.end() == 3


# --- from the first line to the last -----------------------------------------------------------------------------


def after(code: str) -> "subprocess.CompletedProcess[str]":
    """A process that listens and then does this."""
    begin = (
        "import os, signal, sys, time\nfrom maya_batch.interrupt import Interruption, Stop\n"
        "stop = Stop()\nstop.install()\n"
    )
    line = [sys.executable, "-c", begin + code]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number", NUMBERS)
def test_where_nothing_is_begun_a_signal_ends_the_process(number: signal.Signals) -> None:
    done = after(f"signal.raise_signal({int(number)})\nprint('not here', flush=True)")
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_STOPPED, "", "stopped\n")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_comes_up_in_a_finalizer_is_raised_after_it(number: signal.Signals) -> None:
    done = after(f"""
class Thing:
    def __del__(self):
        signal.raise_signal({int(number)})
try:
    with stop.interrupts("the end"):
        thing = Thing()
        del thing
        time.sleep(10)
except Interruption as error:
    print(error)
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")


def test_other_errors_in_finalizers_are_printed_as_ever() -> None:
    done = after("""
class Thing:
    def __del__(self):
        raise ValueError("a mistake of ours")
with stop.interrupts():
    thing = Thing()
    del thing
""")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("Exception ignored in: ")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_at_the_very_end_changes_nothing(number: signal.Signals) -> None:
    done = after(f"""
import atexit
class Thing:
    def __del__(self):
        os.kill(os.getpid(), {int(number)})
        print("the last line", flush=True)
sys.modules["thing"] = Thing()
atexit.register(os.kill, os.getpid(), {int(number)})
stop.finished(3)
sys.exit(3)
""")
    assert (done.returncode, done.stdout, done.stderr) == (3, "the last line\n", "")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_settled_exit_code_stays_where_something_is_waited_for(number: signal.Signals) -> None:
    done = after(f"stop.finished(3)\nos.kill(os.getpid(), {int(number)})\ntime.sleep(10)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
