"""Finds wrong words that are too few to count as a share of a text: in texts of one or two words, and in numbers."""

from collections.abc import Sequence

from rapidfuzz import fuzz

from maya_batch.quality.normalization import Part, Sound
from maya_batch.quality.word_alignment import Gap

#: The most words of a text of which all must be wrong.
_SHORT = 2

#: The similarity, of 100, from which words may be the same words that ASR mishears.
_LIKE = 50

#: The fewest wrong words of a number that is read as another one. ASR mishears a single one.
_WRONG = 2

#: Words of a number without which it is another one.
_SIZES = frozenset(("hundred", "thousand", "million", "billion"))

#: The words of which numbers are said.
_NUMBER_WORDS = frozenset(
    ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    + ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty")
    + ("fifty", "sixty", "seventy", "eighty", "ninety", *_SIZES, "and", "a", "point", "half", "quarter", "third")
)


def none_right(expected: Sequence[Sound], heard: Sequence[Sound]) -> bool:
    """Whether a text of one or two words is heard as words without any resemblance."""
    some, others = ("".join(sound.word for sound in sounds) for sounds in (expected, heard))
    return 0 < len(expected) <= _SHORT and fuzz.ratio(some, others) < _LIKE


def misread_number(
    written: Sequence[Part], expected: Sequence[Sound], heard: Sequence[Sound], gaps: Sequence[Gap]
) -> tuple[Part, list[str]] | None:
    """A part of the text in digits in whose place another number is heard, with the words that are heard."""
    for part in written:
        if not part.number:
            continue
        inside = [i for i, sound in enumerate(expected) if sound.places == part.places]
        if not inside:
            continue
        there = [gap for gap in gaps if gap.start <= inside[-1] and gap.end > inside[0]]
        # The words around it are right, so what is heard between them stands for it.
        if any(gap.start < inside[0] or gap.end > inside[-1] + 1 for gap in there):
            continue
        wrong = [expected[i].word for gap in there for i in range(gap.start, gap.end)]
        words = [sound.word for gap in there for sound in heard[gap.begin : gap.finish]]
        if not _NUMBER_WORDS.issuperset(words) or fuzz.ratio("".join(wrong), "".join(words)) >= _LIKE:
            continue
        many = words and sum(gap.errors for gap in there) >= _WRONG
        if many or (len(wrong) < len(inside) and not _SIZES.isdisjoint(wrong)):
            return part, words or ["…"]
    return None
