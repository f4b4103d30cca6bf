"""Chapters follow the contents through the text, whatever files the text is in."""

from collections.abc import Sequence

import pytest

from maya_batch.importing.blocks import Block, Document
from maya_batch.importing.chapters import Chapter, make_chapters
from maya_batch.importing.reading_rules import Reading
from tests.importing.stories import block, document, heading

LONG = "word " * 200


def table(document: Document) -> list[tuple[str, str, str]]:
    """Title, part and reason of each chapter."""
    chapters, _ = make_chapters(document)
    assert sorted(map(id, all_blocks(chapters))) == sorted(map(id, document.blocks))
    return [(chapter.title, chapter.part, chapter.skip) for chapter in chapters]


def all_blocks(chapters: Sequence[Chapter]) -> list[Block]:
    return [each for chapter in chapters for each in (*chapter.announced, *chapter.blocks)]


def texts(document: Document) -> list[list[str]]:
    return [[each.text for each in chapter.blocks] for chapter in make_chapters(document)[0]]


def test_several_chapters_in_one_file_are_divided_at_anchors() -> None:
    book = document(
        [heading("The Ferry", ids=("a",)), block("One."), heading("The Hill", ids=("b",)), block("Two.")],
        [("The Ferry", 1, "a.xhtml#a"), ("The Hill", 1, "a.xhtml#b")],
    )
    assert table(book) == [("The Ferry", "", ""), ("The Hill", "", "")]
    assert texts(book) == [["One."], ["Two."]]


def test_a_chapter_goes_on_over_files_without_an_entry() -> None:
    book = document(
        [block("One.", file="1"), block("Two.", file="2"), block("Three.", file="3")],
        [("The Ferry", 1, "1"), ("The Hill", 1, "3")],
    )
    assert texts(book) == [["One.", "Two."], ["Three."]]


def test_chapters_of_a_part_know_it_and_its_heading_is_not_a_chapter() -> None:
    book = document(
        [
            heading("Part One", file="1"),
            heading("I", 2, file="2"),
            block("One.", file="2"),
            heading("II", 2, file="3"),
            block("Two.", file="3"),
        ],
        [("Part One", 1, "1"), ("I", 2, "2"), ("II", 2, "3")],
    )
    assert table(book) == [("Chapter 1", "Part One", ""), ("Chapter 2", "Part One", "")]
    assert texts(book) == [["One."], ["Two."]]


def test_parts_in_flat_contents_are_parts_of_what_follows_up_to_the_epilogue() -> None:
    book = document(
        [
            heading("PART ONE", file="1"),
            heading("The Ferry", file="2"),
            block("One.", file="2"),
            heading("PART TWO", file="3"),
            heading("The Hill", file="4"),
            block("Two.", file="4"),
            heading("Epilogue", file="5"),
            block("Three.", file="5"),
        ],
        [
            ("PART ONE", 1, "1"),
            ("The Ferry", 1, "2"),
            ("PART TWO", 1, "3"),
            ("The Hill", 1, "4"),
            ("Epilogue", 1, "5"),
        ],
    )
    assert table(book) == [("The Ferry", "PART ONE", ""), ("The Hill", "PART TWO", ""), ("Epilogue", "", "")]


def test_the_text_of_a_part_before_its_first_chapter_is_a_chapter() -> None:
    book = document(
        [heading("Part One", ids=("p",)), block("It was long ago."), heading("I", 2, ids=("c",)), block("One.")],
        [("Part One", 1, "a.xhtml#p"), ("I", 2, "a.xhtml#c")],
    )
    assert table(book) == [("Part One", "Part One", ""), ("Chapter 1", "Part One", "")]


