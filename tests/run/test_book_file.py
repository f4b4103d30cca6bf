"""The M4B of a book: made when all chapters are whole, of what changed, and never by the language model."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from maya_batch.audio import m4b
from maya_batch.audio.adts import read_stream
from maya_batch.book.overview import describe
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.errors import MachineError
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.result import RunResult
from maya_batch.run.scope import Scope
from tests.audio.test_m4b import png
from tests.support.fakes import Events, FakeEngine, TinyBook
from tests.support.ffprobe import lower_tags, needs_ffprobe, probe

TEXT = {"One": ["The night was dark.", "The river was high."], "Two": ["The rain was gone."], "Three": ["It was late."]}
M4B = {"formats": ["m4b"]}


def render(tiny: TinyBook, **more: Any) -> RunResult:
    return render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders, **more)


def assemble(tiny: TinyBook, **more: Any) -> RunResult:
    return assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders, **more)


def names(result: RunResult) -> list[str]:
    return [path.name for path in result.files]


def streams(tiny: TinyBook) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted((tiny.output / ".maya" / "m4b").iterdir())}


@needs_ffprobe
def test_the_chapters_of_the_book_are_in_the_file(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=M4B, title='A Book: of "Words"', author="Zoë")
    assert names(render(tiny)) == ["A Book of Words.m4b"]
    told = probe(tiny.output / "A Book of Words.m4b")
    assert [mark["tags"]["title"] for mark in told["chapters"]] == ["One", "Two", "Three"]
    lengths = [read_stream(tiny.output / ".maya" / "m4b" / name).seconds for name in streams(tiny)]
    starts = [float(mark["start_time"]) for mark in told["chapters"]]
    assert [after - before for before, after in pairwise(starts)] == pytest.approx(lengths[:2], abs=0.05)
    assert lower_tags(told)["title"] == lower_tags(told)["album"] == 'A Book: of "Words"'
    assert render(tiny).files == []


def test_tags_and_cover_encode_nothing_and_render_nothing(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=M4B)
    [path] = render(tiny).files
    before, old = streams(tiny), path.read_bytes()
    fake_engine.batches.clear()
    (tiny.folder / "cover.png").write_bytes(png(8))
    tiny.write(TEXT, output=M4B, cover="cover.png", narrator="A voice", description="A tale.", isbn="9783161484100")
    assert names(assemble(tiny)) == [path.name]
    assert streams(tiny) == before
    assert path.read_bytes() != old
    assert fake_engine.batches == []


def test_only_the_chapter_that_changed_is_encoded_again(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=M4B)
    render(tiny)
    before = streams(tiny)
    tiny.write(TEXT | {"Two": ["The rain was back."]}, output=M4B)
    render(tiny)
    after = streams(tiny)
    assert [name for name in after if after[name] != before[name]] == ["02-two.aac"]


def test_another_format_leaves_the_files_of_the_first(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output={"formats": ["mp3"]})
    render(tiny)
    fake_engine.batches.clear()
    before = {path: path.read_bytes() for path in tiny.output.glob("*.mp3")}
    tiny.write(TEXT, output={"formats": ["mp3", "flac", "m4b"]})
    flac = ["01-one.flac", "02-two.flac", "03-three.flac"]
    assert [name for name in names(assemble(tiny)) if name.endswith(".flac")] == flac
    assert {path: path.read_bytes() for path in before} == before
    assert fake_engine.batches == []


def test_a_book_with_a_missing_chapter_has_no_m4b_but_a_partial_one(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    from mutagen.mp4 import MP4

    tiny.write(TEXT, output=M4B, title="Book")
    assert names(render(tiny, scope=Scope(frozenset({1, 3})))) == []
    assert names(assemble(tiny)) == []
    assert names(assemble(tiny, partial=True)) == ["Book (partial 2 of 3 chapters).m4b"]
    file = MP4(tiny.output / "Book (partial 2 of 3 chapters).m4b")
    assert file["\xa9nam"] == ["Book (partial: 2 of 3 chapters)"]
    assert [mark.title for mark in file.chapters] == ["One", "Three"]
    assert names(render(tiny)) == ["Book.m4b"]
    from maya_batch.book.leftovers import left_over
    from maya_batch.book.state import book_state

    left = left_over(book_state(tiny.plan(), Machine())).files
    assert [path.name for path in left] == ["Book (partial 2 of 3 chapters).m4b"]


def test_more_chapters_than_fit_are_parts(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mutagen.mp4 import MP4

    monkeypatch.setattr(m4b, "MOST_CHAPTERS", 2)
    tiny.write(TEXT, output=M4B, title="Book")
    assert names(render(tiny)) == ["Book (part 1 of 2).m4b", "Book (part 2 of 2).m4b"]
    file = MP4(tiny.output / "Book (part 2 of 2).m4b")
    assert (file["trkn"], file["\xa9nam"], file["\xa9alb"]) == ([(2, 2)], ["Book (part 2 of 2)"], ["Book"])
    assert [mark.title for mark in file.chapters] == ["Three"]
    monkeypatch.setattr(m4b, "LONGEST_SECONDS", 0.1)
    assert names(assemble(tiny)) == [f"Book (part {number} of 3).m4b" for number in (1, 2, 3)]


def test_a_failed_m4b_is_made_by_the_same_command(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(TEXT, output=M4B, title="Book")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(m4b, "_tag", full)
        with pytest.raises(OSError, match="No space"):
            render(tiny)
    assert [path.name for path in tiny.output.iterdir() if "m4b" in path.name] == []
    before, texts = streams(tiny), list(fake_engine.texts)
    assert names(render(tiny)) == ["Book.m4b"]
    assert (streams(tiny), fake_engine.texts) == (before, texts)


def test_a_damaged_stream_is_encoded_again(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=M4B, title="Book")
    render(tiny)
    path = tiny.output / ".maya" / "m4b" / "02-two.aac"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(MachineError, match="not whole"):
        read_stream(path)
    assemble(tiny)
    assert path.read_bytes() == whole


def test_a_file_of_another_program_under_the_name_is_refused(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    from maya_batch.errors import UsageError

    tiny.write(TEXT, output=M4B, title="Book")
    tiny.output.mkdir()
    (tiny.output / "Book.m4b").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"Book\.m4b was not written by maya-batch"):
        render(tiny)
    assert (tiny.output / "Book.m4b").read_bytes() == b"mine"


def test_the_report_of_a_book_with_an_m4b_alone_is_whole(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=M4B, title="Book")
    render(tiny)
    report = json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    assert [chapter["seconds"] > 0 for chapter in report["chapters"]] == [True] * 3
    assert not list(Path(tiny.output).glob(".*.part"))


def test_the_status_says_what_the_m4b_is(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    path = tiny.output / "Book.m4b"

    def status() -> tuple[dict[str, str], str]:
        told = describe(book_state(tiny.plan(), Machine()), Machine(), takes=True)
        return told.book_files, next((line for line in told.lines() if line.startswith(str(path))), "")

    tiny.write(TEXT, output=M4B, title="Book")
    assert status() == ({str(path): "waiting"}, f"{path}: waits until the files of all chapters are current")
    render(tiny, scope=Scope(frozenset({1, 3})))
    assert status()[0] == {str(path): "waiting"}
    render(tiny)
    assert status() == ({str(path): "current"}, f"{path}: current")
    tiny.write(TEXT, output=M4B, title="Book", author="Zoë")
    assert status() == ({str(path): "outdated"}, f"{path}: outdated; `maya-batch assemble` writes it")
    path.unlink()
    assert status()[0] == {str(path): "missing"}
    tiny.write(TEXT, title="Book")
    assert status() == ({}, "")
