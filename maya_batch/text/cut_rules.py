"""What the versions of the text rules say differently about cuts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maya_batch.text import cut_ranks, pinned_cuts
from maya_batch.text.cut_ranks import Rank


@dataclass(frozen=True)
class Pass:
    """A search for a place to cut a sentence: between which ranks, and how far from its ends."""

    least: Callable[[int], int]
    """By the words of the sentence, how many words each side has at least."""
    strongest: Rank
    weakest: Rank


@dataclass(frozen=True)
class CutRules:
    """How a version finds the places to cut, and how good they are."""

    word: re.Pattern[str]
    """A word, as the length of pieces counts it."""
    place: re.Pattern[str]
    """Matches at the first character after a place where a text may be cut."""
    rank: Callable[[str, int], Rank]
    """How good it is to cut a text at a position."""
    passes: Sequence[Pass]
    """Tried in this order until one finds a place."""
    sentence_start: Callable[[str, int], int | None]
    """By a position where a sentence is reported to start: where to cut before it, or None."""


def _quarter(words: int) -> int:
    return max(1, words // 4)


def _eighth(words: int) -> int:
    return max(1, words // 8)


def _one(words: int) -> int:
    return 1


_RULES_1 = CutRules(
    word=pinned_cuts.WORD,
    place=pinned_cuts.PLACE,
    rank=pinned_cuts.rank,
    passes=(
        Pass(_quarter, Rank.STOP, Rank.COMMA),
        Pass(_one, Rank.STOP, Rank.COMMA),
        Pass(_one, Rank.STOP, Rank.POOR),
    ),
    sentence_start=lambda text, position: position,
)
_RULES_2 = CutRules(
    word=cut_ranks.WORD,
    place=cut_ranks.PLACE,
    rank=cut_ranks.rank,
    passes=(
        Pass(_quarter, Rank.STOP, Rank.CLAUSE),
        Pass(_eighth, Rank.STOP, Rank.CLAUSE),
        Pass(_quarter, Rank.SPACE, Rank.SPACE),
        Pass(_one, Rank.STOP, Rank.SPACE),
        Pass(_quarter, Rank.POOR, Rank.POOR),
        Pass(_one, Rank.POOR, Rank.TORN),
    ),
    sentence_start=cut_ranks.sentence_start,
)

NEWEST = _RULES_2


def cut_rules(rules: int) -> CutRules:
    """The rules of cutting of a version of the text rules."""
    return _RULES_1 if rules == 1 else _RULES_2
