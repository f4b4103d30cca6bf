"""Verse and lists keep their line ends; prose that is wrapped at a width does not."""

import textwrap

import pytest

from maya_batch.text.marks import mark_strippers
from maya_batch.text.parser import parse_script
from maya_batch.text.rewriting import rewrite
from maya_batch.text.verse import is_verse, wrap_width

PROSE = (
    "Mr. Bennet was among the earliest of those who waited on Mr. Bingley. He had always intended to visit him, though "
    "to the last always assuring his wife that he should not go; and till the evening after the visit was paid she had "
    "no knowledge of it. It was then disclosed in the following manner. Observing his second daughter employed in "
    "trimming a hat, he suddenly addressed her with, “I hope Mr. Bingley will like it, Lizzy.”"
)
VERSE = (
    "The stars are out above the mill\n     The water turns no more\nAnd she is waiting, waiting still\n"
    "     Beside the miller’s door."
)


def spoken(source: str) -> list[str]:
    passages, _ = parse_script(source, (), ())
    return [passage.text for passage in rewrite(passages, mark_strippers(source, "strip"))[0]]


@pytest.mark.parametrize("width", [40, 60, 72, 80])
def test_wrapped_prose_is_as_if_it_were_not_wrapped(width: int) -> None:
    paragraphs = [PROSE, PROSE[100:], "Yes, said Mr. Bingley, I think that Mary and Jane will be there, too, in May."]
    wrapped = [textwrap.fill(paragraph, width) for paragraph in paragraphs]
    assert spoken("\n\n".join(wrapped)) == paragraphs


def test_prose_that_another_voice_begins_in_the_middle_of_a_line_is_no_verse() -> None:
    source = "She had waited for an hour, or more, in the rain. [m] Mount\nDoom was near. He waited."
    passages, _ = parse_script(source, ("m",), ())
    texts = [passage.text for passage in rewrite(passages, mark_strippers(source, "strip"))[0]]
    assert texts == ["She had waited for an hour, or more, in the rain.", "Mount Doom was near. He waited."]


@pytest.mark.parametrize("around", ["", textwrap.fill(PROSE, 72), PROSE])
def test_a_line_of_verse_without_punctuation_gets_a_comma(around: str) -> None:
    found = spoken(f"{around}\n\n{VERSE}\n\n{around}")
    (verse,) = [" ".join(text.split()) for text in found if "stars" in text]
    assert verse == (
        "The stars are out above the mill, The water turns no more, And she is waiting, waiting still, "
        "Beside the miller’s door."
    )


def test_the_commas_of_verse_are_on_record() -> None:
    passages, _ = parse_script(VERSE, (), ())
    (passage,), _ = rewrite(passages, mark_strippers(VERSE, "strip"))
    assert [(change.start, change.spoken, change.rule) for change in passage.changes] == [
        (VERSE.index("\n     The"), ",", "line end"),
        (VERSE.index("\nAnd"), ",", "line end"),
        (VERSE.index("\n     Beside"), ",", "line end"),
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1. bread\n2. milk;\n3. eggs", "1. bread. 2. milk; 3. eggs"),
        ("(a) bread\n(b) milk", "(a) bread. (b) milk"),
        ("We need:\n1) bread\n2) milk\n   and cream\n3) eggs", "We need: 1) bread. 2) milk and cream. 3) eggs"),
        ("He was born in the year\n1984. So he said.", "He was born in the year 1984. So he said."),
    ],
)
def test_an_item_of_a_list_without_punctuation_gets_a_full_stop(source: str, text: str) -> None:
    prose = textwrap.fill(PROSE, 72)
    assert " ".join(spoken(f"{source}\n\n{prose}")[0].split()) == text


def test_the_lines_of_an_address_are_kept() -> None:
    address = ["Mr. John Marsh", "12 High Street", "London"]
    assert is_verse(address, wrap_width(textwrap.fill(PROSE, 72)))
    assert not is_verse(["One line"], 72)