def test_nested_parts_are_named_from_the_outermost() -> None:
    book = document(
        [heading("I", ids=("c",)), block("One."), heading("II", ids=("d",)), block("Two.")],
        [("Volume 1", 1, ""), ("Book Two", 2, ""), ("I", 3, "a.xhtml#c"), ("II", 3, "a.xhtml#d")],
    )
    assert table(book) == [
        ("Chapter 1", "Volume 1, Book Two", ""),
        ("Chapter 2", "Volume 1, Book Two", ""),
    ]


def test_sections_of_a_chapter_stay_in_it() -> None:
    book = document(
        [
            heading("Chapter 1", ids=("a",)),
            block(LONG),
            heading("Why", 2, ids=("b",)),
            block(LONG),
            heading("Chapter 2", ids=("c",)),
            block(LONG),
        ],
        [("Chapter 1", 1, "a.xhtml#a"), ("Why", 2, "a.xhtml#b"), ("Chapter 2", 1, "a.xhtml#c")],
    )
    assert table(book) == [("Chapter 1", "", ""), ("Chapter 2", "", "")]
    assert texts(book)[0] == [LONG, "Why", LONG]


def test_short_sections_make_one_chapter_and_long_ones_are_chapters() -> None:
    def book(words: int) -> Document:
        blocks, contents = [], [("The Town", 1, "a.xhtml#t")]
        blocks.append(heading("The Town", ids=("t",)))
        for at in range(8):
            blocks += [heading(f"Street {at}", 2, ids=(f"s{at}",)), block("word " * words)]
            contents.append((f"Street {at}", 2, f"a.xhtml#s{at}"))
        return document(blocks, contents)

    assert [title for title, *_ in table(book(300))] == ["The Town"]
    assert [title for title, *_ in table(book(900))] == [f"Street {at}" for at in range(8)]


def test_the_text_wins_where_the_contents_have_another_order() -> None:
    book = document(
        [block("One.", file="1"), block("Two.", file="2")],
        [("The Hill", 1, "2"), ("The Ferry", 1, "1")],
    )
    assert [title for title, *_ in table(book)] == ["The Ferry", "The Hill"]
    assert "another order" in " ".join(make_chapters(book)[1])


def test_entries_that_point_nowhere_are_told_and_lose_no_text() -> None:
    book = document(
        [block("One.", file="1"), block("Two.", file="2")],
        [("The Ferry", 1, "1"), ("Lost", 1, "9"), ("The Hill", 1, "2")],
    )
    assert [title for title, *_ in table(book)] == ["The Ferry", "The Hill"]
    assert make_chapters(book)[1] == ["the contents point to places that do not exist: 'Lost'"]


def test_an_entry_without_its_anchor_begins_at_the_heading_with_its_title() -> None:
    book = document(
        [heading("The Ferry"), block("One."), heading("The Hill"), block("Two.")],
        [("The Ferry", 1, "a.xhtml#gone"), ("The Hill", 1, "a.xhtml#gone-too")],
    )
    assert texts(book) == [["One."], ["Two."]]


def test_an_anchor_below_the_heading_takes_the_heading_along() -> None:
    book = document(
        [heading("The Ferry"), block("One.", ids=("a",)), heading("The Hill"), block("Two.", ids=("b",))],
        [("The Ferry", 1, "a.xhtml#a"), ("The Hill", 1, "a.xhtml#b")],
    )
    assert texts(book) == [["One."], ["Two."]]


def test_without_contents_the_headings_are_the_chapters() -> None:
    book = document(
        [heading("The Ferry"), block("One."), heading("Why", 2), block("Two."), heading("The Hill"), block("3.")]
    )
    assert [title for title, *_ in table(book)] == ["The Ferry", "The Hill"]
    assert texts(book)[0] == ["One.", "Why", "Two."]


def test_without_contents_and_headings_each_file_is_a_chapter() -> None:
    assert [t for t, *_ in table(document([block("One.", file="1"), block("Two.", file="2")]))] == [
        "Chapter 1",
        "Chapter 2",
    ]


