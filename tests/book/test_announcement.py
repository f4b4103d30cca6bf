"""The spoken titles of chapters."""

from itertools import pairwise

import pytest
import yaml

from maya_batch.book.text_changes import change_lines
from maya_batch.errors import ManifestError
from tests.book.test_plan import keys
from tests.support.fakes import TinyBook

CHAPTERS = [
    {"title": "The Ferry", "part": "Part One", "text": "It is so.\n\nSo it was."},
    {"title": "* * *", "part": "Part One", "text": "It is so."},
    {"title": "What now?", "part": "Part Two", "subtitle": "an end –", "text": "[tom] The end."},
    {"title": "One <b> [c] \\\\", "part": "Part Two", "voice": "tom", "text": "The end."},
]


def write(tiny: TinyBook, chapters: list[dict[str, object]], **more: object) -> TinyBook:
    tiny.write({})
    book = yaml.safe_load(tiny.path.read_text(encoding="utf-8")) | {"chapters": chapters} | more
    tiny.path.write_text(yaml.safe_dump(book, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return tiny


def first(tiny: TinyBook) -> list[str]:
    """The text of each chapter's first chunk."""
    return [chapter.chunks[0].text for chapter in tiny.plan().chapters]


def test_part_title_and_subtitle_are_said_before_the_text(tiny: TinyBook) -> None:
    plan = write(tiny, [dict(chapter) for chapter in CHAPTERS], announce=True).plan()
    told = [chunk for chapter in plan.chapters for chunk in chapter.chunks if not chunk.source]
    assert [(chunk.ref, chunk.text) for chunk in told] == [
        ("1:1", "Part One. The Ferry."),
        ("3:1", "Part Two. What now? an end."),
        ("4:1", "One less than b greater than [c] \\\\."),
    ]
    pauses = plan.pauses
    assert {chunk.pause for chunk in told} == {2 * pauses.paragraph}
    assert [chunk.description for chunk in told] == ["A calm voice.", "A calm voice.", "Another voice."]
    for text, chapter in zip(plan.manuscript.chapters, plan.chapters, strict=True):
        assert "".join(chunk.source for chunk in chapter.chunks) == text.text
        assert [chunk.index for chunk in chapter.chunks] == list(range(1, len(chapter.chunks) + 1))


def test_an_entity_in_a_title_is_said_as_it_is_written(tiny: TinyBook) -> None:
    write(tiny, [{"title": "Use &mdsh; and &copy", "text": "It is so."}], announce=True, normalize="off")
    assert first(tiny) == ["Use &mdsh; and &copy."]


def test_a_book_without_announcements_keeps_its_chunks_and_keys(tiny: TinyBook) -> None:
    bare: list[dict[str, object]] = [{"title": chapter["title"], "text": chapter["text"]} for chapter in CHAPTERS]
    before = keys(write(tiny, bare).plan())
    with_parts: list[dict[str, object]] = [dict(chapter) for chapter in CHAPTERS]
    del with_parts[3]["voice"]
    assert keys(write(tiny, with_parts).plan()) == before
    assert list(before) == ["1:1", "1:2", "2:1", "3:1", "4:1"]


def test_a_chapter_may_be_announced_otherwise_than_the_book(tiny: TinyBook) -> None:
    chapters: list[dict[str, object]] = [
        {"title": "One", "text": "Text."},
        {"title": "Two", "text": "Text.", "announce": False},
        {"title": "Three", "text": "Text.", "announce": "Chapter <laugh> three", "part": "Unsaid"},
        {"title": "Four", "text": "Text.", "announce": "[tom] Four"},
    ]
    assert first(write(tiny, chapters, announce=True)) == ["One.", "Text.", "Chapter <laugh> three.", "Four."]
    assert first(write(tiny, chapters)) == ["Text.", "Text.", "Chapter <laugh> three.", "Four."]
    assert tiny.plan().chapters[3].chunks[0].description == "Another voice."


def test_mistakes_in_an_announcement_have_its_place(tiny: TinyBook) -> None:
    chapters: list[dict[str, object]] = [{"title": "One", "text": "Text.", "announce": "[ana] One"}]
    with pytest.raises(ManifestError, match=r"book\.yaml:\d+:13: \[ana\] names no voice"):
        write(tiny, chapters).plan()


def test_a_change_of_an_announcement_has_the_place_of_the_title(tiny: TinyBook) -> None:
    chapters: list[dict[str, object]] = [
        {"title": "Chapter 4", "text": "It is 5 now."},
        {"title": "Two", "announce": "Part 2", "text": "Text."},
    ]
    changes = change_lines(write(tiny, chapters, announce=True).plan())
    lines = tiny.path.read_text(encoding="utf-8").splitlines()
    found = [(change.written, change.spoken, lines[change.line - 1][change.column - 1 :]) for change in changes]
    assert found == [("4", "four", "Chapter 4"), ("5", "five", "5 now."), ("2", "two", "Part 2")]


def test_a_long_title_is_cut_like_a_text(tiny: TinyBook) -> None:
    title = " ".join(["In which he goes on,"] * 30)
    plan = write(tiny, [{"title": title, "text": "Text."}], announce=True).plan()
    *told, text = plan.chapters[0].chunks
    assert len(told) > 1
    assert text.source == "Text."
    assert all(chunk.pause == plan.book.pauses.sentence for chunk, _ in pairwise(told))


def test_a_part_is_said_again_only_when_it_changes_between_chapters_that_are_read(tiny: TinyBook) -> None:
    chapters: list[dict[str, object]] = [
        {"title": "One", "part": "A", "text": "Text."},
        {"title": "Plate", "part": "B", "text": "Text.", "skip": "a picture"},
        {"title": "Two", "part": "A", "text": "Text."},
        {"title": "Three", "text": "Text."},
        {"title": "Four", "part": "A", "text": "Text."},
    ]
    assert first(write(tiny, chapters, announce=True)) == ["A. One.", "Two.", "Three.", "A. Four."]
