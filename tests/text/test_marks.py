"""Marks of Markdown, of notes and of tables never reach the voice in silence, under text rules 2."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.mark_reports import Marks
from maya_batch.text.marks import has_marks, mark_strippers
from maya_batch.text.parser import parse_script
from maya_batch.text.passage import Passage, TextProblem
from maya_batch.text.rewriting import rewrite
from maya_batch.text.typography import speakable
from tests.support.properties import examples


def stripped(source: str, marks: Marks = "strip") -> tuple[list[Passage], list[TextProblem]]:
    passages, problems = parse_script(source, {"anna"}, {"laugh"})
    assert problems == []
    return rewrite(passages, mark_strippers(source, marks))


def spoken(source: str) -> str:
    passages, problems = stripped(source)
    assert problems == []
    return " | ".join(speakable(passage.text) for passage in passages)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "He was _very_ tired, and **she** was not.¹ The king† was old.\n\n# Chapter One\n\n"
            "Name | Age\n-----|----\nAnna | 31",
            "He was very tired, and she was not. The king was old. | Chapter One. | Name, Age. Anna, 31.",
        ),
        ("__So__ *it* ***is***, “_No_,” (*x*) _a_—_b_ ~~gone~~ **_both_**", "So it is, “No,” (x) a—b gone both."),
        ("A _news_paper, a tele_gram_, a *news*paper.", "A newspaper, a telegram, a newspaper."),
        ("*This runs\nover a line.* And <laugh> _so_!", "This runs over a line. And <laugh> so!"),
        ("[anna] _Yes_ and *no* to `code_name`.", "Yes and no to code_name."),
        ("## Two words ##\nText after it", "Two words. | Text after it."),
        ("Text before\n### Three\nafter", "Text before. | Three. | after."),
        ("> A quotation\n> of two lines\n>\n>> and more", "A quotation of two lines. | and more."),
        ("- bread\n- milk.\n- 5 eggs", "bread. milk. 5 eggs."),
        ("Buy:\n* bread\n* milk", "Buy: bread. milk."),
        ("• one\n• two", "one. two."),
        ("| A | B |\n|---|:-:|\n| 1 | 2 |", "A, B. 1, 2."),
        ("One | two, | three", "One, two, three."),
        ("Word,² more³,⁴ and.⁵ ¹ See", "Word, more and. See."),
        ("It is so [12], and so.[3][4] See[^note].", "It is so, and so. See."),
        ("A note* and a second** or ‡third.", "A note and a second or third."),
        ("*A note at the foot", "A note at the foot."),
        ("Mr. ____ of ____shire, in 18__ B_____", "Mr. blank of shire, in 18 B."),
        ("``So,'' said he. `No,' said she.", "“So,” said he. ‘No,' said she."),
        ("```python\nx = 1\n```\nEnd", "x = 1 End."),
        ("A line\\\nbroken", "A line broken."),
    ],
)
def test_marks_are_stripped(source: str, text: str) -> None:
    assert spoken(source) == text


@pytest.mark.parametrize(
    "text",
    [
        "2*3*4 and 5 * 3 are a * (b + c).",
        "The snake_case and f**k and s*it, s*** too.",
        "# 5 is here.",
        "No #1 and C# stay.",
        "- 5 degrees it was.",
        "Of x², km², 10³, mc², m⁻¹ and ¹⁴C.",
        "See § 5 and §5.",
        "5 > 3, and (12) is no note.",
        "He went -- slowly -- home - and ~20 came.",
        "In prose a line may be\n- as here -\nbroken at a dash and go on for long enough.",
    ],
)
def test_signs_that_are_text_stay(text: str) -> None:
    passages, problems = stripped(text)
    assert problems == []
    assert [passage.changes for passage in passages] == [()]
    assert stripped(text, "error")[1] == []


def test_an_escaped_mark_is_the_character_itself() -> None:
    source = r"\*so\* \_it\_ \# \| \[12\] \` \~ is"
    assert spoken(source) == "*so* _it_ # | [12] ` ~ is."
    assert stripped(source, "error")[1] == []


@pytest.mark.parametrize(
    ("source", "offsets", "what"),
    [
        ("It is _so_.", [6], "_ marks emphasis"),
        ("It **is** so.", [3], "** marks strong emphasis"),
        ("So.¹ Yes [12].", [3, 9], "is the mark of a note"),
        ("# Head #", [0], "# marks a heading"),
        ("One.\n\n- a\n- b", [6, 10], "- marks an item of a list"),
        ("> a\n> b", [0, 4], "> marks a quotation"),
        ("a | b", [2], "| belongs to a table"),
        ("a `b` c", [2], "` marks code"),
        ("a _b c", [2], "_ cannot be spoken"),
        ("a ____ c", [2], "____ is a blank"),
    ],
)
def test_marks_are_refused_with_their_places(source: str, offsets: list[int], what: str) -> None:
    passages, problems = stripped(source, "error")
    assert [problem.offset for problem in problems] == offsets
    assert all(what in problem.what and "`marks: strip`" in problem.mend for problem in problems)
    assert not any(change.rule != "line end" for passage in passages for change in passage.changes)


def test_each_mark_that_is_stripped_is_on_record() -> None:
    source = "> A _b_ c.[12]"
    (passage,), _ = stripped(source)
    assert [(source[change.start : change.end], change.rule) for change in passage.changes] == [
        ("> ", "quotation"),
        ("_", "emphasis"),
        ("_", "emphasis"),
        ("[12]", "note mark"),
    ]


def test_marks_of_a_text_under_rules_1_are_found() -> None:
    for source, found in [
        ("It is _so_.", True),
        ("- a\n- b", True),
        ("No mark, snake_case and 2*3.", False),
        ("A", False),
    ]:
        passages, _ = parse_script(source, (), (), 1)
        assert has_marks(source, passages) is found


# fmt: off
FRAGMENTS = [
    "word", "A", "5", "*", "**", "_", "__", "___", "`", "```", "~~", "#", "# ", "## ", "> ", "|", "-----|----", "- ",
    "• ", "1. ", "(a) ", "¹", "²", "†", "§", "[12]", "[^a]", "[*]", r"\*", r"\_", "<laugh>", "[anna]", "[pause 1s]",
    "''", "``", " ", " ", "\n", "\n", "\n\n", ":", ".", ",", "km", "(", ")",
]
# fmt: on


@settings(max_examples=examples(200))
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_stripping_keeps_the_partition_and_loses_no_letter(source: str) -> None:
    passages, _ = parse_script(source, {"anna"}, {"laugh"})
    changed, _ = rewrite(passages, mark_strippers(source, "strip"))
    assert [(p.start, p.end) for p in changed] == [(p.start, p.end) for p in passages]
    for before, after in zip(passages, changed, strict=True):
        offsets = [after.source_offset(at) for at in range(len(after.text) + 1)]
        assert offsets == sorted(offsets)
        lost = [change for change in after.changes if any(c.isalpha() for c in change.written)]
        assert all(change.rule in ("note mark", "code") for change in lost)
        assert after.text == before.text or after.changes


@pytest.mark.no_cover  # tracing takes longer than what is measured
@pytest.mark.parametrize(
    "unit",
    [
        "*",
        "_",
        "*a",
        "*a ",
        "a* ",
        "`a",
        "a|",
        "|",
        "- a\n",
        "> a\n",
        "1. a\n",
        "Ab\n",
        "[1]",
        "¹",
        "†",
        "#\n",
        "# a\n",
        "a\n***\n",
        "~~a",
    ],
)
def test_hostile_text_is_stripped_in_linear_time(unit: str) -> None:
    source = "a " + unit * 20_000
    begun = time.process_time()
    passages, _ = parse_script(source, (), ())
    rewrite(passages, mark_strippers(source, "strip"))
    assert time.process_time() - begun < 5  # a quadratic rule takes minutes
