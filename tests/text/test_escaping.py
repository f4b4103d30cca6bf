"""Plain text as source: what the parser reads back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.entities import decode_entities
from maya_batch.text.escaping import escaped
from maya_batch.text.parser import parse_script
from maya_batch.text.rewriting import rewrite
from tests.support.properties import examples

# fmt: off
FRAGMENTS = [
    "word", " ", "&", "#", ";", "amp;", "lt", "&lt;", "&LT", "&amp;amp;", "&copy", "&copyright", "&mdash;", "&mdsh;",
    "&#39;", "&#x2014", "&#0;", "&nbsp;", "AT&T;", "R&D", "Smith&Sons", "[", "]", "[anna]", "[pause 2s]", "[12]", "\\",
    "\\&", "é",
]
# fmt: on


def read_back(text: str) -> str:
    source = escaped(text)
    passages, problems = parse_script(source, ["anna"], ["laugh"])
    passages, refused = rewrite(passages, [decode_entities(source)])
    assert not [*problems, *refused]
    [passage] = passages
    return passage.text


@settings(max_examples=examples(300))
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_a_plain_text_is_read_back(text: str) -> None:
    assert read_back(f"It {text} is") == f"It {text} is"


@settings(max_examples=examples(300))
@given(st.text("&#;amplt3x[]\\ ", max_size=40))
def test_what_looks_like_an_entity_is_read_back(text: str) -> None:
    assert read_back(f"It {text} is") == f"It {text} is"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("He said <laugh> [sic] \\", r"He said \<laugh\> \[sic\] \\"),
        ("&lt; and &copy are written so", r"\&lt; and \&copy are written so"),
        ("AT&T, R&D, Smith & Sons, Smith&Sons", "AT&T, R&D, Smith & Sons, Smith&Sons"),
    ],
)
def test_only_markup_is_escaped(text: str, source: str) -> None:
    assert escaped(text) == source


def test_signs_that_would_begin_a_tag_are_words() -> None:
    assert read_back("3 < 4 <laugh> 5") == "3 less than 4 less than laugh greater than 5"
