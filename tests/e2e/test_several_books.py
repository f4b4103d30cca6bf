"""`render` with several books, as it is typed."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from maya_batch.run.pipeline import Inbox
from maya_batch.run.pipeline_messages import Unexamined
from maya_batch.wording import RESTARTED, RESUMABLE
from tests.book.test_run_lock import another_run
from tests.e2e.test_cli import Cli, one_line
from tests.e2e.test_gpu_restart import steps
from tests.run.test_end_hook import noting
from tests.support.demo import write_book
from tests.support.fakes import FakeEngine, TinyBook
from tests.support.forked_run import start
from tests.support.shelves import Shelf, files

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec
    from maya_batch.engine.hf_engine import HfEngine

TEXTS = {
    "ash": {"One": ["The night was dark.", "The river was high.", "The road was long."]},
    "birch": {"One": ["The wind was cold."], "Two": ["The rain was gone.", "The house was old."]},
    "cedar": {"One": ["The door was red.", "The fire was low.", "The day was new."]},
}


@pytest.fixture
def three(tiny: TinyBook) -> Shelf:
    tiny.loaders.threaded = False
    shelf = Shelf(tiny)
    for name, text in TEXTS.items():
        shelf.add(name, text)
    return shelf


def test_one_summary_has_a_line_for_each_book(three: Shelf, fake_engine: FakeEngine, cli: Cli) -> None:
    three.add("dogwood", {"One": ["Endless talk.", "Fine talk."]})
    bad = three.tiny.folder / "bad.yaml"
    said = cli("render", three.books[0], bad, *three.books[1:])
    assert (said.code, said.out) == (2, "")
    lines = said.err.splitlines()
    assert "ash: book 1 of 5, 3 of 3 chunks to render" in lines
    assert "dogwood: 1:1 cap: " in said.err
    assert f"{bad}:1:1: the manifest does not exist" in lines
    pages = [book.with_suffix("") / "report.html" for book in three.books]
    assert lines[-7:-2] == [
        f"ash: whole; {pages[0]}",
        f"{bad}: left out because of mistakes",
        f"birch: whole; {pages[1]}",
        f"cedar: whole; {pages[2]}",
        f"dogwood: 1 problem found; {pages[3]}",
    ]
    assert re.fullmatch(r"11 chunks rendered, 0\.\d minutes of speech, [\d.]+x real time, 2 takes retried", lines[-2])
    assert lines[-1] == "5 books: 3 whole, 1 with problems, 1 left out"


def test_quiet_tells_only_of_books_in_trouble(three: Shelf, fake_engine: FakeEngine, cli: Cli) -> None:
    assert cli("render", *three.books, "--quiet").err == ""
    with another_run(three.books[1].with_suffix("") / ".maya"):
        said = cli("render", *three.books, "--quiet")
    assert said.code == 75
    assert len(said.err.splitlines()) == 3
    assert said.err.splitlines()[1].startswith("birch: left out, because another run has locked it; ")


def test_each_log_has_the_messages_of_its_book(three: Shelf, fake_engine: FakeEngine, cli: Cli) -> None:
    three.add("dogwood", {"One": ["Endless talk."]})
    log = three.tiny.folder / "all.log"
    assert cli("render", *three.books, "--quiet", "--log-file", log).code == 3
    own = [(book.with_suffix("") / ".maya" / "render.log").read_text() for book in three.books]
    assert " WARNING 1:1 cap: " in own[3]
    assert not any("1:1 cap" in text for text in own[:3])
    assert " WARNING dogwood: 1:1 cap: " in log.read_text()
    assert all(" INFO book " in text for text in own)
    changed = three.books[1].with_suffix("") / "01-one.wav"
    changed.write_bytes(changed.read_bytes()[:-2])
    assert cli("render", *three.books, "--quiet").code == 3
    assert "was changed since it was written" in (changed.parent / ".maya" / "render.log").read_text()


@pytest.mark.parametrize("flags", [["--output", "elsewhere"], ["--chapters", "1"], ["--adopt"]])
def test_flags_of_one_book_are_refused(flags: list[str], three: Shelf, cli: Cli) -> None:
    assert one_line(cli("render", *three.books, *flags), 2).startswith(f"{flags[0]} is for one book, and 3 are named")
    assert not three.books[0].with_suffix("").exists()


def test_the_command_at_the_end_runs_once_and_gets_the_worst_report(
    three: Shelf, fake_engine: FakeEngine, cli: Cli
) -> None:
    three.add("dogwood", {"One": ["Endless talk."]})
    command, note = noting(three.tiny.folder)
    assert cli("render", *three.books, "--notify", command).code == 3
    page = three.books[3].with_suffix("") / "report.html"
    assert note.read_text() == f"--subject|The night|{page}|3|{page}|"


def test_the_command_at_the_end_runs_for_flags_that_several_books_do_not_take(
    three: Shelf, fake_engine: FakeEngine, cli: Cli, tmp_path: Path
) -> None:
    command, note = noting(tmp_path)
    said = cli("render", *three.books, "--adopt", "--notify", command)
    assert one_line(said, 2) == "--adopt is for one book, and 3 are named; render that book alone"
    assert note.read_text() == "--subject|The night||2||"


def test_a_stop_names_the_books_that_were_not_begun(three: Shelf, fake_engine: FakeEngine, cli: Cli) -> None:
    fake_engine.batch_size = 2
    fake_engine.before_batch = lambda count: signal.raise_signal(signal.SIGTERM) if count == 1 else None
    said = cli("render", *three.books)
    assert said.code == 4
    lines = said.err.splitlines()
    assert lines[-1] == RESUMABLE
    assert lines[-2] == "3 books: 2 stopped, 1 not begun"
    assert f"1 book not begun, from {three.books[2]} on" in lines
    fake_engine.before_batch = lambda _: None
    assert cli("render", *three.books).code == 0
    assert len(fake_engine.requests) == 9


@pytest.mark.parametrize("waiting", [True, False], ids=["a chunk waits", "no chunk waits"])
def test_a_signal_while_takes_are_examined_is_raised_between_two_messages(
    waiting: bool, three: Shelf, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside one that is being sent it would leave the run waiting for ever."""
    assert cli("render", *three.books).code == 0
    state = three.state(three.books[0])
    first, _, last = [state.take(chunk) for chunk in state.plan.chunks()]
    assert first is not None
    assert last is not None
    state.store.put([replace(first, examined=False)])
    if waiting:
        for path in three.books[0].with_suffix("").rglob(f"{last.key}/*.npz"):
            path.unlink()
    sent: list[object] = []

    def send(inbox: Inbox[Any], message: object, real: Any = Inbox.send) -> None:
        if isinstance(message, Unexamined) and not sent:
            signal.raise_signal(signal.SIGTERM)
            sent.append(message)
        real(inbox, message)

    monkeypatch.setattr(Inbox, "send", send)
    assert cli("render", *three.books).code == 4
    assert sent
    assert cli("render", *three.books).code == 0


