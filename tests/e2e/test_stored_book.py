"""A book that version 0.1 rendered goes on with its takes and files, whatever was changed since."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import maya_batch
from maya_batch.audio.chapter_file import read_comment
from maya_batch.book import all_take_keys
from maya_batch.book.plan import Plan, make_plan, plan_manuscript
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.errors import UsageError
from maya_batch.manifest import Render
from maya_batch.run.loading import Loaders
from maya_batch.text.rules import TEXT_RULES
from maya_batch.wording import NOTHING_TO_DO
from tests.conftest import Said
from tests.support.fakes import unexpected

STORED = Path(__file__).parents[1] / "data" / "book-0.1"

Cli = Callable[..., Said]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A copy of the stored book, to be changed."""
    shutil.copytree(STORED, tmp_path / "stored")
    return tmp_path / "stored" / "lamp.yaml"


def rendered(book: Path) -> dict[str, bytes]:
    """All that was rendered: takes, choices and chapter files, by their path in the output folder."""
    folder = book.parent / "audio"
    kept = {path for path in folder.rglob("*") if path.suffix in (".npz", ".mp3") or path.name == "choices.yaml"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def status(cli: Cli, book: Path) -> dict[str, object]:
    said = cli("status", book, "--json")
    assert said.code == 0, said.err
    return dict(json.loads(said.out))


def test_its_chunks_have_the_keys_that_its_takes_are_stored_under() -> None:
    plan = make_plan(STORED / "lamp.yaml", Render())
    state = book_state(plan, Machine())
    stored = {path.parent.name for path in (STORED / "audio" / ".maya" / "takes").rglob("*.npz")}
    assert {state.key(chunk) for chunk in plan.chunks()} == stored
    assert len(stored) == 8


def test_render_finds_nothing_to_do_and_every_file_current(book: Path, cli: Cli, loaders: Loaders) -> None:
    loaders.engine = loaders.codec = unexpected
    before = rendered(book)
    for _ in range(2):
        said = cli("render", book)
        assert (said.code, said.err.splitlines()[-1]) == (0, NOTHING_TO_DO)
    assert rendered(book) == before


def test_status_shows_it_whole(book: Path, cli: Cli) -> None:
    for _ in range(2):
        state = status(cli, book)
        assert [chapter["file"] for chapter in state["chapters"]] == ["current", "current"]  # type: ignore[attr-defined]
        assert (state["rendered"], state["chunks"], state["stale_files"], state["unused_takes"]) == (8, 8, [], 0)
        cli("render", book)


def test_assemble_and_clean_leave_it_as_it_is(book: Path, cli: Cli) -> None:
    before = rendered(book)
    assert cli("assemble", book).code == 0
    said = cli("clean", book, "--yes")
    assert (said.code, said.out) == (0, "nothing to remove\n")
    assert rendered(book) == before


def test_the_other_take_of_a_chunk_is_kept_and_the_first_one_again(book: Path, cli: Cli) -> None:
    hill, takes = book.parent / "audio" / "02-the-hill.mp3", [name for name in rendered(book) if name.endswith(".npz")]
    before, mark = rendered(book), read_comment(hill)
    assert cli("redo", book, "2:1", "--keep", "2").code == 0
    assert read_comment(hill) != mark
    assert cli("redo", book, "2:1", "--keep", "1").code == 0
    # Not its bytes: how many threads decoded it shows in the last bits of its samples.
    state = book_state(make_plan(book, Render()), Machine())
    chapter, format_ = state.plan.chapters[1], state.plan.book.output.formats[0]
    assert state.fingerprint(chapter) == mark
    assert read_comment(hill) == state.file_fingerprint(chapter, format_)
    assert {name: rendered(book)[name] for name in takes} == {name: before[name] for name in takes}
    assert rendered(book)["01-the-water.mp3"] == before["01-the-water.mp3"]
    assert cli("redo", book, "2:1", "--keep", "auto").code == 0
    assert "445a9386" not in rendered(book)[".maya/choices.yaml"].decode()
    assert status(cli, book)["rendered"] == 8


def test_the_python_api_keeps_its_text_rules_and_keys() -> None:
    plan = maya_batch.plan_book(maya_batch.load_book(STORED / "lamp.yaml"))
    state = book_state(plan, Machine())
    stored = {path.parent.name for path in (STORED / "audio" / ".maya" / "takes").rglob("*.npz")}
    assert plan.text_rules == 1
    assert {state.key(chunk) for chunk in plan.chunks()} == stored


def test_a_plan_by_other_text_rules_is_refused(book: Path, tmp_path: Path) -> None:
    plan = maya_batch.plan_book(maya_batch.load_book(book), output=tmp_path / "elsewhere")
    assert plan.text_rules == TEXT_RULES
    before = rendered(book)
    with pytest.raises(UsageError, match="begun with text rules 1, and this plan follows rules 2"):
        maya_batch.render(plan)
    assert rendered(book) == before


def test_the_takes_of_each_model_are_known_by_the_books_own_text_rules(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `clean` would list the takes of an earlier model as unused."""
    rules: list[int] = []
    real = plan_manuscript

    def noted(*args: Any, **options: Any) -> Plan:
        rules.append(real(*args, **options).text_rules)
        return real(*args, **options)

    monkeypatch.setattr(all_take_keys, "plan_manuscript", noted)
    text = book.read_text(encoding="utf-8")
    assert "repetition_penalty" not in text
    book.write_text(text.replace("render:", "render:\n  repetition_penalty: 1.05", 1), encoding="utf-8")
    state = book_state(make_plan(book, Render()), Machine())
    all_take_keys.all_keys(state)
    assert rules
    assert set(rules) == {1}