def test_a_text_without_any_heading_is_one_chapter_with_the_title_of_the_book() -> None:
    assert table(document([block("One."), block("Two.")], title="The Lamp")) == [("The Lamp", "", "")]


def test_contents_with_a_single_entry_give_way_to_the_headings() -> None:
    book = document(
        [heading("The Ferry"), block("One."), heading("The Hill"), block("Two.")], [("Start", 1, "a.xhtml")]
    )
    assert [title for title, *_ in table(book)] == ["The Ferry", "The Hill"]


def test_text_before_the_first_entry_is_kept() -> None:
    book = document(
        [
            block("Long ago it began.", file="0"),
            heading("I", file="1"),
            block("One.", file="1"),
            block("Two.", file="2"),
        ],
        [("I", 1, "1"), ("II", 1, "2")],
    )
    assert table(book)[0] == ("Opening", "", "")
    assert texts(book)[0] == ["Long ago it began."]


def test_a_picture_without_text_before_the_first_chapter_is_no_chapter() -> None:
    book = document(
        [block("Cover", "figure", file="0"), block("One.", file="1"), block("Two.", file="2")],
        [("Cover", 1, "0"), ("The Ferry", 1, "1"), ("The Hill", 1, "2")],
    )
    assert [(title, skip) for title, _, skip in table(book)][-2:] == [("The Ferry", ""), ("The Hill", "")]


def test_a_heading_is_said_once_and_a_second_one_is_the_subtitle() -> None:
    book = document(
        [heading("CHAPTER IV"), heading("The Hill", 2), block("One."), heading("Chapter 5", ids=("b",)), block("Two.")],
        [("4", 1, "a.xhtml"), ("5", 1, "a.xhtml#b")],
    )
    first, second = make_chapters(book)[0]
    assert (first.title, first.subtitle, [b.text for b in first.blocks]) == ("Chapter 4", "The Hill", ["One."])
    assert (second.title, second.subtitle, [b.text for b in second.blocks]) == ("Chapter 5", "", ["Two."])


def test_a_heading_that_says_more_than_the_contents_is_the_title() -> None:
    book = document(
        [heading("Chapter 1: The Ferry"), block("One."), heading("Chapter 2: The Hill", ids=("b",)), block("Two.")],
        [("Chapter 1", 1, "a.xhtml"), ("Chapter 2", 1, "a.xhtml#b")],
    )
    assert [title for title, *_ in table(book)] == ["Chapter 1: The Ferry", "Chapter 2: The Hill"]


def test_numbers_stay_as_they_are_in_other_languages() -> None:
    book = document([block("Un.", file="1"), block("Deux.", file="2")], [("I", 1, "1"), ("II", 1, "2")], language="fr")
    assert [title for title, *_ in table(book)] == ["I", "II"]


@pytest.mark.parametrize("number", ["1984", "MIX"])
def test_years_and_words_are_no_numbers_of_chapters(number: str) -> None:
    book = document([block("One.", file="1"), block("Two.", file="2")], [(number, 1, "1"), ("The Hill", 1, "2")])
    assert table(book)[0][0] == number


@pytest.mark.parametrize("name", ["Liv", "Vi", "Di", "Li", "Xi", "Dix", "Mix", "C", "D.", "(L)", "M"])
def test_names_and_letters_are_no_numbers_of_chapters(name: str) -> None:
    book = document([block("One.", file="1"), block("Two.", file="2")], [(name, 1, "1"), ("The Hill", 1, "2")])
    assert table(book)[0][0] == name


@pytest.mark.parametrize(
    ("titles", "said"),
    [
        (["XLIX", "L"], ["Chapter 49", "Chapter 50"]),
        (["L.", "LI."], ["Chapter 50", "Chapter 51"]),
        (["XCIX", "C", "The Hill"], ["Chapter 99", "Chapter 100", "The Hill"]),
        (["XLVIII", "L"], ["Chapter 48", "L"]),
        (["L", "XLIX"], ["L", "Chapter 49"]),
    ],
)
def test_a_letter_between_numbers_is_one(titles: list[str], said: list[str]) -> None:
    blocks = [block(f"Text {number}.", file=str(number)) for number in range(len(titles))]
    book = document(blocks, [(title, 1, str(number)) for number, title in enumerate(titles)])
    assert [title for title, *_ in table(book)] == said


