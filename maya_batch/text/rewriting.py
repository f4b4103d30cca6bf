"""Changes passages by rules, one after the other, with each change on record."""

from collections.abc import Callable, Sequence
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
            after = passage.replaced(replacements)
            if not is_speakable(after.text):
                what = "nothing is left to speak here"
                problems.append(TextProblem(passage.start, what, "write words, or delete the paragraph"))
                break
            passage = after
        changed.append(passage)
    return changed, sorted(problems, key=lambda problem: problem.offset)


def is_speakable(text: str) -> bool:
    """Whether a text has a letter or a digit."""
    return any(character.isalnum() for character in text)
