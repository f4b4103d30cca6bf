import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from maya_batch.run.deadline import Deadline
from maya_batch.run.gpu_restart import _VARIABLE, Attempts, FirstStart, previous_start, restart_program
from maya_batch.wording import RESTARTED, gpu_failed
from tests.e2e.test_cli import Cli
from tests.support.demo import ROOT
from tests.support.fakes import TinyBook

TEXT = {"One": ["The night was dark.", "The river was high.", "The road was long."], "Two": ["The rain was gone."]}


@dataclass
class Replaced:
    """What would have replaced the program."""

    program: str
    arguments: list[str]


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[Replaced]:
    """Takes note instead of running anything; signals come through again."""
    calls: list[Replaced] = []

    def note(program: str, arguments: list[str]) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        calls.append(Replaced(program, arguments))

    monkeypatch.setenv(_VARIABLE, "null")
    monkeypatch.setattr("os.execv", note)
    monkeypatch.setattr("os.set_inheritable", lambda descriptor, inheritable: None)
    return calls


@pytest.mark.parametrize(
    "first",
    [
        FirstStart(),
        FirstStart(Deadline(after=123.5)),
        FirstStart(Deadline(until=datetime.now().astimezone() + timedelta(hours=3))),
        FirstStart(before={"1:2": Attempts(2, 1), "12:34": Attempts(0, None)}),
    ],
)
def test_the_second_start_has_the_same_command_line_and_knows_the_first_one(
    first: FirstStart, replaced: list[Replaced]
) -> None:
    assert previous_start() is None
    restart_program(first)
    assert replaced == [Replaced(sys.executable, [sys.executable, *sys.orig_argv[1:]])]
    assert previous_start() == first


def test_a_mark_of_another_process_means_nothing(replaced: list[Replaced], monkeypatch: pytest.MonkeyPatch) -> None:
    restart_program(FirstStart(Deadline(after=1.0)))
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert previous_start() is None


@pytest.mark.parametrize("mark", ["", "{", "{}", "7", '{"process": PROCESS, "until": 1, "after": 2}'])
def test_a_mark_that_is_none_means_nothing(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_VARIABLE, mark.replace("PROCESS", str(os.getpid())))
    assert previous_start() is None


# --- runs in processes of their own ------------------------------------------------------------------------------


def run(tiny: TinyBook, *flags: object, **env: object) -> "subprocess.CompletedProcess[str]":
    """A run of which the program can be replaced: not a fork."""
    command = [sys.executable, "-m", "tests.support.fake_run", "render", str(tiny.path), *map(str, flags)]
    more = {name: str(value) for name, value in env.items()} | {"FAKE_SAY": str(tiny.folder / "steps")}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **more}, timeout=120, check=False
    )


def steps(tiny: TinyBook) -> list[str]:
    return (tiny.folder / "steps").read_text(encoding="utf-8").splitlines()


def takes(folder: Path) -> int:
    return len(list(folder.rglob("*.npz")))


def test_a_gpu_that_fails_once_costs_a_start_and_no_take(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    note = tiny.folder / "ended"
    command = f"sh -c 'echo $MAYA_BATCH_EXIT_CODE >>{note}'"
    done = run(tiny, "--notify", command, FAKE_FAIL="cuda", FAKE_FAIL_ONCE=tiny.folder / "failed")
    assert done.returncode == 0, done.stderr
    line = f"{gpu_failed('CUDA error: device-side assert triggered')}; {RESTARTED}"
    assert line in done.stderr.splitlines()
    assert "2 of 4 chunks to render" in done.stderr.splitlines()  # the first batch's takes are kept
    assert steps(tiny).count("load") == 2
    assert takes(tiny.output) == 4
    assert note.read_text() == "0\n"  # told once, of the end
    assert sorted(path.name for path in tiny.output.glob("*.wav")) == ["01-one.wav", "02-two.wav"]


def test_a_gpu_that_fails_again_ends_the_run(tiny: TinyBook) -> None:
    tiny.write(TEXT | {"Three": ["A cat ran.", "A dog ran.", "The bird sang.", "The end came."]})
    done = run(tiny, FAKE_FAIL="cuda")
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (gpu_failed("CUDA error: device-side assert triggered"))
    assert steps(tiny).count("load") == 2
    assert takes(tiny.output) == 4  # a batch of each start
    assert run(tiny).returncode == 0
    assert takes(tiny.output) == 8


def test_the_second_start_does_not_get_the_minutes_again(cli: Cli, tiny: TinyBook, replaced: list[Replaced]) -> None:
    tiny.write(TEXT)
    restart_program(FirstStart(Deadline(after=time.monotonic() - 1)))
    said = cli("render", tiny.path, "--max-minutes", "600")
    assert said.code == 4
    assert "after --max-minutes" in said.err.splitlines()[-1]
