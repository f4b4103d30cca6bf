"""Every command that uses a model: told to stop, and with a GPU that fails once or twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.errors import GpuLostError, MachineError, exit_code_of
from maya_batch.interrupt import Interruption, Stop
from maya_batch.run.command_guard import guarded
from maya_batch.run.deadline import Deadline
from maya_batch.run.gpu_restart import FirstStart
from maya_batch.wording import RESTARTED, SAVED, STOPPED, gpu_failed, take_in_use
from tests.support.demo import ROOT
from tests.support.fakes import TinyBook
from tests.support.forked_run import launch, start

CUDA = "CUDA error: device-side assert triggered"
LOST = gpu_failed(CUDA)
TEXT = {
    "One": ["The night was dark.", "The river was high.", "The road was long."],
    "Two": ["The rain was gone."],
}
#: Three chunks or more of each: the engine's second batch fails.
COMMANDS: dict[str, Callable[[TinyBook], list[object]]] = {
    "render": lambda tiny: ["render", tiny.path],
    "preview": lambda tiny: ["preview", tiny.path],
    "redo": lambda tiny: ["redo", tiny.path, "1:1-3", "2:1"],
    "audition": lambda tiny: ["audition", tiny.path, "--voice", "anna", "--seeds", 3],
    "say": lambda tiny: [
        *("say", " ".join(["The night was dark and the river was high."] * 30), "-o", tiny.folder / "said" / "x.wav"),
        *("--model", tiny.folder / "lm", "--codec", tiny.folder / "codec"),
    ],
    "bench": lambda tiny: ["bench", "--hours", 0.001, "--model", "demo", "--json"],
}


def made(tiny: TinyBook) -> list[str]:
    """What a command is to leave behind: chapters, takes, samples, figures."""
    here = (path.relative_to(tiny.folder) for path in tiny.folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in here if path.suffix in (".wav", ".npz", ".part") or path.name == "bench.json")


def attempts(tiny: TinyBook) -> dict[str, list[int]]:
    """The takes of each chunk."""
    state = book_state(tiny.plan(), Machine())
    return {c.ref: [take.attempt for take in state.store.all(state.key(c))] for c in state.plan.chunks()}


def in_use(tiny: TinyBook) -> dict[str, int]:
    state = book_state(tiny.plan(), Machine())
    return {chunk.ref: take.attempt for chunk in state.plan.chunks() if (take := state.take(chunk)) is not None}


def temporary(tiny: TinyBook) -> Path:
    folder = tiny.folder / "tmp"
    folder.mkdir(exist_ok=True)
    return folder


def process(tiny: TinyBook, name: str, **env: object) -> "subprocess.Popen[str]":
    """A command in a process of which the program can be replaced, in a group that a terminal would tell as one."""
    more = {
        "FAKE_SAY": tiny.folder / "steps",
        "XDG_CACHE_HOME": tiny.folder / "cache",
        "TMPDIR": temporary(tiny),
    } | env
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.fake_run", *map(str, COMMANDS[name](tiny))],
        env={**os.environ, **{key: str(value) for key, value in more.items()}},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run(tiny: TinyBook, name: str, **env: object) -> tuple[int, str]:
    started = process(tiny, name, **env)
    said = started.communicate(timeout=120)[1]
    assert "Traceback" not in said
    return started.returncode, said


@pytest.fixture
def rendered(tiny: TinyBook) -> TinyBook:
    tiny.write(TEXT)
    first = start(tiny.path)
    assert first.end() == 0, first.said()
    return tiny


def begin(tiny: TinyBook, name: str) -> None:
    """What there has to be before the command."""
    tiny.write(TEXT)
    if name == "redo":
        assert start(tiny.path).end() == 0


# --- a GPU that fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_a_gpu_that_fails_once_costs_a_start_and_nothing_else(name: str, tiny: TinyBook) -> None:
    begin(tiny, name)
    code, said = run(tiny, name, FAKE_FAIL="cuda", FAKE_FAIL_ONCE=tiny.folder / "failed")
    assert code == 0, said
    assert f"{LOST}; {RESTARTED}" in said.splitlines()
    assert (tiny.folder / "steps").read_text().splitlines().count("load") == 2
    after = made(tiny)
    assert not any(path.endswith(".part") for path in after)
    expected = {
        "render": ["book/01-one.wav", "book/02-two.wav"],
        "preview": ["book-preview/01-one.wav", "book-preview/02-two.wav"],
        "redo": ["book/01-one.wav", "book/02-two.wav"],
        "audition": [f"book-audition/anna-seed-{seed}.wav" for seed in range(3)],
        "say": ["said/x.wav"],
        "bench": ["cache/maya-batch/bench.json"],
    }
    assert [path for path in after if not path.endswith(".npz")] == expected[name]


@pytest.mark.parametrize(
    "name",
    [
        *("render", "say", "bench"),
        # All commands have one guard, and the test above shows that these have it, too.
        *(pytest.param(name, marks=pytest.mark.soak) for name in ("preview", "redo", "audition")),
    ],
)
def test_a_gpu_that_fails_again_ends_the_command_in_one_line(name: str, tiny: TinyBook) -> None:
    begin(tiny, name)
    where = {"FAKE_FAIL_AT": "load"} if name in ("render", "preview", "redo") else {}
    code, said = run(tiny, name, FAKE_FAIL="cuda", **where)
    assert code == 5, said
    lines = said.splitlines()
    assert lines.count(f"{LOST}; {RESTARTED}") == 1
    assert (lines[-1], lines.count(LOST)) == (LOST, 1)
    assert (tiny.folder / "steps").read_text().splitlines().count("load") == 2
    assert list(temporary(tiny).iterdir()) == []
    if name not in ("render", "preview", "redo"):
        assert made(tiny) == []


@pytest.mark.parametrize("name", ["audition", "say", "bench"])
def test_a_full_memory_is_told_in_one_line_and_nothing_begins_anew(name: str, tiny: TinyBook) -> None:
    begin(tiny, name)
    code, said = run(tiny, name, FAKE_FAIL="memory")
    assert code == 5, said
    assert said.splitlines()[-1].startswith("the memory is full ([enforce fail at alloc_cpu.cpp:124] ")
    assert (tiny.folder / "steps").read_text().splitlines().count("load") == 1


@pytest.mark.parametrize("step", ["load", "batch 1", "clip"])
def test_redo_makes_one_take_of_each_chunk_though_the_gpu_fails(step: str, rendered: TinyBook) -> None:
    before = {path: path.read_bytes() for path in rendered.output.glob("*.wav")}
    code, said = run(rendered, "redo", FAKE_FAIL="cuda", FAKE_FAIL_ONCE=rendered.folder / "failed", FAKE_FAIL_AT=step)
    assert code == 0, said
    assert list(attempts(rendered).values()) == [[1, 2]] * 4
    assert list(in_use(rendered).values()) == [2] * 4
    for ref in attempts(rendered):
        line = f"{take_in_use(ref, 2)}; to return to take 1, run `redo {ref} --keep 1`"
        assert said.splitlines().count(line) == 1
    assert sum("book/01-one.wav  0:0" in line for line in said.splitlines()) == 1
    assert not {path: path.read_bytes() for path in rendered.output.glob("*.wav")}.items() & before.items()
    assert (
        sum(line.startswith("batch") for line in (rendered.folder / "steps").read_text().splitlines())
        == {
            "load": 2,  # two batches of two
            "batch 1": 3,  # the one that failed is begun twice
            "clip": 2,
        }[step]
    )


def test_redo_of_more_chunks_than_can_be_told_is_not_begun_anew(
    rendered: TinyBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def refuse(first: FirstStart) -> None:
        called.append(first)
        raise OSError(7, "Argument list too long")

    monkeypatch.setattr("maya_batch.run.command_guard.restart_program", refuse)
    with pytest.raises(GpuLostError), guarded(Stop(), deadline=Deadline(after=3.0)) as guard:
        raise RuntimeError(CUDA)
    assert called == [guard.first] == [FirstStart(Deadline(after=3.0))]


# --- told to stop ------------------------------------------------------------------------------------------------


def test_a_run_that_was_told_to_stop_is_not_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.run.command_guard.restart_program", lambda first: pytest.fail("it is begun anew"))
    stop = Stop()
    stop.requested = True
    with pytest.raises(GpuLostError), guarded(stop):
        raise RuntimeError(CUDA)


def test_a_mistake_of_this_program_is_none_of_the_machine() -> None:
    with pytest.raises(ValueError, match="ours"), guarded(Stop()):
        raise ValueError("a mistake of ours")


def test_an_error_that_was_made_of_a_signal_is_a_signal() -> None:
    """As Python 3.11 makes one of all that is raised within `__set_name__`: all enumerations have it."""
    with pytest.raises(Interruption, match="stopped"), guarded(Stop()):
        raise RuntimeError("Error calling __set_name__") from Interruption()


def stopped(error: Exception) -> None:
    """A second error on the way out."""
    try:
        raise Interruption
    finally:
        raise error


def test_what_stumbles_over_a_signal_is_one() -> None:
    with pytest.raises(Interruption, match="stopped"), guarded(Stop()):
        stopped(AttributeError("type object 'tqdm' has no attribute '_lock'"))


@pytest.mark.parametrize("error", [MachineError("the disk is full"), OSError(28, "No space left on device")])
def test_an_error_of_the_machine_while_stopping_is_one(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, guarded(Stop()):
        stopped(error)
    assert (caught.value, exit_code_of(error)) == (error, 5)


def test_redo_that_is_stopped_keeps_the_takes_that_have_ended(rendered: TinyBook) -> None:
    redo = launch(rendered.folder, "redo", rendered.path, "1:1-3", "2:1", env={"FAKE_CLIP": 1})
    redo.wait_for("clip")  # the first of two takes that ended together
    redo.tell(signal.SIGTERM)
    assert redo.end() == 4, redo.said()
    assert redo.said().splitlines()[-1] == f"{STOPPED}; {SAVED}"
    assert attempts(rendered) == {"1:1": [1, 2], "1:2": [1, 2], "1:3": [1], "2:1": [1]}
    assert in_use(rendered) == {"1:1": 2, "1:2": 2, "1:3": 1, "2:1": 1}  # both were examined
    assert json.loads((rendered.output / "report.json").read_text())["exit_code"] == 4
    assert list(rendered.output.rglob("*.part")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("name", "step", "slow"),
    [
        *((name, "load", "FAKE_LOAD") for name in ("audition", "say")),
        *((name, "batch 1", "FAKE_BATCH") for name in ("audition", "say")),
        *((name, "clip", "FAKE_CLIP") for name in ("audition", "say", "assemble", "redo --keep")),
    ],
)
def test_a_command_is_stopped_and_leaves_nothing_half_written(
    name: str, step: str, slow: str, number: signal.Signals, tiny: TinyBook
) -> None:
    arguments: list[object]
    if name in COMMANDS:
        tiny.write(TEXT)
        arguments = COMMANDS[name](tiny)
    else:
        begin(tiny, "redo")
        tiny.write(TEXT, pauses={"paragraph": 0.7})  # other files, of the same takes
        arguments = [*name.split()[:1], tiny.path, *(["1:1", "--keep", "1"] if "--keep" in name else [])]
    before = made(tiny)
    started = launch(tiny.folder, *arguments, env={slow: 0.3})
    started.wait_for(step)
    started.tell(number)
    assert started.end() == 4, started.said()
    assert started.said().splitlines()[-1].startswith("stopped")
    assert made(tiny) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_bench_ends_with_what_it_measures(number: signal.Signals, tiny: TinyBook) -> None:
    bench = process(tiny, "bench", FAKE_BATCH=300)
    deadline = time.monotonic() + 60
    while not (tiny.folder / "steps").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    group = os.getpgid(bench.pid)
    os.killpg(group, number)
    out, said = bench.communicate(timeout=30)
    assert (bench.returncode, out, said.splitlines()[1:]) == (4, "", ["stopped"])
    assert list(temporary(tiny).iterdir()) == []
    deadline = time.monotonic() + 10
    while group_lives(group):  # the tracker of shared memory ends a moment later
        assert time.monotonic() < deadline
        time.sleep(0.01)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
