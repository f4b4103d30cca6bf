"""Markdown: what would cost the parser hours is refused, notes, and what books have is read."""

from pathlib import Path

import pytest

from maya_batch.errors import UsageError
from maya_batch.importing.manuscript import read_manuscript
from maya_batch.importing.markdown import read_markdown
from maya_batch.importing.markdown_effort import check_effort
from maya_batch.importing.text_encoding import NotTextError
from tests.importing.stories import docx, written

BRACKETS = "has too many brackets without an end; write \\[ for a bracket of the text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# a\n\n" * 50_001, "has more than 100,000 lines; divide it"),
        ("*a **b " * 140_000, "has more than 400,000 marks; divide it"),
        ("<a:b> [c](d) " * 50_001, "has more than 100,000 links; divide it"),
        ("[" * 4_000, BRACKETS),
        (
            "[" * 2_000 + "a" + "]" * 2_000 + "\n" + "[" * 1_500,
            "has too many brackets without an end; write \\[ for a bracket of the text",
        ),
        ("a <!-- " * 5_000, "has too many comments in one paragraph; remove them"),
    ],
    ids=["lines", "marks", "links", "brackets", "nested brackets", "comments"],
)
def test_more_than_the_parser_can_take_is_refused(text: str, message: str) -> None:
    with pytest.raises(NotTextError) as raised:
        check_effort(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "text",
    [
        'A *word* and [a link](b) and \\"one\\".\n\n' * 20_000,
        "[a] " * 90_000,
        "[not closed\n\n" * 40_000,
        "<!-- a comment -->\n\n" * 40_000,
    ],
    ids=["a long book", "closed brackets", "brackets in their own paragraphs", "comments in their own paragraphs"],
)
def test_what_long_books_have_is_taken(text: str) -> None:
    check_effort(text)


UNKNOWN = "the lines between the first two --- have no known key of metadata, like title; they are text"


@pytest.mark.parametrize(
    ("front", "expected", "remarks"),
    [
        ("\nThe lamp was lit.\n\nShe came at last.\n", ["The lamp was lit.", "She came at last."], ()),
        ("\nAnna said: “No: never.”\n", ["Anna said: “No: never.”"], ()),
        ("- a lamp\n- a boat", ["a lamp", "a boat"], ()),
        ("Anna: Who goes there?", ["Anna: Who goes there?"], (UNKNOWN,)),
        ("\nDate: 3 May 1897\n", ["Date: 3 May 1897"], (UNKNOWN,)),
        ("# The Lamp", ["The Lamp"], ()),
        ("", [], ()),
    ],
)
def test_text_between_two_rules_is_read(
    tmp_path: Path, front: str, expected: list[str], remarks: tuple[str, ...]
) -> None:
    text = f"---\n{front}\n---\n\n# One\n\nIt was late.\n"
    document = read_markdown(written(tmp_path, "a.md", text))
    assert [block.text for block in document.blocks if block.text] == [*expected, "One", "It was late."]
    assert document.remarks == remarks


@pytest.mark.parametrize(
    ("front", "title", "remark"),
    [
        ("title: The Lamp\nauthor: A. Writer", "The Lamp", ""),
        ("\n# by hand\nmood: dark\ntitle: The Lamp\n", "The Lamp", ""),
        ("layout: post\ntags: [a, b]", "", ""),
        ("title: The Lamp: A Story", "", "the metadata before the text is not valid YAML; it was not read"),
        (
            "tags: &a [b]\nkeywords: *a",
            "",
            "the metadata before the text is too long, or has aliases; it was not read",
        ),
    ],
)
@pytest.mark.parametrize("end", ["---", "..."])
def test_metadata_before_the_text_is_not_read_aloud(
    tmp_path: Path, front: str, title: str, remark: str, end: str
) -> None:
    document = read_markdown(written(tmp_path, "a.md", f"---\n{front}\n{end}\n\nIt was late.\n"))
    assert [block.text for block in document.blocks] == ["It was late."]
    assert (document.metadata.title, document.remarks) == (title, (remark,) if remark else ())


def test_addresses_are_read_as_they_are_written(tmp_path: Path) -> None:
    text = "See <https://xn--bcher-kva.example/a%20b> and <mailto:a@b.example>.\n"
    (block,) = read_manuscript(written(tmp_path, "a.md", text)).document.blocks
    assert block.text == "See https://xn--bcher-kva.example/a%20b and mailto:a@b.example."


def test_too_many_notes_are_refused_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.md", "A text.\n\n" + "[^1]: a\n" * 10_001)
    with pytest.raises(UsageError) as raised:
        read_manuscript(path)
    assert str(raised.value) == f"{path}: has more than 10,000 notes; divide it"


def test_a_note_goes_on_over_indented_paragraphs(tmp_path: Path) -> None:
    text = "One.[^1]\n\n[^1]: A note\nthat goes on.\n\n    Its second paragraph.\n\nTwo.\n"
    blocks = read_manuscript(written(tmp_path, "a.md", text)).document.blocks
    assert [(block.kind, block.text) for block in blocks] == [
        ("paragraph", "One."),
        ("paragraph", "Two."),
        ("note", "A note that goes on."),
        ("note", "Its second paragraph."),
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.txt", " \n\n", "it is empty"),
        ("a.md", "---\ntitle: A\n---\n", "it is empty, or has only metadata and comments"),
        (
            "a.html",
            "<html><body><script>1</script></body></html>",
            "it is empty, or pictures or a script show its text; save the text from a browser, as .txt",
        ),
        (
            "a.docx",
            docx("<w:p/>"),
            "it is empty, or its text is in pictures or text boxes; put the text into paragraphs",
        ),
    ],
)
def test_a_manuscript_without_text_is_told_what_its_format_may_lack(
    tmp_path: Path, name: str, content: str | bytes, why: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(UsageError) as raised:
        read_manuscript(path)
    assert str(raised.value) == f"{path}: has no text: {why}"


@pytest.mark.soak
@pytest.mark.parametrize(
    "text",
    ["# a\n" * 99_999, "*a **b " * 130_000, "[a](b) " * 99_000, "> a\n\n" * 49_000, "| a | b |\n" * 40_000],
    ids=["headings", "emphasis", "links", "quotations", "no table"],
)
def test_the_largest_markdown_is_read(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, "a.md", text)
    assert read_manuscript(path).sums.total == len(text)


@pytest.mark.parametrize("begin", ["> ", "- "])
def test_what_is_nested_is_read_and_what_is_nested_too_deep_is_refused(tmp_path: Path, begin: str) -> None:
    document = read_markdown(written(tmp_path, "a.md", begin * 20 + "a word"))
    assert [block.text for block in document.blocks] == ["a word"]
    with pytest.raises(NotTextError, match="has quotations or lists that are nested too deep in one another"):
        read_markdown(written(tmp_path, "a.md", begin * 150 + "a word"))


def test_a_file_that_is_too_large_is_told_in_mb(tmp_path: Path) -> None:
    path = written(tmp_path, "a.md", "a" * 10_000_001)
    with pytest.raises(UsageError, match=r"a\.md: is larger than 10 MB; divide it$"):
        read_markdown(path)