@pytest.mark.parametrize(("numeral", "title"), [("LIV", "Chapter 54"), ("vi.", "Chapter 6"), ("[X]", "Chapter 10")])
def test_roman_numerals_are_numbers_of_chapters(numeral: str, title: str) -> None:
    book = document([block("One.", file="1"), block("Two.", file="2")], [(numeral, 1, "1"), ("The Hill", 1, "2")])
    assert table(book)[0][0] == title


def test_a_chapter_of_tables_is_skipped_and_not_lost() -> None:
    book = document(
        [block("One.", file="1"), heading("Figures", file="2"), block("a\tb\n" * 40, "table", file="2")],
        [("The Ferry", 1, "1"), ("Figures", 1, "2")],
    )
    assert table(book)[1][2] in ("table", "list of illustrations")
    rows = make_chapters(document([heading("X"), block("a\tb\n" * 40, "table")]), Reading(tables="rows"))[0]
    assert [chapter.skip for chapter in rows] == [""]


def test_nothing_but_a_title_is_still_read_aloud() -> None:
    assert table(document([heading("The Lamp"), block("A short text.")], title="The Lamp")) == [("The Lamp", "", "")]


def test_levels_without_bottom_are_bounded() -> None:
    blocks = [block(f"Text {at}.", ids=(f"i{at}",)) for at in range(3000)]
    book = document(blocks, [(f"Entry {at}", at + 1, f"a.xhtml#i{at}") for at in range(3000)])
    assert sum(len(chapter.blocks) for chapter in make_chapters(book)[0]) == 3000


MANY = 3000


def test_many_entries_at_one_place_and_many_headings_above_it_are_one_chapter() -> None:
    headings = [heading("The Ferry") for _ in range(MANY)]
    book = document(
        [block("Before."), *headings, block("One.", ids=("a",)), heading("The Hill", ids=("b",)), block("Two.")],
        [*(("The Ferry", 1, "a.xhtml#a") for _ in range(MANY)), ("The Hill", 1, "a.xhtml#b")],
    )
    (before, ferry, hill), _ = make_chapters(book)
    assert [each.text for each in before.blocks] == ["Before."]
    assert (ferry.title, [each.text for each in ferry.blocks]) == ("The Ferry", ["One."])
    assert len(ferry.announced) == MANY
    assert (hill.title, [each.text for each in hill.blocks]) == ("The Hill", ["Two."])


def test_entries_that_point_to_page_breaks_in_a_row_begin_at_the_text_after_them() -> None:
    pages = [block(str(number), kind="page_break", ids=(f"p{number}",)) for number in range(MANY)]
    book = document(
        [*pages, block("One."), heading("The Hill", ids=("b",)), block("Two.")],
        [*((f"Page {number}", 1, f"a.xhtml#p{number}") for number in range(MANY)), ("The Hill", 1, "a.xhtml#b")],
    )
    assert texts(book)[-1] == ["Two."]
    assert [text for chapter in texts(book)[:-1] for text in chapter if not text.isdecimal()] == ["One."]


def test_what_is_not_read_between_all_paragraphs_is_one_chapter() -> None:
    pairs = [(block(f"{n}."), block(f"Note {n}.", roles=("index",))) for n in range(MANY)]
    chapters, _ = make_chapters(document([heading("The Ferry"), *(each for pair in pairs for each in pair)], []))
    assert [chapter.skip for chapter in chapters] == ["", "index"]
    assert [len(chapter.blocks) for chapter in chapters] == [MANY, MANY]
