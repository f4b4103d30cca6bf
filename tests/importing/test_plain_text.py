"""Plain text: encodings, wrapped lines, broken words, verse, headings, Project Gutenberg's fields."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import pytest

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import Block, Document
from maya_batch.importing.manuscript import read_manuscript
from maya_batch.importing.plain_text import _block, read_plain_text
from maya_batch.importing.plain_text_lines import words_at_breaks
from tests.importing.stories import written

LINES = fill(
    "The ferry crossed the river slowly, and the boy at the rail saw the lamps of the far bank come nearer, one after "
    "the other, until he could count them all; and he counted them twice, because the night was cold and long.",
    66,
)


def read(folder: Path, content: bytes | str) -> Document:
    return read_plain_text(written(folder, "a.txt", content))


def shown(blocks: Sequence[Block]) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in blocks]


@pytest.mark.parametrize(
    ("content", "remarks"),
    [
        ("Café “one”.".encode(), 0),
        ("\ufeffCafé “one”.".encode(), 0),
        ("\ufeffCafé “one”.".encode("utf-16-le"), 0),
        ("\ufeffCafé “one”.".encode("utf-16-be"), 0),
        ("Café “one”.".encode("utf-16-le"), 0),
        ("Café “one”.".encode("utf-16-be"), 0),
        ("\ufeffCafé “one”.".encode("utf-32-le"), 0),
        ("Café “one”.".encode("cp1252"), 1),
    ],
)
def test_encodings_are_known_by_their_bytes(tmp_path: Path, content: bytes, remarks: int) -> None:
    document = read(tmp_path, content)
    assert [block.text for block in document.blocks] == ["Café “one”."]
    assert len(document.remarks) == remarks
    assert all("Windows-1252" in remark for remark in document.remarks)


def test_bytes_that_are_no_text_are_refused_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", b"abc\0\1\2def" * 3)
    with pytest.raises(UsageError, match=r"a\.txt: is not a text: it contains zero bytes"):
        read_manuscript(path)


def test_wrapped_lines_are_one_paragraph(tmp_path: Path) -> None:
    assert shown(read(tmp_path, f"{LINES}\n\n{LINES}\r\n").blocks) == [("paragraph", " ".join(LINES.split()))] * 2


def test_long_lines_are_paragraphs_each(tmp_path: Path) -> None:
    long = " ".join(LINES.split())
    assert len(read(tmp_path, f"{long}\n{long}\n“Yes.”\n").blocks) == 3


def test_indented_lines_begin_paragraphs(tmp_path: Path) -> None:
    blocks = read(tmp_path, f"   {LINES}\n   {LINES}\n").blocks
    assert [block.text for block in blocks] == [" ".join(LINES.split())] * 2


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ("some-\nthing", "something"),
        ("some\u00ad\nthing", "something"),
        ("well-\nknown, and well known", "well-known, and well known"),
        ("a break -\nhere", "a break - here"),
        ("pages 3-\n4", "pages 3- 4"),
    ],
)
def test_words_that_a_line_breaks_are_joined(tmp_path: Path, broken: str, text: str) -> None:
    assert read(tmp_path, f"He saw {broken}.\n").blocks[0].text == f"He saw {text}."


def test_form_feeds_are_white_space(tmp_path: Path) -> None:
    assert [block.text for block in read(tmp_path, "He saw the\n\flamps.\n\n\f\nNo.").blocks] == [
        "He saw the lamps.",
        "No.",
    ]


def test_verse_keeps_its_lines(tmp_path: Path) -> None:
    poem = "The lamp is low,\nThe water wide,\nThe ferry slow\nAgainst the tide."
    assert shown(read(tmp_path, f"{LINES}\n\n{poem}\n\n{LINES}\n").blocks)[1] == ("verse", poem)


def test_the_last_short_line_of_a_paragraph_makes_no_verse(tmp_path: Path) -> None:
    assert {block.kind for block in read(tmp_path, f"{LINES}\nNo.\n\n“Go,” he said.\n\n{LINES}").blocks} == {
        "paragraph"
    }


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("CHAPTER IV", 2),
        ("Chapter Four", 2),
        ("Chapter IV. In which the ferry is late", 2),
        ("CHAPTER IV.\nTHE HILL", 2),
        ("Part One", 1),
        ("BOOK THE SECOND", 1),
        ("IV.", 2),
        ("Epilogue", 2),
        ("THE LAMP ON THE WATER", 3),
        ("Part of it was lost.", 0),
        ("Part one of the plan was simple.", 0),
        ("“STOP!”", 0),
        ("I", 2),
        ("L.", 2),
        ("Liv", 0),
        ("He went home.", 0),
        ("1984", 0),
    ],
)
def test_headings_are_known_by_their_form(tmp_path: Path, line: str, level: int) -> None:
    assert read(tmp_path, f"{LINES}\n\n{line}\n\n{LINES}\n").blocks[1].level == level


def test_notes_marks_and_emphasis_are_left_out_of_the_text(tmp_path: Path) -> None:
    blocks = read(tmp_path, "It was _very_ late.[1]\n\n[1] By the clock.\n\n[Illustration: A lamp]\n").blocks
    assert shown(blocks) == [
        ("paragraph", "It was very late."),
        ("note", "[1] By the clock."),
        ("figure", "[Illustration: A lamp]"),
    ]
    assert blocks[0].omitted == {"note mark": 3, "emphasis mark": 2, "white space": 2}


@pytest.mark.parametrize(
    ("paragraph", "kinds"),
    [
        ("[Illustration: A dog\nand a cat.] The dog ran.", ["figure", "paragraph"]),
        ("[Illustration: [_Copyright 1894_]]", ["figure"]),
        ("[Illustration] [Frontispiece: A cat] The cat ran.", ["figure", "figure", "paragraph"]),
        ("[Illustration: An opening", ["figure"]),
        ("[Picture this!] he cried.", ["paragraph"]),
        ("[Picture: A cat]", ["figure"]),
        ("[1914] The war began.", ["paragraph"]),
        ("[14] By the clock.", ["note"]),
        ("[*] By the clock.", ["note"]),
        ("[Note the date!] he cried.", ["paragraph"]),
        ("[Note 3: By the clock.]", ["note"]),
        ("[Note A] By the clock.", ["note"]),
        ("[NOTE.--By the clock.]", ["note"]),
        ("[Footnote 1: By the clock.] It was late.", ["note", "paragraph"]),
        ("[Footnote 1] By the clock.", ["note"]),
    ],
)
def test_prose_is_no_figure_or_note_because_it_begins_with_a_bracket(
    tmp_path: Path, paragraph: str, kinds: list[str]
) -> None:
    blocks = read(tmp_path, f"{paragraph}\n\nThe end of it.\n").blocks
    assert [block.kind for block in blocks] == [*kinds, "paragraph"]
    words = " ".join(block.text for block in blocks[:-1])
    assert words == " ".join(paragraph.replace("_", "").split())


def test_a_year_that_an_editor_added_is_no_note_mark(tmp_path: Path) -> None:
    assert read(tmp_path, "She left.[1914] He came.[12]\n").blocks[0].text == "She left.[1914] He came."


def test_what_follows_a_figure_has_its_own_line(tmp_path: Path) -> None:
    blocks = read(tmp_path, "[Illustration: A dog\nand a cat.]\nThe dog ran.\n").blocks
    assert [block.place.element for block in blocks] == ["line 1", "line 3"]


def test_many_figures_in_a_paragraph_are_read_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    blocks = read(tmp_path, "[Illustration: a] " * 20_000 + "[Illustration: [" * 20_000 + "end").blocks
    assert len(blocks) == 20_001


def test_gutenberg_names_title_author_and_language(tmp_path: Path) -> None:
    header = (
        "The Project Gutenberg eBook of The Lamp\n\nTitle: The Lamp\n        on the Water\n\nAuthor: A. Writer\n\n"
        "Language: English\n\n*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\n\n"
    )
    end = "*** END OF THE PROJECT GUTENBERG EBOOK ***\n\nFree.\n"
    text = f"{header}CHAPTER I\n\n{LINES}\n\nCHAPTER II\n\n{LINES}\n\n{end}"
    imported = read_manuscript(written(tmp_path, "lamp.txt", text))
    metadata = imported.document.metadata
    assert (metadata.title, metadata.authors, metadata.language) == ("The Lamp on the Water", ("A. Writer",), "en")
    assert [(c.title, c.skip) for c in imported.chapters][1:] == [
        ("CHAPTER I", ""),
        ("CHAPTER II", ""),
        ("Project Gutenberg license", "Project Gutenberg license"),
    ]


@pytest.mark.parametrize("listed", ["", "The Ferry and its Lamp    12\n\n", "    Page\n\n"])
def test_a_list_of_contents_makes_no_chapters(tmp_path: Path, listed: str) -> None:
    contents = f"CONTENTS\n\nCHAPTER I\n\n{listed}CHAPTER II\n\n{listed}"
    text = f"THE LAMP\n\n{contents}CHAPTER I\n\n{LINES}\n\nCHAPTER II\n\n{LINES}\n"
    imported = read_manuscript(written(tmp_path, "lamp.txt", text))
    assert [(c.title, c.skip) for c in imported.chapters] == [
        ("THE LAMP", "title page"),
        ("CONTENTS", "contents list"),
        ("CHAPTER I", ""),
        ("CHAPTER II", ""),
    ]


def test_places_are_lines(tmp_path: Path) -> None:
    assert [b.place.element for b in read(tmp_path, "\n\nOne.\n\n\nTwo.\n").blocks] == ["line 3", "line 6"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a" * 200_000, "a" * 200_000),
        ("_a " * 70_000, ("_a " * 70_000).strip()),
        ("_" + "a" * 200_000, "_" + "a" * 200_000),
        ("[" * 200_000, "[" * 200_000),
        ("a-\n " * 40_000, ("aa- " * 20_000).strip()),
        (" " * 200_000, ""),
    ],
    ids=["one word", "emphases that do not end", "an emphasis that does not end", "brackets", "broken words", "spaces"],
)
def test_each_sign_is_looked_at_a_few_times_only(text: str, said: str) -> None:
    """Looking from each sign to the end of the paragraph, they would take minutes each."""
    block = _block(text, len(text), "paragraph", 0, 1, words_at_breaks(text))
    assert block.text == said
    assert block.characters == len(text)


def test_only_words_next_to_breaks_are_kept() -> None:
    text = "The ferry was old-\nfashioned. Old people are never fashioned like this.\n"
    assert words_at_breaks(text) == {"old", "fashioned"}
    assert words_at_breaks("No word is broken here.\nNone.") == frozenset()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n" * 1_000_001, "has more than 1,000,000 lines; divide it"),
        ("ab-\ncd " * 200_001, "has more than 200,000 words that a line's end breaks; divide it"),
        ("Chapter 1\n\nA text.\n\n" * 10_001, "has more than 10,000 chapters; divide it"),
    ],
    ids=["lines", "broken words", "chapters"],
)
def test_more_than_books_have_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = written(tmp_path, "a.txt", content)
    with pytest.raises(UsageError) as raised:
        read_manuscript(path)
    assert str(raised.value) == f"{path}: {message}"


@pytest.mark.soak
@pytest.mark.parametrize(
    "unit", ["word " * 2000 + "\n\n", "😀" * 2500 + "\n\n", "_a _a ", "a [", "Ab cd ef gh ij kl mn op\n", "a"]
)
def test_nineteen_megabytes_are_read(tmp_path: Path, unit: str) -> None:
    path = written(tmp_path, "a.txt", unit * (19_000_000 // len(unit.encode())))
    assert read_manuscript(path).sums.total == len(path.read_text(encoding="utf-8"))
