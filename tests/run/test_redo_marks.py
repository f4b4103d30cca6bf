"""`redo --from` does what was marked, in one run; or says in which line it cannot, and does nothing."""

from pathlib import Path

import pytest

from maya_batch.run.loading import Loaders
from tests.e2e.test_cli import one_line
from tests.run.test_redo import (
    TEXT,
    Cli,
    chosen,
    everything_but_the_log,
    rendered,
    takes_of,
)
from tests.support.fakes import FakeEngine, TinyBook

__all__ = ["rendered"]


def marks(tiny: TinyBook, *rows: str) -> Path:
    path = tiny.folder / "marks.csv"
    path.write_text("\n".join(["ref,action,note", *rows]), encoding="utf-8")
    return path


def name(tiny: TinyBook, ref: str) -> str:
    return f"{ref}@{takes_of(tiny, ref)[0].key[:4]}"


def test_marks_of_all_kinds_are_done_with_one_load_of_the_model(
    rendered: TinyBook, fake_engine: FakeEngine, loaders: Loaders, cli: Cli
) -> None:
    cli("redo", rendered.path, "1:1")
    cli("redo", rendered.path, "1:1", "--keep", "1")
    fake_engine.batches.clear()
    loads, load = [], loaders.engine
    loaders.engine = lambda *args, **more: loads.append(1) or load(*args, **more)  # type: ignore[func-returns-value]
    path = marks(
        rendered,
        f'{name(rendered, "1:2")},again,"too fast, and \u202eloud"',
        f"{name(rendered, '1:1')},keep 2,",
        f"{name(rendered, '2:1')},again,",
        f"{name(rendered, '2:1')},note,ask Ann",
    )
    said = cli("redo", rendered.path, "--from", path)
    assert said.code == 0, said.err
    assert sorted(fake_engine.texts) == ["Other talk.", "The end."]
    assert loads == [1]
    assert chosen(rendered) == {"1:1": 2, "1:2": 2, "2:1": 2}
    assert f"{name(rendered, '1:2')}: note: too fast, and \\u202eloud\n" in said.err
    assert f"{name(rendered, '2:1')}: note: ask Ann\n" in said.err
    for ref in ("1:1", "1:2", "2:1"):
        assert said.err.count(f"{ref}: take 2 is now in use") == 1


def test_takes_are_kept_without_the_model(rendered: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    cli("redo", rendered.path, "1:2")
    fake_engine.batches.clear()
    before = (rendered.output / "01-one.wav").read_bytes()
    assert cli("redo", rendered.path, "--from", marks(rendered, f"{name(rendered, '1:2')},keep 1,")).code == 0
    assert (fake_engine.batches, chosen(rendered)) == ([], {"1:2": 1})
    assert (rendered.output / "01-one.wav").read_bytes() != before


def test_notes_alone_are_listed_and_change_nothing(rendered: TinyBook, cli: Cli) -> None:
    before = everything_but_the_log(rendered)
    said = cli("redo", rendered.path, "--from", marks(rendered, f"{name(rendered, '1:2')},note,ask Ann"))
    assert said.code == 0
    assert said.err == f"{name(rendered, '1:2')}: note: ask Ann\nthe marks ask for no take; nothing is changed\n"
    assert everything_but_the_log(rendered) == before


def test_a_repeated_mark_is_done_once_and_told(rendered: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    path = marks(rendered, *[f"{name(rendered, '1:2')},again,"] * 2)
    said = cli("redo", rendered.path, "--from", path)
    assert said.code == 0
    assert f"{path}:3:1: {name(rendered, '1:2')} is marked `again` in line 2, too; it is done only once\n" in said.err
    assert fake_engine.texts == ["Other talk."]


def test_after_an_edit_nothing_is_done_and_the_line_is_told(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    refs = [name(rendered, "1:2"), name(rendered, "2:1")]
    rendered.write({"One": ["Fine talk.", "Edited talk."], "Two": TEXT["Two"]})
    path = marks(rendered, *[f"{ref},again," for ref in refs])
    line = one_line(cli("redo", rendered.path, "--from", path), 2)
    assert line.startswith(f"{path}:2:1: {refs[0]}: this chunk was edited, or its settings changed; 1:2 now reads ")
    assert (fake_engine.batches, chosen(rendered)) == ([], {})


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "name the chunks to redo, like 3:17, or give a file of marks with --from"),
        (["1:1", "--from", "marks.csv"], "--from names the chunks and what to do with them; leave out REF and --keep"),
        (["--from", "marks.csv", "--keep", "1"], "--from names the chunks and what to do with them; "),
        (["--from", "gone.csv"], "--from gone.csv does not exist"),
    ],
)
def test_refs_and_a_file_exclude_each_other(
    args: list[str], message: str, rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before = everything_but_the_log(rendered)
    assert one_line(cli("redo", rendered.path, *args), 2).startswith(message)
    assert (everything_but_the_log(rendered), fake_engine.batches) == (before, [])
