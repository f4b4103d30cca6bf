"""Every character of a manuscript is read aloud, in a title, skipped for a reason, white space or markup."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.importing.accounting import account
from maya_batch.importing.blocks import Block, Kind, Place
from maya_batch.importing.chapter_text import file_text, paragraphs, source
from maya_batch.importing.chapters import make_chapters
from maya_batch.importing.manuscript import read_manuscript
from maya_batch.importing.plain_text import read_plain_text
from maya_batch.importing.reading_rules import Reading, extras
from maya_batch.text.marks import mark_strippers
from maya_batch.text.parser import parse_script
from maya_batch.text.rewriting import rewrite
from tests.importing import stories
from tests.support.properties import examples

_TEXT = st.text(st.sampled_from("Aa1 é<>[]\\*.—\n\t\x0c\u00ad\u2028\x85\ufeff_"), max_size=30)
_TITLES = st.sampled_from(["Part One", "Chapter 1", "I", "Notes", "Index", "The Lamp", "Epilogue", "* * *", ""])
_ROLES = st.sampled_from([(), ("titlepage",), ("footnotes",), ("index",), ("toc",), ("bodymatter",)])
_READINGS = st.sampled_from([Reading(), Reading(extras(("notes", "sidebars", "figures")), "rows")])


@st.composite
def _blocks(draw: st.DrawFn) -> list[Block]:
    made = []
    for at in range(draw(st.integers(1, 14))):
        kind: Kind = draw(st.sampled_from(get_args(Kind)))
        text = draw(_TITLES if kind == "heading" else _TEXT)
        block = stories.block(text, kind, file=str(at // 4), level=1 + at % 3, ids=(f"i{at}",), roles=draw(_ROLES))
        made.append(replace(block, omitted={"white space": draw(st.integers(0, 3)), "ruby": draw(st.integers(0, 2))}))
    return made


@settings(max_examples=examples(150))
@given(_blocks(), st.lists(st.tuples(_TITLES, st.integers(1, 4), st.integers(0, 16)), max_size=6), _READINGS)
def test_the_sums_add_up_and_no_block_is_lost(
    blocks: list[Block], contents: Sequence[tuple[str, int, int]], reading: Reading
) -> None:
    entries = [(title, level, f"{at // 4}#i{at}") for title, level, at in contents]
    book = stories.document(blocks, entries, title="The Lamp")
    chapters, _ = make_chapters(book, reading)
    sums = account(book, chapters, reading)
    parts = sums.spoken + sums.announced + sums.white_space + sums.markup + sum(sums.skipped.values())
    assert parts == sums.total == sum(book.sizes.values())
    held = [id(block) for chapter in chapters for block in (*chapter.announced, *chapter.blocks)]
    assert sorted(held) == sorted(map(id, blocks))


@settings(max_examples=examples(150))
@given(_blocks(), _READINGS)
def test_chapter_files_are_texts_that_the_parser_takes(blocks: list[Block], reading: Reading) -> None:
    for chapter in make_chapters(stories.document(blocks, title="The Lamp"), reading)[0]:
        made = paragraphs(chapter, reading)
        text = file_text(made)
        passages, problems = parse_script(text, (), ())
        assert [problem.what for problem in problems if "no text to speak" not in problem.what] == []
        spoken = [paragraph for paragraph in made if paragraph.kind != "scene_break"]
        assert len(passages) == len(spoken)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("¹", "no words"),
        ("²³ ⁴", "no words"),
        ("10²", ""),
        ("x²", ""),
        ("[12]", ""),
        ("oOo", "scene break"),
        ("x x x", "scene break"),
        ("x", ""),
        ("&nbsp;", ""),
    ],
)
def test_what_the_text_rules_leave_nothing_of_has_no_words(text: str, reason: str) -> None:
    """`plan` refuses a text of which nothing is left to speak."""
    block = stories.block(text)
    assert Reading().reason(block) == reason
    (chapter,) = make_chapters(stories.document([stories.block("One."), block]))[0]
    source = file_text(paragraphs(chapter, Reading()))
    passages, problems = parse_script(source, (), ())
    passages, refused = rewrite(passages, mark_strippers(source, "strip"))
    assert not [*problems, *refused]
    assert len(passages) == (1 if reason else 2)


def test_an_ornament_of_letters_in_a_list_has_no_words() -> None:
    assert Reading().reason(Block("list_item", "oOo", Place("a", "/p"))) == "no words"


def test_a_line_of_soft_hyphens_does_not_divide_a_paragraph() -> None:
    (chapter,) = make_chapters(stories.document([stories.block("One\x0c\xad\x0ctwo")]))[0]
    assert [paragraph.text for paragraph in paragraphs(chapter, Reading())] == ["One\ntwo"]


_LINES = st.lists(
    st.sampled_from(
        ["CHAPTER I", "The old-", "ferry", "   Roses are red,", "* * *", "", "", "\f", "\x1a", "[1]", "_so_"]
    )
)


@settings(max_examples=examples(200))
@given(lines=_LINES)
def test_a_plain_text_is_accounted_for_whatever_its_lines(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = stories.written(tmp_path_factory.getbasetemp(), "lines.txt", "\r\n".join(lines))
    book = read_plain_text(path)
    chapters, _ = make_chapters(book)
    assert account(book, chapters, Reading()).total == len("\r\n".join(lines))


@pytest.mark.parametrize("name", ["story.md", "story.html", "story.docx", "story.txt", "story.epub"])
def test_the_sums_of_a_story_are_those_of_its_source(tmp_path: Path, name: str) -> None:
    content = {
        "story.md": stories.markdown,
        "story.html": stories.html,
        "story.docx": stories.docx,
        "story.txt": stories.plain_text,
        "story.epub": stories.epub,
    }[name]()
    sums = read_manuscript(stories.written(tmp_path, name, content)).sums
    assert sums.spoken == sum(len(text) for _, _, texts in stories.CHAPTERS for text in texts)
    if name not in ("story.docx", "story.epub"):
        assert sums.total == len(content.decode())


def test_characters_that_do_not_add_up_are_a_bug() -> None:
    book = stories.document([stories.block("One.")])
    wrong = replace(book, sizes={"a.xhtml": 99})
    with pytest.raises(AssertionError, match=r"a\.xhtml: 11 of 99 characters are accounted for"):
        account(wrong, make_chapters(wrong)[0], Reading())
    lost = [replace(chapter, blocks=()) for chapter in make_chapters(book)[0]]
    with pytest.raises(AssertionError, match="7 of 11 characters of the manuscript"):
        account(book, lost, Reading())


@pytest.mark.parametrize(
    ("written", "kept"),
    [("One\n* * *\ntwo", "One * * *\ntwo"), ("—\nOne\ntwo", "— One\ntwo"), ("One\ntwo", "One\ntwo"), ("—\n..", "— ..")],
)
def test_a_line_of_signs_inside_a_block_does_not_divide_it(written: str, kept: str) -> None:
    assert source(Block("verse", written, Place("a", "/p"))) == kept
