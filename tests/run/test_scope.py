"""Runs over a part of a book: `render --chapters`, and the takes that it shares with later runs."""

import json
from collections.abc import Callable

from maya_batch.wording import NOTHING_TO_DO, left_out
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.e2e.test_render_book import audio, report_of, take_files
from tests.support.fakes import FakeEngine, TinyBook

Cli = Callable[..., Said]
TEXT = {"One": ["Fine talk.", "Other talk."], "Two": ["The middle."], "Three": ["The end."]}


def test_only_the_named_chapters_are_rendered_and_written(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    said = cli("render", tiny.path, "--chapters", "1,3")
    assert said.code == 4
    assert left_out("1 chapter") in said.err
    assert "3 of 3 chunks to render" in said.err
    assert sorted(fake_engine.texts) == ["Fine talk.", "Other talk.", "The end."]
    assert sorted(audio(tiny)) == ["01-one.wav", "03-three.wav"]
    report = report_of(tiny)
    assert (report["exit_code"], report["exit_reason"]) == (4, left_out("1 chapter"))
    assert [chapter["file"] for chapter in report["chapters"]] == ["01-one.wav", None, "03-three.wav"]
    assert report["characters"]["missing"] == len("The middle.")


def test_a_later_run_goes_on_from_there(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path, "--chapters", "2").code == 4
    before, takes = audio(tiny), take_files(tiny)
    fake_engine.batches.clear()
    assert cli("render", tiny.path).code == 0
    assert "The middle." not in fake_engine.texts
    assert audio(tiny)["02-two.wav"] == before["02-two.wav"]
    assert takes.keys() < take_files(tiny).keys()
    said = cli("render", tiny.path, "--chapters", "1-3")
    assert (said.code, NOTHING_TO_DO in said.err) == (0, True)


def test_a_chapter_whose_takes_are_there_is_left_as_it_is(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    before = audio(tiny)
    tiny.write(TEXT, pauses={"chapter_start": 1.0})
    said = cli("render", tiny.path, "--chapters", "3")
    assert (said.code, left_out("2 chapters") in said.err) == (4, True)
    after = audio(tiny)
    assert {name for name in after if after[name] != before[name]} == {"03-three.wav"}


def test_the_order_of_the_runs_does_not_change_the_book(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    for chapters, code in (("3", 4), ("1", 4), ("2", 0)):
        assert cli("render", tiny.path, "--chapters", chapters).code == code
    piecewise = audio(tiny)
    assert cli("render", tiny.path, "--output", tiny.folder / "other").code == 0
    whole = {path.name: path.read_bytes() for path in (tiny.folder / "other").glob("*.wav")}
    assert piecewise == whole


def test_problems_in_other_chapters_stay_on_record(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(
        {"One": ["Endless talk."], "Two": ["The end."]}, render={"model": "./lm", "codec": "./codec", "attempts": 1}
    )
    assert cli("render", tiny.path, "--chapters", "1").code == 4
    said = cli("render", tiny.path, "--chapters", "2")
    assert (said.code, "1:1 cap" in said.err) == (3, True)


def test_a_wrong_number_is_told_before_anything_is_loaded(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    line = one_line(cli("render", tiny.path, "--chapters", "2-4"), 2)
    assert line == "--chapters 2-4: there is no chapter 4; the book has chapters 1 to 3"
    assert (fake_engine.batches, tiny.output.exists()) == ([], False)


def test_what_is_skipped_and_what_is_announced_is_in_plan_and_report(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    chapters = [
        {"title": "Imprint", "text": "All <rights>.", "skip": "imprint"},
        {"title": "One", "part": "Part One", "text": "Fine talk."},
    ]
    tiny.write({}, chapters=chapters, announce=True)
    told = json.loads(cli("plan", tiny.path, "--json").out)
    assert told["skipped"] == [{"number": 1, "title": "Imprint", "part": "", "reason": "imprint", "characters": 13}]
    assert (told["chunks"], told["characters"]["skipped"], told["chapters"][0]["part"]) == (2, 13, "Part One")
    assert cli("render", tiny.path).code == 0
    assert sorted(audio(tiny)) == ["02-one.wav"]
    assert sorted(fake_engine.texts) == ["Fine talk.", "Part One. One."]
    report = report_of(tiny)
    assert [(chunk["ref"], chunk["text"]) for chunk in report["chunks"]] == [
        ("2:1", "Part One. One."),
        ("2:2", "Fine talk."),
    ]
    counts = report["characters"]
    assert (counts["total"], counts["unheard"], counts["skipped"]) == (23, 10, 13)
    assert report["skipped"][0]["reason"] == "imprint"
    assert "imprint" in (tiny.output / "report.html").read_text(encoding="utf-8")
    assert cli("redo", tiny.path, "2:1").code == 0


def test_skipping_a_chapter_writes_no_other_file_again(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    stamps = {path: path.stat().st_mtime_ns for path in tiny.output.glob("*.wav")}
    chapters = [{"title": title, "text": "\n\n".join(text), "skip": title == "Two"} for title, text in TEXT.items()]
    tiny.write({}, chapters=chapters)
    fake_engine.batches.clear()
    assert cli("render", tiny.path).code == 0
    assert (fake_engine.batches, {path: path.stat().st_mtime_ns for path in stamps}) == ([], stamps)
    assert "left over: " in cli("status", tiny.path).out
    assert (tiny.output / "02-two.wav").exists()
