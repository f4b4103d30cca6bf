"""The program is told to stop at any moment of a process, from its first lines to past its end."""

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.demo import ROOT, environment
from tests.support.fakes import TinyBook

#: Seconds after a process was started.
MOMENTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)
NUMBERS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Told:
    """A process that was told to stop."""

    moment: float
    heard: bool
    """Whether its handlers were in place; before, Python's own start ends in its own way, and after, it is no more."""
    code: int
    said: str


def listens(pid: int) -> bool:
    """Whether a process catches SIGTERM or, at its very end, ignores it, as the interpreter by itself never does."""
    masks = re.findall(r"^Sig(?:Cgt|Ign):\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks)


def tell(arguments: list[object], moment: float, number: signal.Signals, after_listening: bool = False) -> Told:
    """Start `python -m maya_batch`, and send the signal so many seconds later, or after it listens."""
    command = [sys.executable, "-m", "maya_batch", *map(str, arguments)]
    with subprocess.Popen(
        command, env=environment(), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as run:
        assert run.stderr is not None
        if after_listening:
            while not listens(run.pid) and run.poll() is None:
                pass
        with suppress(subprocess.TimeoutExpired):
            run.wait(moment)
        # One that has ended catches nothing any more.
        heard = run.returncode is not None or listens(run.pid) or run.poll() is not None
        run.send_signal(number)
        said = run.stderr.read().decode()
    return Told(moment, heard, run.returncode, said)


def assert_quiet(told: Told, normal: int, number: signal.Signals) -> None:
    if not told.heard:
        assert told.code in (-number, 1, 4, normal), told
        return
    assert told.code in (4, normal), told
    assert "Traceback" not in told.said, told
    assert "Exception ignored" not in told.said, told
    if told.code == 4:
        assert told.said.splitlines()[-1].startswith("stopped"), told


@pytest.mark.parametrize(
    ("number", "moments"),
    [
        *zip(NUMBERS, (MOMENTS[::2], MOMENTS[1::2]), strict=True),
        # Both signals have one handler.
        *(
            pytest.param(number, MOMENTS, marks=pytest.mark.soak, id=f"{number.name} at all moments")
            for number in NUMBERS
        ),
    ],
)
def test_no_moment_ends_in_a_traceback(number: signal.Signals, moments: tuple[float, ...], tiny: TinyBook) -> None:
    tiny.write({"One": ["The night was dark."]})
    # The model is none: render ends with 5, after all that it loads.
    jobs = [
        *((["--help"], 0, moment) for moment in moments[::2]),
        *((["status", tiny.path], 0, moment) for moment in moments),
        *((["render", tiny.path, "--output", tiny.folder / str(moment)], 5, moment) for moment in moments),
    ]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda job: tell(job[0], job[2], number), jobs))
    for one, (_, normal, _) in zip(told, jobs, strict=True):
        assert_quiet(one, normal, number)
    assert sum(one.code == 4 for one in told) >= len(moments)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_process_listens_before_it_loads_what_it_needs(number: signal.Signals, tiny: TinyBook) -> None:
    told = tell(["status", tiny.write({"One": ["The night was dark."]})], 0.0, number, after_listening=True)
    assert (told.heard, told.code, told.said) == (True, 4, "stopped\n")
