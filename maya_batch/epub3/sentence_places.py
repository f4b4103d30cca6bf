"""Finds the sentences of a chapter in the pages that it was imported from, by aligning their words."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

from maya_batch.epub3.page_text import Run
from maya_batch.quality.word_alignment import pair

#: A word may have soft hyphens and joiners in it, which are not seen.
_UNSEEN = "\xad\u200b-\u200d\u2060\ufeff"
#: A page may have its letters and their accents apart; what is spoken has them composed.
_ACCENTS = "\u0300-\u036f\u3099\u309a"
_WORD = re.compile(rf"[^\W_](?:[{_UNSEEN}{_ACCENTS}]*[^\W_])*[{_ACCENTS}]*")
_STRIPPED = re.compile(f"[{_UNSEEN}]")
_SPACE = re.compile(r"\s+")
_BRIDGE = 1
"""Words of the page that may stand between two words of a sentence: the mark of a note, the number of a page."""
_FEW = 3
"""Words that stand apart are left out if others that stand together are so many times as many."""


@dataclass(frozen=True)
class Place:
    """Where a sentence, or a part of it, stands."""

    sentence: int
    run: int
    start: int
    end: int
    """Characters of the run's text."""


class _Word(NamedTuple):
    text: str
    run: int
    start: int
    end: int


def sentence_places(sentences: Sequence[str], runs: Sequence[Run]) -> list[Place]:
    """The places of sentences in the runs of their chapter, in order; a sentence has one in each run that it is in.

    One of which no word is found has none. The chapter may have other text than the page, and the page more of it.
    """
    spoken = [(word, number) for number, text in enumerate(sentences) for word in _words(text)]
    there = [
        _Word(_plain(match[0]), number, match.start(), match.end())
        for number, run in enumerate(runs)
        for match in _WORD.finditer(run.text)
    ]
    found: list[Place] = []
    pairs = pair([word for word, _ in spoken], [word.text for word in there])
    last = -1
    for sentence, group in groupby(pairs, lambda both: spoken[both[0]][1]):
        sure = _sure(list(group))
        i, j = sure[0]
        # Where the first words were paired with others further up, they may stand here, too.
        while i and j - 1 > last and spoken[i - 1] == (there[j - 1].text, sentence):
            i, j = i - 1, j - 1
            sure.insert(0, (i, j))
        last = sure[-1][1]
        for word in (there[j] for _, j in sure):
            if found and (found[-1].sentence, found[-1].run) == (sentence, word.run):
                found[-1] = Place(sentence, word.run, found[-1].start, word.end)
            else:
                found.append(Place(sentence, word.run, word.start, word.end))
    return _with_punctuation(found, runs)


def _sure(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The words of a sentence, without a few that stand apart from most: they are found there by accident."""
    groups = [[pairs[0]]]
    for before, both in pairwise(pairs):
        if both[1] - before[1] - 1 > _BRIDGE:
            groups.append([])
        groups[-1].append(both)
    most = max(map(len, groups))
    return [both for group in groups if len(group) * _FEW > most for both in group]


def _with_punctuation(found: Sequence[Place], runs: Sequence[Run]) -> list[Place]:
    """The places with what stands around their words, up to the next space or to each other."""
    wider: list[Place] = []
    for number, place in enumerate(found):
        text = runs[place.run].text
        before = wider[-1].end if wider and wider[-1].run == place.run else 0
        after = found[number + 1].start if number + 1 < len(found) and found[number + 1].run == place.run else len(text)
        spaces = [space.end() for space in _SPACE.finditer(text, before, place.start)]
        start = spaces[-1] if spaces else before
        space = _SPACE.search(text, place.end, after)
        # Without a space, what is between two sentences is the end of the first one.
        wider.append(Place(place.sentence, place.run, start, space.start() if space else after))
    return wider


def _words(text: str) -> list[str]:
    return [_plain(match[0]) for match in _WORD.finditer(text)]


def _plain(word: str) -> str:
    return unicodedata.normalize("NFKC", _STRIPPED.sub("", word)).casefold()
