"""Passages changed by rules: the text, the offsets in the source, and the changes on record."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.parser import parse_script
from maya_batch.text.passage import Change, Passage, Replacement, TextProblem
from maya_batch.text.rewriting import Rewriter, rewrite
from tests.support.properties import examples


def passages_of(source: str) -> list[Passage]:
    found, problems = parse_script(source, {"anna"}, {"laugh"})
    assert not problems
    return found


def replacing(pattern: str, text: str, rule: str) -> Rewriter:
    """A rule that replaces every match."""

    def rule_(passage: Passage) -> tuple[list[Replacement], list[TextProblem]]:
        found = re.finditer(pattern, passage.text)
        return [Replacement(match.start(), match.end(), text, rule) for match in found], []

    return rule_


def test_changes_have_the_spans_of_the_source() -> None:
    source = r"One \[x\] eﬀect." + "\n\n[anna] The eﬀect 7."
    changed, problems = rewrite(
        passages_of(source), [replacing("ﬀ", "ff", "ligature"), replacing("7", "seven", "number")]
    )
    assert not problems
    assert [passage.text for passage in changed] == ["One [x] effect.", "The effect seven."]
    changes = [change for passage in changed for change in passage.changes]
    assert [(change.written, change.spoken, change.rule) for change in changes] == [
        ("ﬀ", "ff", "ligature"),
        ("ﬀ", "ff", "ligature"),
        ("7", "seven", "number"),
    ]
    assert all(source[change.start : change.end] == change.written for change in changes)


def test_a_rule_sees_what_the_rules_before_it_made() -> None:
    changed, _ = rewrite(passages_of("A B C"), [replacing("B", "bee", "one"), replacing("bee C", "X", "two")])
    assert changed[0].text == "A X"
    assert changed[0].changes == (Change(2, 3, "B", "bee", "one"), Change(2, 5, "bee C", "X", "two"))


def test_a_passage_of_which_nothing_is_left_is_a_problem() -> None:
    source = "One.\n\n12\n\nThree."
    changed, (problem,) = rewrite(passages_of(source), [replacing(r"\d", "", "note mark")])
    assert problem.offset == source.index("12")
    assert "nothing is left to speak" in problem.what
    assert [passage.text for passage in changed] == ["One.", "12", "Three."]


@pytest.mark.parametrize("spans", [[(2, 1)], [(0, 2), (1, 3)], [(3, 4), (0, 1)], [(0, 99)]])
def test_replacements_out_of_order_are_refused(spans: list[tuple[int, int]]) -> None:
    (passage,) = passages_of("A long text.")
    with pytest.raises(ValueError, match="does not follow"):
        passage.replaced([Replacement(start, end, "x", "rule") for start, end in spans])


@settings(max_examples=examples(300))
@given(data=st.data())
def test_offsets_stay_monotone_and_point_at_what_was_kept(data: st.DataObject) -> None:
    letters = [chr(0x4E00 + number) for number in range(12)]  # each once, so that its place in the source is known
    source = " ".join(data.draw(st.sampled_from([letter, rf"\[{letter}\]"])) for letter in letters)
    (passage,) = passages_of(source)
    for _ in range(2):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(passage.text)), max_size=6)))
        spans = list(zip(cuts[::2], cuts[1::2], strict=False))
        texts = [data.draw(st.sampled_from(["", "x", "some words"])) for _ in spans]
        passage = passage.replaced([Replacement(*span, text, "r") for span, text in zip(spans, texts, strict=True)])
    offsets = [passage.source_offset(place) for place in range(len(passage.text) + 1)]
    assert offsets == sorted(offsets)
    assert passage.start <= offsets[0] <= offsets[-1] <= passage.end
    for character, offset in zip(passage.text, offsets, strict=False):
        assert character not in letters or source[offset] == character