def test_a_book_that_failed_is_worse_than_a_stop(three: Shelf, fake_engine: FakeEngine, cli: Cli) -> None:
    own = {"model": "maya-research/none", "codec": "./codec"}
    failed = three.add("dogwood", TEXTS["ash"], render=own)
    fake_engine.before_batch = lambda _: signal.raise_signal(signal.SIGTERM)
    assert cli("render", failed, *three.books[:3]).code == 5


def test_a_run_that_is_killed_goes_on_to_the_same_files(three: Shelf, fake_engine: FakeEngine, cli: Cli) -> None:
    night = start(*three.books, FAKE_BATCH=0.05)
    night.wait_for("batch 2")
    night.kill()
    stored = sum(len(list(book.with_suffix("").rglob("*.npz"))) for book in three.books)
    assert 4 <= stored < 9
    fake_engine.batch_size = 2
    assert cli("render", *three.books).code == 0
    assert len(fake_engine.requests) == 9 - stored
    for book in three.books:
        assert files(book.with_suffix("")) == three.alone(book)


def test_a_gpu_that_fails_once_costs_a_start_and_no_take(three: Shelf) -> None:
    command = [sys.executable, "-m", "tests.support.fake_run", "render", *map(str, three.books)]
    more = {"FAKE_FAIL": "cuda", "FAKE_FAIL_ONCE": str(three.tiny.folder / "failed"), "FAKE_FAIL_AT": "batch 2"}
    more |= {"FAKE_SAY": str(three.tiny.folder / "steps")}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **more}, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert RESTARTED in done.stderr
    assert steps(three.tiny).count("load") == 2
    assert steps(three.tiny)[-1] != "load"
    assert sum(len(list(book.with_suffix("").rglob("*.npz"))) for book in three.books) == 9


def test_books_of_the_demo_voice_are_the_same_to_the_bit_together_and_alone(
    tmp_path: Path, tiny: TinyBook, hf_engine: "HfEngine", codec: "Codec", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_engine, "batch_size", 3)
    tiny.loaders.engine, tiny.loaders.codec = lambda *_, **__: hf_engine, lambda *_: codec
    shelf = Shelf(tiny)
    for name, chapters in {
        "ash": [["He ran.", "Come in."]],
        "birch": [["Go on.", "Come in."]],
    }.items():
        shelf.books.append(write_book(tmp_path / f"{name}.yaml", chapters, render={"attempts": 1}))
    assert shelf.run().run().exit_code in (0, 3)
    for book in shelf.books:
        assert files(book.with_suffix("")) == shelf.alone(book)
        assert len(files(book.with_suffix(""))) >= 3
