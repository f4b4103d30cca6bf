"""The difference between a text and the transcript of its take: missing and added words."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

from maya_batch.text.emotion_tags import TAG

WordKind = Literal["same", "missing", "added"]

_SOUNDLESS = re.compile(r"[^\w]+")


@dataclass(frozen=True)
class Words:
    """Neighbouring words of one kind, with single spaces between them."""

    kind: WordKind
    text: str


def word_diff(text: str, heard: str, unheard: Collection[int] | None = None) -> list[Words]:
    """The words of `text`, and at their places the words that only `heard` has.

    Whitespace separates words; case, punctuation and tags do not count. `unheard` are the words of `text`, counted from
    0, that `quality.transcript_checks` did not find. It knows that "1984" and "nineteen eighty-four" are the same, so
    only these words are missing.
    """
    written = text.split()
    places = [place for place, word in enumerate(written) if _bare(word)]
    said = [word for word in heard.split() if _bare(word)]
    matcher = SequenceMatcher(
        None, [_bare(written[place]) for place in places], [_bare(word) for word in said], autojunk=False
    )
    kinds: dict[int, WordKind] = {}
    added: dict[int, list[str]] = {}
    for tag, first, last, begin, end in matcher.get_opcodes():
        if tag == "equal":
            continue
        missing = [place for place in places[first:last] if unheard is None or place in unheard]
        kinds.update(dict.fromkeys(missing, "missing"))
        if tag == "insert" or missing:
            added[places[last] if last < len(places) else len(written)] = said[begin:end]
    row: list[tuple[WordKind, str]] = []
    for place, word in enumerate([*written, ""]):
        row += [("added", other) for other in added.get(place, ())]
        row += [(kinds.get(place, "same"), word)] if word else []
    return [Words(kind, " ".join(word for _, word in words)) for kind, words in groupby(row, lambda item: item[0])]


def _bare(word: str) -> str:
    """A word without tags, case and punctuation."""
    return _SOUNDLESS.sub("", TAG.sub("", word)).casefold()
