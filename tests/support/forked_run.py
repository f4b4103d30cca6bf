"""Runs, each in a real process that is forked from one with all modules loaded: a new interpreter takes a second to
load those of a run with stand-ins for model and codec, and ten to load those of the demo voice.
"""

import importlib
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

import huggingface_hub.constants

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
    "imageio_ffmpeg",
    "pydub",
    "tests.support.warm_up",
    "maya_batch.quality.whisper",
    "maya_batch.run.samples",
]
#: What the demo voice needs.
_MODULES += [
    "maya_batch.__main__",
    "maya_batch.engine.hf_loader",
    "snac",
    "transformers.loss.loss_utils",
    "transformers.models.llama.modeling_llama",
]


def _run_demo(arguments: list[str], env: dict[str, str], cwd: str, out: str, err: str) -> None:
    """In the new process: `maya-batch` with the model, the codec and the environment of a person."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(env)
    importlib.reload(huggingface_hub.constants)  # it reads the environment
    os.chdir(cwd)
    sys.argv = ["maya-batch", *arguments]
    from maya_batch.__main__ import run

    run()


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
        from tests.support.fake_run import main as run
    else:
        from maya_batch.__main__ import run
    run()


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
    count = len(list(folder.glob("run-*.log")))
    log, steps = folder / f"run-{count}-{time.monotonic_ns()}.log", folder / f"steps-{time.monotonic_ns()}"
    values = {name: str(value) for name, value in {**(env or {}), "FAKE_SAY": steps}.items()}
    return Night(_process(_run, [*map(str, arguments)], values, str(log), prepare, stand_ins), log, steps)


def launch_demo(*arguments: object, env: Mapping[str, str], cwd: Path, out: Path, err: Path) -> ForkServerProcess:
    """Start a command with nothing but real parts; what it prints is appended to files."""
    return _process(_run_demo, [*map(str, arguments)], dict(env), str(cwd), str(out), str(err))


def _process(target: Callable[..., None], *args: object) -> ForkServerProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_MODULES)
    process = context.Process(target=target, args=args)
    process.start()
    return process
