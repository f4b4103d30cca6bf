"""A change of `master` writes the chapters again from stored takes, and calls no engine."""

import json
from pathlib import Path

import pytest

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.stitch import SILENCE_DBFS
from maya_batch.book.cues import chapter_cues, has_times
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.run.library import read_report
from maya_batch.run.render import assemble_book, render_book
from tests.e2e.test_render_book import TEXT, audio
from tests.support.fakes import Events, FakeEngine, TinyBook

LOUD = {"lufs": -24, "true_peak": -2, "room_tone": True}


def render(tiny: TinyBook) -> None:
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)


@pytest.mark.parametrize("master", ["podcast", "store", LOUD])
def test_another_master_renders_no_chunk(master: object, tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    plain, asked = audio(tiny), len(fake_engine.texts)
    tiny.write(TEXT, master=master)
    result = assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert len(result.files) == 2
    mastered = audio(tiny)
    assert all(mastered[name] != plain[name] and len(mastered[name]) == len(plain[name]) for name in plain)
    render(tiny)
    assert len(fake_engine.texts) == asked
    assert audio(tiny) == mastered
    tiny.write(TEXT, master="none")
    render(tiny)
    assert len(fake_engine.texts) == asked
    assert audio(tiny) == plain


def test_what_was_done_is_stored_and_nothing_else_is_left(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, master=LOUD)
    render(tiny)
    stored = json.loads((tiny.output / ".maya" / "sound.json").read_text(encoding="utf-8"))
    state = book_state(tiny.plan(), Machine())
    assert set(stored) == {
        state.file_fingerprint(chapter, state.plan.book.output.formats[0]) for chapter in state.plan.chapters
    }
    for sound in stored.values():
        assert set(sound) == {"clips", "gain", "voices", "missed", "over"}
        assert list(sound["clips"]) == ["1", "2"]
        assert set(sound["clips"]["1"]) == {"lufs", "gain", "step", "spoken", "quiet", "lead"}
        assert sound["clips"]["1"]["lufs"] is None or sound["clips"]["1"]["lufs"] > SILENCE_DBFS - 20
    assert {path.name for path in (tiny.output / ".maya").iterdir()} >= {"sound.json", "takes"}
    assert not [path for path in (tiny.output / ".maya").iterdir() if path.name.startswith("tmp")]


@pytest.mark.parametrize("tags", ["the same tags", "new tags"])
@pytest.mark.parametrize("master", [LOUD, "none"])
@pytest.mark.parametrize("formats", [["mp3"], ["mp3", "wav"]], ids=["removed", "moved"])
def test_without_the_first_format_what_was_done_is_still_known(
    formats: list[str], master: object, tags: str, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    def known() -> list[object]:
        state = book_state(tiny.plan(), Machine())
        assert all(has_times(state, chapter) for chapter in state.plan.chapters)
        times = [(cue.start, cue.end) for chapter in state.plan.chapters for cue in chapter_cues(state, chapter)]
        return [times, *(chapter.master_gain_db for chapter in read_report(tiny.plan()).chapters)]

    tiny.write(TEXT, master=master, output={"formats": ["wav", "mp3"]})
    render(tiny)
    before = known()
    if tags == "new tags":
        tiny.write(TEXT, master=master, output={"formats": ["wav", "mp3"]}, author="Another")
        render(tiny)
    author = {"author": "Another"} if tags == "new tags" else {}
    tiny.write(TEXT, master=master, output={"formats": formats}, **author)
    assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert known() == before


@pytest.mark.parametrize("threaded", [False, True], ids=["one by one", "threads"])
def test_what_was_done_is_stored_before_a_file_gets_its_name(
    threaded: bool, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed in between leaves no file whose gain and length are unknown."""
    tiny.loaders.threaded = threaded
    tiny.write(TEXT, master=LOUD)
    named, rename = list[str](), Path.replace

    def naming(part: Path, path: Path) -> Path:
        if path.suffix == ".wav":
            for record in ("sound.json", "chapters.json"):
                assert read_comment(part) in json.loads((tiny.output / ".maya" / record).read_text(encoding="utf-8"))
            named.append(path.name)
        return rename(part, path)

    monkeypatch.setattr(Path, "replace", naming)
    render(tiny)
    assert sorted(named) == sorted(audio(tiny))


def test_other_pauses_render_no_chunk(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    asked, before = len(fake_engine.texts), audio(tiny)
    tiny.write(TEXT, pauses={"paragraph": 1.1, "clause": 0.1, "voice": 0.4, "scene": 2, "heading": 1})
    render(tiny)
    assert len(fake_engine.texts) == asked
    assert all(len(content) > len(before[name]) for name, content in audio(tiny).items())


def test_the_report_says_what_was_done_to_each_chapter(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, master=LOUD)
    render(tiny)
    report = json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    for chapter in report["chapters"]:
        assert chapter["master_gain_db"] is not None
        assert set(chapter["voice_gains_db"]) == {"anna"}
