"""Aligns two lists of words: finds the words that are in both, and the gaps between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from maya_batch.quality.normalization import Sound


@dataclass(frozen=True)
class Gap:
    """A difference: the text has words [start, end) where the transcript has words [begin, finish)."""

    start: int
    end: int
    begin: int
    finish: int

    @property
    def missing(self) -> int:
        """How many words fewer the transcript has than the text; below 0: how many more."""
        return (self.end - self.start) - (self.finish - self.begin)

    @property
    def errors(self) -> int:
        """The number of wrong, missing and extra words."""
        return max(self.end - self.start, self.finish - self.begin)


def join_compounds(sounds: Sequence[Sound], other: Sequence[Sound]) -> list[Sound]:
    """The list with neighbours joined if the other list writes them as one word, like "never the less"."""
    known = {sound.word for sound in other}
    beginnings = {word[:length] for word in known for length in range(1, len(word))}
    joined: list[Sound] = []
    at = 0
    while at < len(sounds):
        count, word = 1, sounds[at].word
        for end in range(at + 1, len(sounds)):
            if word not in beginnings:
                break
            word += sounds[end].word
            if word in known:
                count = end + 1 - at
        joined.append(_joined(sounds[at : at + count]))
        at += count
    return joined


def _joined(sounds: Sequence[Sound]) -> Sound:
    if len(sounds) == 1:
        return sounds[0]
    places = dict.fromkeys(place for sound in sounds for place in sound.places)
    return Sound("".join(sound.word for sound in sounds), tuple(places))


def pair(text: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """The indices of the words that are the same in both, in order.

    A word that may be paired with either of two is paired with the first, so a cut end shows at the end.
    """
    pairs = [
        (op.src_start + n, op.dest_start + n)
        for op in Levenshtein.opcodes(text, heard)
        if op.tag == "equal"
        for n in range(op.src_end - op.src_start)
    ]
    before = (-1, -1)
    for number, (i, j) in enumerate(pairs):
        if j == before[1] + 1 and text[before[0] + 1] == heard[j]:
            i = before[0] + 1
        elif i == before[0] + 1 and heard[before[1] + 1] == text[i]:
            j = before[1] + 1
        before = pairs[number] = (i, j)
    return pairs


def gaps(pairs: Sequence[tuple[int, int]], text: int, heard: int, bridge: int = 0) -> list[Gap]:
    """The gaps between the pairs, in lists of `text` and `heard` words.

    Gaps with up to `bridge` pairs between them are one: a "the" inside a missing sentence is found by accident.
    """
    merged: list[Gap] = []
    for gap in _gaps(pairs, text, heard):
        if merged and gap.start - merged[-1].end <= bridge:
            last = merged.pop()
            gap = Gap(last.start, gap.end, last.begin, gap.finish)
        merged.append(gap)
    return merged


def _gaps(pairs: Sequence[tuple[int, int]], text: int, heard: int) -> Iterator[Gap]:
    start = begin = 0
    for i, j in [*pairs, (text, heard)]:
        if i > start or j > begin:
            yield Gap(start, i, begin, j)
        start, begin = i + 1, j + 1
