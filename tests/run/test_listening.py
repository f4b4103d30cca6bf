"""What listen.html is told of a book: files that are current, times, takes to compare."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from maya_batch.manifest.audio_formats import CHOICES
from maya_batch.run.listening import MEDIA_TYPES
from tests.run.test_redo import Cli
from tests.support.fakes import FakeEngine, TinyBook

TEXT = {"One": ["The night was dark. Who goes there?", "Clumsy talk."], "Two": ["Broken talk.", "The end."]}


def data_of(folder: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="book">(.*?)</script>', (folder / "listen.html").read_text("utf-8")
    )
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def rendered(tiny: TinyBook, cli: Cli, **more: object) -> dict[str, Any]:
    tiny.write(TEXT, **more)
    cli("render", tiny.path)
    return data_of(tiny.output)


def test_sentences_have_their_times_and_flagged_chunks_their_takes(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    data = rendered(tiny, cli)
    one, two = data["chapters"]
    assert [file["url"] for file in one["files"]] == ["./01-one.wav"]
    (first, second), [third] = one["chunks"][0]["sentences"], one["chunks"][1]["sentences"]
    assert [first[0], second[0], third[0]] == ["The night was dark.", "Who goes there?", "Clumsy talk."]
    assert (first[3], second[3], third[3]) == (1, 0, 1)
    assert 0 <= first[1] < first[2] <= second[1] < second[2] < third[1]
    broken, good = two["chunks"]
    assert (broken["flagged"], good["flagged"], broken["used"]) == (True, False, 1)
    assert len(broken["takes"]) == 3
    for take in broken["takes"]:
        assert take["problems"][0].startswith("broken: ")
        assert (tiny.output / unquote(take["clip"])).read_bytes()[:1] == b"\xff"
    assert [take["clip"] for take in good["takes"]] == [None]


def test_a_take_with_problems_keeps_its_sound_when_the_next_one_is_good(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    clumsy = rendered(tiny, cli)["chapters"][0]["chunks"][1]
    assert (clumsy["flagged"], clumsy["used"]) == (False, 2)
    first, second = clumsy["takes"]
    assert (tiny.output / unquote(first["clip"])).stat().st_size > 100
    assert second["clip"] is None  # it is in the chapter
    cli("redo", tiny.path, "1:2")
    clips = [take["clip"] for take in data_of(tiny.output)["chapters"][0]["chunks"][1]["takes"]]
    assert all(clips)
    assert len(clips) == 3


def test_the_page_is_written_again_when_it_is_gone_and_else_left(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    rendered(tiny, cli)
    page = tiny.output / "listen.html"
    before = page.stat().st_mtime_ns
    cli("render", tiny.path)
    assert page.stat().st_mtime_ns == before
    page.unlink()
    cli("render", tiny.path)
    assert data_of(tiny.output)["chapters"]


def test_a_chapter_without_a_current_file_is_text_with_a_remark(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    rendered(tiny, cli)
    tiny.write({"One": ["A new line.", *TEXT["One"]], "Two": TEXT["Two"]}, pauses={"chapter_start": 2.0})
    cli("redo", tiny.path, "1:2")
    one, two = data_of(tiny.output)["chapters"]
    assert one["remark"] == "This chapter is not rendered yet."
    assert two["remark"] == "The file of this chapter is missing or not up to date: `maya-batch assemble` writes it."
    for chapter in (one, two):
        assert chapter["files"] == []
        assert {sentence[1] for chunk in chapter["chunks"] for sentence in chunk["sentences"]} == {None}
    assert [chunk["sentences"][0][0] for chunk in one["chunks"]] == [
        "A new line.",
        "The night was dark.",
        "Clumsy talk.",
    ]


def test_what_is_left_out_of_a_chapter_has_no_time(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    data = rendered(tiny, cli, render={"model": "./lm", "codec": "./codec", "failed": "omit"})
    broken, good = data["chapters"][1]["chunks"]
    assert (broken["omitted"], broken["sentences"]) == (True, [["Broken talk.", None, None, 1]])
    assert good["sentences"][0][1] is not None


def test_a_take_that_a_person_chose_is_no_longer_flagged_and_stays_comparable(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    rendered(tiny, cli)
    cli("redo", tiny.path, "2:1", "--keep", "2")
    broken = data_of(tiny.output)["chapters"][1]["chunks"][0]
    assert (broken["flagged"], broken["chosen"], broken["used"]) == (False, True, 2)
    assert all(take["clip"] for take in broken["takes"])


def test_chapters_of_an_m4b_begin_where_the_file_says(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    from mutagen.mp4 import MP4

    data = rendered(tiny, cli, output={"formats": ["m4b"]})
    [path] = tiny.output.glob("*.m4b")
    files = [file for chapter in data["chapters"] for file in chapter["files"]]
    assert {(file["url"], file["type"]) for file in files} == {(f"./{path.name}", "audio/mp4")}
    assert [file["offset"] for file in files] == pytest.approx([mark.start for mark in MP4(path).chapters], abs=0.02)


def test_each_format_has_a_media_type() -> None:
    assert MEDIA_TYPES.keys() == CHOICES.keys()
