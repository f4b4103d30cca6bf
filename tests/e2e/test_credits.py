"""Credits are chapters like others: files, chapters of the M4B, and chunks that every command knows."""

import json
from collections.abc import Callable
from pathlib import Path

import mutagen
import pytest
import soundfile

from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.errors import EXIT_STOPPED, EXIT_USAGE, EXIT_WHOLE
from tests.book.test_plan import keys
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.support.fakes import FakeEngine, TinyBook

TEXT = {"One": ["The night was dark."], "Two": ["The rain was gone."]}
CREDITS = {"opening": "{title}. Read by {narrator}.", "closing": "The end. <sigh>"}
Cli = Callable[..., Said]


def files(tiny: TinyBook) -> list[str]:
    return sorted(path.name for path in tiny.output.iterdir() if path.suffix == ".wav")


def fingerprints(plan: Plan) -> dict[str, str]:
    state = book_state(plan, Machine())
    return {chapter.stem: state.fingerprint(chapter) for chapter in plan.chapters if not chapter.credits}


def test_credits_are_files_before_the_first_chapter_and_after_the_last(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT, credits=CREDITS, narrator="Maya")
    assert cli("render", tiny.path).code == EXIT_WHOLE
    assert files(tiny) == ["00-opening-credits.wav", "01-one.wav", "02-two.wav", "03-closing-credits.wav"]
    assert fake_engine.texts[0] == "Tiny. Read by Maya."
    assert fake_engine.texts[-1] == "The end. <sigh>"
    for track, name in enumerate(files(tiny), start=1):
        with soundfile.SoundFile(tiny.output / name) as file:
            assert file.tracknumber == f"{track}/4"
    report = json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    assert [(chapter["number"], chapter["title"]) for chapter in report["chapters"]] == [
        *((0, "Opening credits"), (1, "One"), (2, "Two"), (3, "Closing credits"))
    ]
    assert [chunk["ref"] for chunk in report["chunks"]] == ["0:1", "1:1", "2:1", "3:1"]
    page = (tiny.output / "report.html").read_text(encoding="utf-8")
    assert page.index("00-opening-credits.wav") < page.index("01-one.wav") < page.index("03-closing-credits.wav")
    said = cli("status", tiny.path)
    assert said.out.index("0  Opening credits") < said.out.index("1  One") < said.out.index("3  Closing credits")


def test_credits_are_known_to_redo_preview_and_render_by_their_number(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT, credits=CREDITS, narrator="Maya")
    assert cli("render", tiny.path, "--chapters", "0,3").code == EXIT_STOPPED
    assert files(tiny) == ["00-opening-credits.wav", "03-closing-credits.wav"]
    before = (tiny.output / "03-closing-credits.wav").read_bytes()
    assert cli("redo", tiny.path, "3:1").code == EXIT_STOPPED  # two chapters are not rendered yet
    assert (tiny.output / "03-closing-credits.wav").read_bytes() != before
    assert cli("preview", tiny.path).code == EXIT_WHOLE
    names = {path.stem for path in (tiny.folder / "book-preview").iterdir()}
    assert names >= {"00-opening-credits", "01-one", "03-closing-credits"}
    assert "there is no chapter 4; the book has chapters 0 to 3" in one_line(cli("redo", tiny.path, "4:1"), EXIT_USAGE)


def test_adding_credits_renders_no_other_chunk_and_renames_no_file(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    same = {"One": ["Tiny.", "The end."], "Two": ["The rain was gone."]}
    tiny.write(same)
    assert cli("render", tiny.path).code == EXIT_WHOLE
    plain, names, asked, marks = keys(tiny.plan()), files(tiny), len(fake_engine.texts), fingerprints(tiny.plan())
    tiny.write(same, credits={"opening": "{title}", "closing": "The end."})
    with_credits = keys(tiny.plan())
    assert {ref: key for ref, key in with_credits.items() if ref in plain} == plain
    assert cli("render", tiny.path).code == EXIT_WHOLE
    assert len(fake_engine.texts) == asked + 2
    assert set(names) < set(files(tiny))
    tiny.write(same)
    assert fingerprints(tiny.plan()) == marks
    left = [line for line in cli("status", tiny.path).out.splitlines() if line.startswith("left over")]
    assert [Path(line).name for line in left] == ["00-opening-credits.wav", "03-closing-credits.wav"]


def test_files_sort_in_reading_order_where_credits_need_another_digit(tiny: TinyBook) -> None:
    chapters = {f"C{number}": ["Words here."] for number in range(99)}
    tiny.write(chapters)
    assert tiny.plan().chapters[0].stem == "01-c0"
    tiny.write(chapters, credits={"closing": "The end."})
    stems = [chapter.stem for chapter in tiny.plan().chapters]
    assert stems == sorted(stems)
    assert (stems[0], stems[-1]) == ("001-c0", "100-closing-credits")


def test_an_m4b_has_them_as_chapters(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT, credits=CREDITS, narrator="Maya", output={"formats": ["m4b"]})
    assert cli("render", tiny.path).code == EXIT_WHOLE
    chapters = mutagen.File(tiny.output / "Tiny.m4b").chapters
    assert [chapter.title for chapter in chapters] == ["Opening credits", "One", "Two", "Closing credits"]


def test_a_mistake_in_credits_is_found_where_it_stands(tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT, credits={"opening": "{title} <lauhg> by {title}."})
    line = tiny.path.read_text(encoding="utf-8").splitlines().index("  opening: '{title} <lauhg> by {title}.'") + 1
    assert f"book.yaml:{line}:21: " in one_line(cli("plan", tiny.path), EXIT_USAGE)


@pytest.mark.parametrize("credit", ["opening", "closing"])
def test_changes_of_a_credit_are_listed_with_their_place(credit: str, tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT, credits={credit: "It cost $5."})
    said = cli("plan", tiny.path, "--show-text")
    assert "'$5' -> 'five dollars'" in said.out
