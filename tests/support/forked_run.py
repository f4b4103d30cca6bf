"""Runs with stand-ins for model and codec, each in a real process that is forked from one with all modules loaded."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_PATIENCE = 60.0

#: What a run needs, loaded once.
_MODULES = [
    "tests.support.fake_run",
    "maya_batch.cli",
    "maya_batch.run.render",
    "maya_batch.audio.snac_codec",
    "maya_batch.engine.device",
]
_MODULES += [
    "scipy.signal",
    "mutagen",
    "jinja2",
    "maya_batch.report.page",
    "maya_batch.run.samples",
]


def _run(
    arguments: list[str], env: dict[str, str], log: str, prepare: Callable[[], None] | None, stand_ins: bool
) -> None:
    """In the new process: `maya-batch` as its entry point runs it."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.update(env)
    sys.argv = ["maya-batch", *arguments]
    if prepare is not None:
        prepare()
    if stand_ins:
        from tests.support.fake_run import main
    else:
        from maya_batch.__main__ import main
    main()


@dataclass
class Night:
    """A run that was started."""

    process: ForkServerProcess
    log: Path
    steps: Path

    def said(self) -> str:
        """What was printed."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def wait_for(self, step: str) -> None:
        """Wait until the run has come to this step of `FAKE_SAY`."""
        deadline = time.monotonic() + _PATIENCE
        while not (self.steps.exists() and step in self.steps.read_text().splitlines()):
            assert self.process.is_alive(), self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.002)

    def tell(self, *numbers: signal.Signals) -> None:
        """Send signals, one after the other has been noticed."""
        assert self.process.pid is not None
        for number in numbers:
            os.kill(self.process.pid, number)
            time.sleep(0.05)

    def ended(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        self.process.join(seconds)
        return not self.process.is_alive()

    def kill(self) -> None:
        """End it at once, wherever it is."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.join(10)

    def end(self) -> int:
        """The exit code; a traceback is a failure of the test."""
        if not self.ended(_PATIENCE):
            self.kill()
            raise AssertionError(f"it does not end:\n{self.said()}")
        assert "Traceback" not in self.said()
        assert self.process.exitcode is not None
        return self.process.exitcode


def start(
    book: Path,
    *flags: object,
    prepare: Callable[[], None] | None = None,
    env: Mapping[str, object] | None = None,
    **more: object,
) -> Night:
    """Start `maya-batch render BOOK`; see `launch`."""
    return launch(book.parent, "render", book, *flags, prepare=prepare, env={**(env or {}), **more})


def launch(
    folder: Path,
    *arguments: object,
    prepare: Callable[[], None] | None = None,
    env: Mapping[str, object] | None = None,
    stand_ins: bool = True,
) -> Night:
    """Start a command, with its log in `folder`; `prepare`, a function of a module, is called in the new process first.

    `env` are variables of `tests.support.fake_run`. Without `stand_ins` model and codec are real.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_MODULES)
    count = len(list(folder.glob("run-*.log")))
    log, steps = folder / f"run-{count}-{time.monotonic_ns()}.log", folder / f"steps-{time.monotonic_ns()}"
    values = {name: str(value) for name, value in {**(env or {}), "FAKE_SAY": steps}.items()}
    process = context.Process(target=_run, args=([*map(str, arguments)], values, str(log), prepare, stand_ins))
    process.start()
    return Night(process, log, steps)
