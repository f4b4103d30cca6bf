"""Subtitles are written without encoding anything, follow every change, and overwrite nothing of a person."""

from pathlib import Path
from typing import Any

import pysubs2
import pytest

from maya_batch.book.leftovers import left_over
from maya_batch.book.overview import describe
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.errors import UsageError
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.scope import Scope
from tests.support.fakes import Events, FakeCodec, FakeEngine, TinyBook

TEXT = {"One": ["The night was dark. Who goes there?", "No man."], "Two": ["The rain was gone."]}
SRT = {"formats": ["mp3", "srt", "vtt"]}
M4B = {"formats": ["m4b", "srt"]}


def render(tiny: TinyBook, **more: Any) -> list[str]:
    return [path.name for path in render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders, **more).files]


def assemble(tiny: TinyBook, **more: Any) -> list[str]:
    return [path.name for path in assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders, **more).files]


def state(tiny: TinyBook) -> BookState:
    return book_state(tiny.plan(), Machine())


def stamps(tiny: TinyBook) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in tiny.output.iterdir() if path.suffix in (".mp3", ".m4b")}


def files(tiny: TinyBook) -> list[str]:
    return [chapter.file for chapter in describe(state(tiny), Machine(), takes=True).chapters]


def test_each_chapter_has_subtitles_next_to_it(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=SRT)
    assert render(tiny) == [
        *("01-one.mp3", "02-two.mp3"),
        *("01-one.srt", "01-one.vtt", "02-two.srt", "02-two.vtt"),
    ]
    for suffix in ("srt", "vtt"):
        read = pysubs2.load(str(tiny.output / f"01-one.{suffix}"))
        # 0.1 s of sound for each of two chunks: all of it is shown at once.
        words = " ".join(event.plaintext.replace("\n", " ") for event in read)
        assert words == "The night was dark. Who goes there? No man."
    assert (render(tiny), assemble(tiny), files(tiny)) == ([], [], ["current", "current"])


def test_they_are_added_to_a_book_and_follow_its_titles_without_encoding(
    tiny: TinyBook, fake_engine: FakeEngine, fake_codec: FakeCodec
) -> None:
    tiny.write(TEXT, output={"formats": ["mp3"]})
    render(tiny)
    before = stamps(tiny)
    decoded = fake_codec.decoded
    tiny.write(TEXT, output=SRT)
    assert files(tiny) == ["missing", "missing"]
    assert assemble(tiny) == ["01-one.srt", "01-one.vtt", "02-two.srt", "02-two.vtt"]
    assert (stamps(tiny), fake_codec.decoded) == (before, decoded)
    (tiny.output / "01-one.vtt").unlink()
    assert (files(tiny), assemble(tiny)) == (["missing", "current"], ["01-one.vtt"])


def test_a_chapter_of_an_earlier_version_is_measured_once(
    tiny: TinyBook, fake_engine: FakeEngine, fake_codec: FakeCodec
) -> None:
    tiny.write(TEXT, output=SRT)
    render(tiny)
    (expected,) = (path.read_bytes() for path in tiny.output.glob("01-*.srt"))
    before, decoded = stamps(tiny), fake_codec.decoded
    (tiny.output / ".maya" / "sound.json").unlink()
    assert assemble(tiny) == []
    assert (tiny.output / "01-one.srt").read_bytes() == expected
    assert (stamps(tiny), fake_codec.decoded) == (before, decoded + 3)
    assert (assemble(tiny), fake_codec.decoded) == ([], decoded + 3)


def test_an_m4b_has_subtitles_on_its_clock(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=M4B, pauses={"chapter_start": 0.5, "chapter_end": 2, "paragraph": 2})
    assert render(tiny, scope=Scope(frozenset({1}))) == []
    assert describe(state(tiny), Machine(), takes=True).book_files == {
        str(tiny.output / "Tiny.m4b"): "waiting",
        str(tiny.output / "Tiny.srt"): "waiting",
    }
    assert render(tiny) == ["Tiny.m4b", "Tiny.srt"]
    read = pysubs2.load(str(tiny.output / "Tiny.srt"))
    from mutagen.mp4 import MP4

    second = MP4(tiny.output / "Tiny.m4b").chapters[1].start
    assert [event.start / 1000 for event in read] == pytest.approx([0.5 + 1024 / 24000, 2.64, second + 0.5], abs=0.03)
    assert set(describe(state(tiny), Machine(), takes=True).book_files.values()) == {"current"}


def test_a_file_that_a_person_changed_is_kept_and_another_one_refused(
    tiny: TinyBook, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write(TEXT, output=SRT)
    render(tiny)
    (tiny.output / "01-one.srt").write_text("mine")
    assert assemble(tiny) == ["01-one.srt"]
    [kept] = tiny.output.glob("01-one.srt.aside-*")
    assert kept.read_text() == "mine"
    assert "01-one.srt was changed since it was written" in caplog.text
    (tiny.output / "03-three.srt").write_text("mine")
    tiny.write(TEXT | {"Three": ["It was late."]}, output=SRT)
    with pytest.raises(UsageError, match=r"03-three.srt was not written by maya-batch"):
        render(tiny)


def test_subtitles_that_the_book_no_longer_has_are_left_over(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=SRT)
    render(tiny)
    tiny.write({"First": TEXT["One"], "Two": TEXT["Two"]}, output={"formats": ["mp3", "srt"]})
    render(tiny)
    (tiny.output / "02-two.vtt").write_text("mine")
    left = left_over(state(tiny)).files
    assert [path.name for path in left] == ["01-one.mp3", "01-one.srt", "01-one.vtt"]


@pytest.mark.parametrize("name", ["../outside.srt", "/etc/passwd", "sub/../../outside.srt"])
def test_a_record_names_no_file_outside_the_folder(
    name: str, tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path
) -> None:
    import hashlib
    import json

    tiny.write(TEXT, output=SRT)
    render(tiny)
    (tiny.folder / "outside.srt").write_text("x")
    record = {name: hashlib.sha256(b"x").hexdigest()}
    (tiny.output / ".maya" / "subtitles.json").write_text(json.dumps(record))
    assert left_over(state(tiny)).files == []


def test_a_library_has_them_next_to_its_audio(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output={"formats": ["m4b", "srt", "vtt"], "layout": "audiobookshelf"}, author="Zoë")
    assert [name for name in render(tiny) if "Tiny." in name] == ["Tiny.m4b", "Tiny.srt", "Tiny.vtt"]
    assert (tiny.output / "Zoë" / "Tiny" / "Tiny.srt").is_file()
    tiny.write(TEXT, output=M4B, author="Zoë")
    render(tiny)
    left = [path.name for path in left_over(state(tiny)).files]
    assert left == ["Tiny.m4b", "Tiny.srt", "Tiny.vtt", "metadata.opf"]
