"""Two lists of words aligned: which word of the one is which of the other; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from maya_batch.quality.normalization import Sound

#: Words that another may be written as in one: "never the less".
_LONGEST_COMPOUND = 4


@dataclass(frozen=True)
class Gap:
    """Where the lists differ: words [start, end) of the text stand against words [begin, finish) of the transcript."""

    start: int
    end: int
    begin: int
    finish: int

    @property
    def missing(self) -> int:
        """How many words of the text have nothing in their place."""
        return (self.end - self.start) - (self.finish - self.begin)

    @property
    def errors(self) -> int:
        """Words wrong, missing and too many."""
        return max(self.end - self.start, self.finish - self.begin)


def join_compounds(sounds: Sequence[Sound], other: Sequence[Sound]) -> list[Sound]:
    """The list with neighbours joined that the other list writes as one word."""
    known = {sound.word for sound in other}
    joined: list[Sound] = []
    at = 0
    while at < len(sounds):
        for count in range(min(_LONGEST_COMPOUND, len(sounds) - at), 0, -1):
            some = sounds[at : at + count]
            word = "".join(sound.word for sound in some)
            if count == 1 or word in known:
                joined.append(Sound(word, tuple(place for sound in some for place in sound.places)))
                break
        at += count
    return joined


def pair(text: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """The indices of the words that are the same in both, in order.

    Where a word may be paired with either of two, it is the first one: what is missing at the end is seen there.
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
    """What lies between the pairs, in lists of `text` and `heard` words.

    Gaps with up to `bridge` pairs between them are one: a "the" inside a lost sentence is found by accident.
    """
    found = list(_gaps(pairs, text, heard))
    merged: list[Gap] = []
    for gap in found:
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
