"""A preview: the beginning of each chapter and each voice, from takes that the book uses later."""

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from maya_batch.audio.chapter_file import read_comment
from maya_batch.book.run_lock import lock_book
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.e2e.test_render_book import ONE_ATTEMPT, audio, take_files
from tests.support.demo import maya, write_book
from tests.support.fakes import FakeEngine, FakeTranscriber, TinyBook

Cli = Callable[..., Said]
#: Some four seconds each, at the pace that is expected.
LONG = [f"Sentence number {number} has some ten words, and none is hard." for number in range(30)]
TEXT = {"One": LONG, "Two": ["The end."]}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def preview_of(tiny: TinyBook) -> Path:
    return tiny.folder / "book-preview"


def test_about_half_a_minute_of_each_chapter_is_rendered(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    said = cli("preview", tiny.path)
    assert said.code == 0
    assert names(preview_of(tiny)) == ["01-one.wav", "02-two.wav"]
    asked = sorted(fake_engine.texts)
    assert "The end." in asked
    first = [chunk for chunk in tiny.plan().chapters[0].chunks if chunk.text in asked]
    assert [chunk.index for chunk in first] == list(range(1, len(first) + 1))
    seconds = [tiny.plan().layout.seconds(chunk.expected_frames) + chunk.pause for chunk in first]
    assert sum(seconds[:-1]) < 30 <= sum(seconds)
    assert audio(tiny) == {}
    assert f"{preview_of(tiny)}/01-one.wav" in said.err
    assert f"{len(asked)} chunks rendered" in said.err


def test_the_book_goes_on_from_the_takes_of_its_preview(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("preview", tiny.path).code == 0
    takes, heard = take_files(tiny), set(fake_engine.texts)
    fake_engine.batches.clear()
    assert cli("render", tiny.path).code == 0
    assert not heard & set(fake_engine.texts)
    assert takes.keys() < take_files(tiny).keys()
    assert sorted(audio(tiny)) == ["01-one.wav", "02-two.wav"]
    fake_engine.batches.clear()
    assert cli("preview", tiny.path).code == 0
    assert fake_engine.batches == []
    assert "left over" not in cli("status", tiny.path).out


def test_a_voice_that_no_beginning_has_gets_a_file(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    voices = {"anna": "A calm voice", "tom": "Another voice", "twin": "Another voice", "mute": "Never heard"}
    tiny.write({"One": [*LONG, "[tom] At last. [twin] At last."]}, voices=voices)
    assert cli("preview", tiny.path).code == 0
    assert names(preview_of(tiny)) == ["01-one.wav", "voice-tom.wav"]
    assert "At last." in fake_engine.texts


def test_a_spoken_title_and_skipped_chapters(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    chapters = [{"title": "Imprint", "text": "x", "skip": True}, {"title": "One", "text": "Fine talk."}]
    tiny.write({}, chapters=chapters, announce=True)
    assert cli("preview", tiny.path, "-o", tiny.folder / "listen").code == 0
    assert names(tiny.folder / "listen") == ["02-one.wav"]
    assert sorted(fake_engine.texts) == ["Fine talk.", "One."]


def test_the_format_is_the_first_of_the_book(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."]}, output={"formats": ["mp3", "wav"]})
    assert cli("preview", tiny.path).code == 0
    assert names(preview_of(tiny)) == ["01-one.mp3"]


def test_problems_are_those_of_the_preview_alone(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": [*LONG, "Endless talk."], "Two": ["The end."]}, render=ONE_ATTEMPT)
    assert cli("preview", tiny.path).code == 0
    assert cli("render", tiny.path).code == 3
    said = cli("preview", tiny.path)
    assert (said.code, "cap" in said.err) == (0, False)
    tiny.write({"One": ["Endless talk."], "Two": ["The end."]}, render=ONE_ATTEMPT)
    said = cli("preview", tiny.path)
    assert (said.code, "  1:1 cap: " in said.err) == (3, True)


def test_takes_are_transcribed_and_made_again_as_in_render(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."], "Two": ["The end."]})
    transcriber = FakeTranscriber(tiny.loaders)
    transcriber.errors = {"The end.": [0.5, 0.5, 0.5], "Fine talk.": [0.5]}
    said = cli("preview", tiny.path, "--verify", "all")
    assert (said.code, "  2:1 missing: a word" in said.err) == (3, True)
    assert sorted(fake_engine.texts) == ["Fine talk."] * 2 + ["The end."] * 3
    assert "3 takes retried" in said.err


def test_files_of_others_are_left_alone(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    preview_of(tiny).mkdir()
    (preview_of(tiny) / "01-one.wav").write_bytes(b"RIFF mine")
    line = one_line(cli("preview", tiny.path), 2)
    assert line.endswith("01-one.wav exists and was not written by `preview`; move it, or name another --output")
    assert (fake_engine.batches, names(preview_of(tiny)), tiny.output.exists()) == ([], ["01-one.wav"], False)


@pytest.mark.parametrize("rendered", [False, True])
def test_the_books_own_folder_is_refused(rendered: bool, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."]})
    if rendered:
        assert cli("render", tiny.path).code == 0
    line = one_line(cli("preview", tiny.path, "--output", tiny.output), 2)
    assert line == f"{tiny.output} is the book's own output folder; name another --output for the preview"


def test_a_link_as_the_default_folder_is_refused(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."]})
    preview_of(tiny).symlink_to(tiny.folder)
    assert "is a link; to write where it leads" in one_line(cli("preview", tiny.path), 2)


def test_the_takes_of_a_book_in_another_folder_are_shared(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."]})
    other = tiny.folder / "other"
    assert cli("render", tiny.path, "--output", other).code == 0
    fake_engine.batches.clear()
    assert cli("preview", tiny.path, "--takes", other).code == 0
    assert (fake_engine.batches, tiny.output.exists()) == ([], False)
    assert read_comment(preview_of(tiny) / "01-one.wav") == "maya-batch-preview"


def test_another_run_keeps_the_preview_out(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."]})
    assert cli("render", tiny.path).code == 0
    with lock_book(tiny.output / ".maya"):
        assert cli("preview", tiny.path).code == 75
    assert not preview_of(tiny).exists()


@pytest.mark.slow
def test_a_real_preview_is_heard_and_the_book_goes_on_from_it(tmp_path: Path) -> None:
    manifest = write_book(tmp_path / "book.yaml", [["The rain was gone."], ["Come in."]])
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"title": "A Test"', '"title": "A Test", "announce": true'), encoding="utf-8")
    done = maya("preview", manifest)
    assert done.returncode in (0, 3), done.stderr
    files = sorted((tmp_path / "book-preview").iterdir())
    assert [path.name for path in files] == ["01-part-1.wav", "02-part-2.wav"]
    assert all(soundfile.info(path).duration > 2 for path in files)
    takes = set((tmp_path / "book").rglob("*.npz"))
    assert len(takes) == 4
    done = maya("render", manifest)
    assert done.returncode in (0, 3), done.stderr
    assert set((tmp_path / "book").rglob("*.npz")) == takes
    for path in files:  # the preview has these chapters whole
        assert soundfile.info(tmp_path / "book" / path.name).frames == soundfile.info(path).frames
