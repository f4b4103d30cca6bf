"""Chapters that the manifest skips: they keep their numbers, and their characters are accounted for."""

import pytest

from maya_batch.book.chapter_numbers import find_chapters
from maya_batch.book.character_accounting import Characters, book_characters, chapter_characters
from maya_batch.book.chunk_refs import find_chunks
from maya_batch.book.overview import describe
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.errors import UsageError
from tests.book.test_announcement import write
from tests.support.fakes import TinyBook

CHAPTERS: list[dict[str, object]] = [
    {"title": "Imprint", "text": "All [rights <reserved>.", "skip": "imprint", "part": "Front"},
    {"title": "One", "text": "It is so.", "part": "Part One"},
    {"title": "One", "text": "It is so.", "part": "Part One"},
    {"title": "* * *", "text": "", "skip": True},
    {"title": "* * *", "text": "So it was."},
]


def test_files_and_chunks_keep_their_numbers(tiny: TinyBook) -> None:
    plan = write(tiny, CHAPTERS).plan()
    assert [chapter.stem for chapter in plan.chapters] == ["02-one", "03-one", "05"]
    assert [chunk.ref for chunk in plan.chunks()] == ["2:1", "3:1", "5:1"]


def test_a_hundred_chapters_of_which_few_are_read_have_names_of_three_digits(tiny: TinyBook) -> None:
    chapters: list[dict[str, object]] = [{"title": "X", "text": "x", "skip": n > 1} for n in range(1, 101)]
    assert [chapter.stem for chapter in write(tiny, chapters).plan().chapters] == ["001-x"]


def test_each_character_is_counted_once(tiny: TinyBook) -> None:
    state = book_state(write(tiny, CHAPTERS).plan(), Machine())
    missing, skipped = len("It is so.") * 2 + len("So it was."), len("All [rights <reserved>.")
    spoken = [chapter_characters(state, chapter) for chapter in state.plan.chapters]
    assert book_characters(state, spoken) == Characters(missing + skipped, 0, 0, 0, missing, 0, skipped)


def test_plan_shows_parts_and_what_is_skipped(tiny: TinyBook) -> None:
    told = describe(book_state(write(tiny, CHAPTERS).plan(), Machine()), Machine(), takes=False)
    lines = told.lines()
    shown = lines[3 : lines.index("", 3)] if lines[2] == "" else lines
    assert shown[0] == "Front"
    assert shown[1] == "   1  Imprint  skipped (imprint), 23 characters"
    assert shown[2] == "Part One"
    assert shown[3].startswith("   2  One ")
    assert shown[4].startswith("   3  One ")
    assert "   4  * * *    skipped, 0 characters" in lines
    assert "51 characters: 28 missing, 23 skipped" in lines
    assert [(chapter.number, chapter.reason) for chapter in told.skipped] == [(1, "imprint"), (4, "")]
    assert [chapter.part for chapter in told.chapters] == ["Part One", "Part One", ""]


@pytest.mark.parametrize(
    ("text", "found"),
    [("2", {2}), ("2-3,5", {2, 3, 5}), ("1-5", {2, 3, 5}), (" 5 , 2 - 3", {2, 3, 5}), ("5,5", {5}), ("4-5", {5})],
)
def test_chapters_are_named_by_numbers_and_ranges(text: str, found: set[int], tiny: TinyBook) -> None:
    assert find_chapters(text, write(tiny, CHAPTERS).plan()) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("4", "--chapters 4: chapter 4 is skipped; to render it, delete its `skip:` in the manifest"),
        ("2,6", "--chapters 6: there is no chapter 6; the book has chapters 1 to 5"),
        ("2-99", "--chapters 2-99: there is no chapter 99; the book has chapters 1 to 5"),
        ("0", "--chapters 0: there is no chapter 0; the book has chapters 1 to 5"),
        ("0-2", "--chapters 0-2: there is no chapter 0; the book has chapters 1 to 5"),
        ("3-2", "--chapters 3-2 runs backwards; write 2-3"),
        ("one", "--chapters 'one': write numbers and ranges, like 1-3,7"),
        ("", "--chapters '': write numbers and ranges, like 1-3,7"),
        ("-3", "--chapters '-3': write numbers and ranges, like 1-3,7"),
        ("1-999999999", "--chapters 1-999999999: there is no chapter 999999999; the book has chapters 1 to 5"),
    ],
)
def test_a_wrong_number_is_one_line(text: str, line: str, tiny: TinyBook) -> None:
    with pytest.raises(UsageError) as error:
        find_chapters(text, write(tiny, CHAPTERS).plan())
    assert str(error.value) == line


def test_a_chunk_of_a_skipped_chapter_is_refused_with_the_reason(tiny: TinyBook) -> None:
    plan = write(tiny, CHAPTERS).plan()
    with pytest.raises(UsageError, match="1:1: chapter 1 is skipped; to render it, delete its `skip:`"):
        find_chunks(["1:1"], plan, lambda chunk: "")
    assert [chunk.ref for chunk in find_chunks(["5:1"], plan, lambda chunk: "")] == ["5:1"]
