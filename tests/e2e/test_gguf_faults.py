"""Faults and signals while llama.cpp renders: nothing is lost, and the next run completes the very book that an
undisturbed run makes.

The other files of faults and signals use stand-ins for the engine, and hold for both engines.
"""

import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.engine.host_memory import usable_memory
from maya_batch.engine.llama_model import ContextSize, LlamaContext, LlamaModel
from maya_batch.errors import MachineError
from maya_batch.wording import RESUMABLE, STOPPED, stopped_by
from tests.conftest import Said
from tests.support.demo import write_book
from tests.support.forked_run import Night, launch

CHAPTERS = [["Yes.", "Go on.", "Come in."], ["Why?", "Sit down.", "He ran."]]
CHUNKS = sum(map(len, CHAPTERS))
KILLS = 6
MORE_KILLS = 20

Cli = Callable[..., Said]


def book(folder: Path, model: Path) -> Path:
    """A book of six short chunks, with a copy of the model next to it."""
    shutil.copy(model, folder / "voice.gguf")
    render = {"model": "voice.gguf", "codec": "demo", "repetition_penalty": 1}
    return write_book(folder / "book.yaml", CHAPTERS, render=render)


def takes(folder: Path) -> int:
    return len(list(folder.rglob("*.npz")))


def audio(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.wav")}


def one_line(said: Said) -> str:
    """The error, which is the only line that is not about progress or the report."""
    assert "Traceback" not in said.err
    return said.err.splitlines()[-1]


@pytest.fixture(scope="module")
def undisturbed(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The chapters of the book as a run makes them that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = start(book(folder, demo_gguf), folder / "out")
    assert run.end() == 0, run.said()
    assert takes(folder / "out") == CHUNKS
    assert sorted(audio(folder / "out")) == ["01-part-1.wav", "02-part-2.wav"]
    return audio(folder / "out")


def start(path: Path, folder: Path, *flags: object, prepare: Callable[[], None] | None = None) -> Night:
    """A run with llama.cpp, in a process that has PyTorch loaded already."""
    flags = ("--output", folder, "--batch-size", 2, *flags)
    return launch(path.parent, "render", path, *flags, prepare=prepare, stand_ins=False)


def completes(path: Path, folder: Path, undisturbed: dict[str, bytes]) -> None:
    run = start(path, folder)
    assert run.end() == 0, run.said()
    is_whole(folder, undisturbed)


def is_whole(folder: Path, undisturbed: dict[str, bytes]) -> None:
    assert audio(folder) == undisturbed
    assert takes(folder) == CHUNKS
    assert list(folder.rglob("*.part")) == []


# --- processes that die ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MORE_KILLS, marks=pytest.mark.soak)])
def test_a_killed_run_goes_on_to_the_same_bytes(
    kills: int, demo_gguf: Path, undisturbed: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, randomly, began = book(tmp_path, demo_gguf), random.Random(kills), time.monotonic()
    stored: list[int] = []
    finished = 0
    while len(stored) < kills:
        folder = tmp_path / str(finished)
        before = takes(folder)
        run = start(path, folder)
        # Two of three are killed soon after their first take, the others while they load.
        while len(stored) % 3 < 2 and takes(folder) == before and not run.ended(0.01):
            pass
        if run.ended(randomly.uniform(0, 0.8)):
            assert run.end() == 0, run.said()
            is_whole(folder, undisturbed)
            finished += 1
            continue
        run.kill()
        stored.append(takes(folder))
    if (tmp_path / str(finished)).exists():
        completes(path, tmp_path / str(finished), undisturbed)
    between = sum(0 < count < CHUNKS for count in stored)
    with capsys.disabled():
        print(f"\nkilled {kills} times, with {stored} of {CHUNKS} takes stored; {time.monotonic() - began:.0f} s")
    assert between >= kills // 3


# --- told to stop ------------------------------------------------------------------------------------------------


def tell_steps() -> None:
    """Loading, and each batch that llama.cpp decodes after the first take, are told to the test."""
    load, run, count = LlamaModel.__init__, LlamaContext.decode, iter(range(10**9))

    def say(line: str) -> None:
        with Path(os.environ["FAKE_SAY"]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def loading(self: LlamaModel, *arguments: Any, **more: Any) -> None:
        say("load")
        load(self, *arguments, **more)

    def decoding(self: LlamaContext, *arguments: Any) -> NDArray[np.float32]:
        say(f"decode {next(count)}")
        return run(self, *arguments)

    patch.object(LlamaModel, "__init__", loading).start()
    patch.object(LlamaContext, "decode", decoding).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
@pytest.mark.parametrize("step", ["load", "decode 200"])
def test_a_run_is_stopped_in_llama_cpp(
    step: str, number: signal.Signals, demo_gguf: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    path = book(tmp_path, demo_gguf)
    run = start(path, tmp_path / "out", prepare=tell_steps)
    run.wait_for(step)
    run.tell(number)
    assert run.end() == 4, run.said()
    lines = run.said().splitlines()
    assert lines[-1] == RESUMABLE
    assert sum(line.startswith(STOPPED) for line in lines) == 1
    assert step == "load" or 0 < takes(tmp_path / "out") < CHUNKS
    assert list((tmp_path / "out").rglob("*.part")) == []
    completes(path, tmp_path / "out", undisturbed)


@pytest.mark.soak  # the stand-ins show the same
def test_a_deadline_ends_the_run_with_its_takes_stored(
    demo_gguf: Path, undisturbed: dict[str, bytes], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = book(tmp_path, demo_gguf), tmp_path / "out"
    decode, clock = LlamaContext.decode, time.monotonic

    def hours_later(self: LlamaContext, *arguments: Any) -> NDArray[np.float32]:
        if takes(folder):
            monkeypatch.setattr("time.monotonic", lambda: clock() + 36_000)
        return decode(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(LlamaContext, "decode", hours_later)
        said = cli("render", path, "--output", folder, "--batch-size", 2, "--max-minutes", 60)
    monkeypatch.setattr("time.monotonic", clock)
    assert said.code == 4, said.err
    assert one_line(said) == stopped_by("after --max-minutes")
    assert 0 < takes(folder) < CHUNKS
    completes(path, folder, undisturbed)


# --- memory ------------------------------------------------------------------------------------------------------


def _leave(megabytes: int) -> None:
    """From now on this process gets so much memory, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def little_memory_for_the_model() -> None:
    def limited() -> int:
        _leave(40)
        return usable_memory()

    patch("maya_batch.engine.gguf_memory.usable_memory", limited).start()


def little_memory_for_the_context() -> None:
    def limited() -> int:
        _leave(2)
        return usable_memory()

    patch("maya_batch.engine.gguf_engine.usable_memory", limited).start()


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        (little_memory_for_the_model, "the memory is too small for the model"),
        (little_memory_for_the_context, "the memory is too small for one sequence of "),
    ],
)
def test_too_little_memory_is_one_line(limit: Callable[[], None], line: str, demo_gguf: Path, tmp_path: Path) -> None:
    run = start(book(tmp_path, demo_gguf), tmp_path / "out", prepare=limit)
    assert run.end() == 5, run.said()
    assert run.said().splitlines()[-1].removeprefix(f"{tmp_path / 'voice.gguf'}: ").startswith(line), run.said()


def test_a_context_that_does_not_fit_is_halved(
    demo_gguf: Path, undisturbed: dict[str, bytes], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Narrow(LlamaContext):
        def __init__(self, model: LlamaModel, size: ContextSize, threads: int) -> None:
            sizes.append(size.sequences)
            if size.sequences > 2:
                raise MachineError(f"llama.cpp has no memory for {size.sequences} sequences (no reason)")
            super().__init__(model, size, threads)

    monkeypatch.setattr("maya_batch.engine.gguf_engine.LlamaContext", Narrow)
    said = cli("render", book(tmp_path, demo_gguf), "--output", tmp_path / "out", "--batch-size", 6)
    assert said.code == 0, said.err
    assert 6 in sizes
    assert sizes[-1] == 2
    assert "no memory for 6 sequences (no reason); continuing with a batch size of 3\n" in said.err
    is_whole(tmp_path / "out", undisturbed)


# --- llama.cpp fails ---------------------------------------------------------------------------------------------


def test_llama_decode_that_fails_ends_the_run_in_one_line_with_its_takes_stored(
    demo_gguf: Path, undisturbed: dict[str, bytes], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run after the other fails in another way, each after another take."""
    path, folder = book(tmp_path, demo_gguf), tmp_path / "out"
    functions = pytest.importorskip("llama_cpp").llama_cpp
    decode = functions.llama_decode
    reasons = {1: "its cache has no room", -1: "the batch is invalid", -2: "the memory is full", -3: "no reason"}
    for status, reason in reasons.items():
        before = takes(folder)
        monkeypatch.setattr(
            functions,
            "llama_decode",
            lambda *arguments, status=status, before=before: decode(*arguments) if takes(folder) == before else status,
        )
        said = cli("render", path, "--output", folder, "--batch-size", 2)
        assert said.code == 5, said.err
        assert one_line(said).startswith("llama.cpp failed while decoding (")
        assert reason in one_line(said)
        assert CHUNKS > takes(folder) > before
    monkeypatch.setattr(functions, "llama_decode", decode)
    completes(path, folder, undisturbed)


def test_logits_that_are_not_finite_end_the_run_with_its_takes_stored(
    demo_gguf: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = book(tmp_path, demo_gguf), tmp_path / "out"
    decode = LlamaContext.decode

    def broken(self: LlamaContext, tokens: Any, positions: Any, sequences: Any) -> NDArray[np.float32]:
        logits = decode(self, tokens, positions, sequences)
        if takes(folder):
            logits[0] = np.nan
        return logits

    with monkeypatch.context() as patched:
        patched.setattr(LlamaContext, "decode", broken)
        said = cli("render", path, "--output", folder, "--batch-size", 2)
    assert said.code == 5, said.err
    assert one_line(said).startswith("the model's logits are not finite")
    assert 0 < takes(folder) < CHUNKS


# --- files that change between two runs --------------------------------------------------------------------------


def test_a_file_that_changes_between_two_runs_is_refused(
    demo_gguf: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model, folder = book(tmp_path, demo_gguf), tmp_path / "voice.gguf", tmp_path / "out"
    said = stopped_after_a_take(path, folder, cli, monkeypatch)
    assert said.code == 5, said.err
    begun = takes(folder)

    def refused(words: Sequence[str], *flags: str) -> None:
        said = cli("render", path, "--output", folder, "--batch-size", 2, *flags)
        assert said.code == 5, said.err
        assert all(word in one_line(said) for word in (str(model), *words)), said.err
        assert takes(folder) == begun

    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    for flags in ((), ("--switch-model-config",)):
        refused(["but the file has"], *flags)
    model.unlink()
    refused(["no such"])
    changed = bytearray(whole)
    changed[-1] ^= 1  # a bit of the last weight
    model.write_bytes(changed)
    refused(["has changed since this book was started", "--switch-model-config"])
    switched = cli("render", path, "--output", folder, "--batch-size", 2, "--switch-model-config")
    assert switched.code == 0, switched.err
    assert takes(folder) == begun + CHUNKS


def stopped_after_a_take(path: Path, folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Said:
    """A run that fails as soon as it has stored a take."""
    decode = LlamaContext.decode

    def failing(self: LlamaContext, *arguments: Any) -> NDArray[np.float32]:
        if takes(folder):
            raise MachineError("enough")
        return decode(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(LlamaContext, "decode", failing)
        return cli("render", path, "--output", folder, "--batch-size", 2)
