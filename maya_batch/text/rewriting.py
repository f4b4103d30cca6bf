"""Changes passages by rules, one after the other, with each change on record."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from maya_batch.text.passage import Passage, Replacement, TextProblem

Rewriter: TypeAlias = Callable[[Passage], tuple[Sequence[Replacement], Sequence[TextProblem]]]
"""A rule: what it replaces in a passage, ascending, and what it refuses there."""


def rewrite(passages: Sequence[Passage], rewriters: Sequence[Rewriter]) -> tuple[list[Passage], list[TextProblem]]:
    """Apply the rules to each passage in turn; return the changed passages, and the problems by offset.

    The passages' spans stay the same, so they still partition the source. A passage of which nothing is left to speak
    is a problem and stays as it was before the rule that emptied it.
    """
    changed: list[Passage] = []
    problems: list[TextProblem] = []
    for passage in passages:
        for rewriter in rewriters:
            replacements, refused = rewriter(passage)
            problems += refused
            if not replacements:
                continue
            after = passage.replaced(replacements)
            if not is_speakable(after.text):
                what = "nothing is left to speak here"
                problems.append(TextProblem(passage.start, what, "write words, or delete the paragraph"))
                break
            passage = after
        changed.append(passage)
    return changed, sorted(problems, key=lambda problem: problem.offset)


def say_as(passages: Sequence[Passage], rewriters: Sequence[Rewriter]) -> tuple[list[Passage], list[TextProblem]]:
    """Return the passages with what the rules have them say (`Passage.said`), and the problems by offset.

    All rules get the text as it is written. Where two of them want the same part, the earlier rule has it. Texts and
    offsets stay as they are: a passage is cut as it is written, and a piece says what stands for its own parts.
    """
    changed: list[Passage] = []
    problems: list[TextProblem] = []
    for passage in passages:
        said: list[Replacement] = []
        for rewriter in rewriters:
            replacements, refused = rewriter(passage)
            problems += refused
            said = sorted([*said, *_without(replacements, said)], key=lambda part: part.start)
        changed.append(replace(passage, said=tuple(said)) if said else passage)
    return changed, sorted(problems, key=lambda problem: problem.offset)


def said(text: str, rewriters: Sequence[Rewriter]) -> str:
    """A text by itself as the rules have it said, stripped."""
    [passage], _ = say_as([Passage(0, None, 0, len(text), text)], rewriters)
    return passage.spoken(0, len(text))


def _without(replacements: Sequence[Replacement], taken: Sequence[Replacement]) -> list[Replacement]:
    """The replacements that overlap none of those that are taken, which ascend."""
    free = []
    for part in replacements:
        at = bisect_left(taken, part.end, key=lambda other: other.start)
        if at == 0 or taken[at - 1].end <= part.start:
            free.append(part)
    return free


def is_speakable(text: str) -> bool:
    """Whether a text has a letter or a digit."""
    return any(character.isalnum() for character in text)
