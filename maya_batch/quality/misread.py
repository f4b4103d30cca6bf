"""Finds wrong words that are too few to count as a share of a text: in texts of one or two words, and in numbers."""

from collections.abc import Sequence

from rapidfuzz import fuzz

from maya_batch.quality.normalization import Part, Sound
from maya_batch.quality.word_alignment import Gap, gaps

#: The most words of a text of which all must be wrong.
_SHORT = 2

#: The similarity of letters, of 100, from which the words heard may be the number, misheard. With it, another number in
#: the place of one up to 99 is missed in 4 % of all pairs, and another year in 2 %; of 120 good takes of the demo voice
#: whose texts have digits, 4 are flagged (tiny.en).
_LIKE = 65

#: The similarity of sounds, of 100, from which a short text may be heard right. With it, 91 % of 2,728 pairs of short
#: sentences of the demo voice without a common word are told apart, and 1 of 53 good takes is flagged (tiny.en).
_SOUNDS_LIKE = 47

#: Consonants that are mistaken for each other, as one; vowels and silent letters are left out (Soundex, US patent
#: 1,261,167).
_CONSONANTS = {ord(letter): group[0] for group in ("bfpv", "cgjkqsxz", "dt", "l", "mn", "r") for letter in group}
_CONSONANTS |= {ord(letter): "" for letter in "aeiouyhw"}

#: Words of a number without which it is another one.
_SIZES = frozenset(("hundred", "thousand", "million", "billion"))

#: The words of which numbers are said.
_NUMBER_WORDS = _SIZES.union(
    ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty"),
    ("fifty", "sixty", "seventy", "eighty", "ninety", "and", "a", "point", "half", "quarter", "third"),
)

#: Those that stand for nothing else.
_COUNTING = _NUMBER_WORDS - {"oh", "and", "a", "point", "half", "quarter", "third", "one"}


def none_right(expected: Sequence[Sound], heard: Sequence[Sound]) -> bool:
    """Whether a text of one or two words is heard as words that do not sound like it."""
    some, others = ("".join(sound.word for sound in sounds) for sounds in (expected, heard))
    if not 0 < len(expected) <= _SHORT:
        return False
    consonants = fuzz.ratio(some.translate(_CONSONANTS), others.translate(_CONSONANTS))
    return (fuzz.ratio(some, others) + consonants) / 2 < _SOUNDS_LIKE


def misread_number(
    written: Sequence[Part], expected: Sequence[Sound], heard: Sequence[Sound], pairs: Sequence[tuple[int, int]]
) -> tuple[Part, list[str]] | None:
    """A part of the text in digits in whose place another number is heard, with the words that are heard.

    Words that are spelled alike ("fifteen", "fifty") may be misheard, and are not another number.
    """
    differing = gaps(pairs, len(expected), len(heard))
    for part in written:
        inside = [i for i, sound in enumerate(expected) if sound.places == part.places] if part.number else []
        there = [gap for gap in differing if inside and _is_at(gap, inside, heard)]
        # The words around the number are right, so what is heard between them stands for it.
        if not there or there[0].start < inside[0] or there[-1].end > inside[-1] + 1:
            continue
        wrong = [expected[i].word for gap in there for i in range(gap.start, gap.end)]
        others = [j for gap in there for j in range(gap.begin, gap.finish)]
        words = [heard[j].word for j in others]
        if not _NUMBER_WORDS.issuperset(words) or fuzz.ratio("".join(wrong), "".join(words)) >= _LIKE:
            continue
        if words or (len(wrong) < len(inside) and not _SIZES.isdisjoint(wrong)):
            found = sorted({*others, *(j for i, j in pairs if inside[0] <= i <= inside[-1])})
            return part, [heard[j].word for j in found]
    return None


def _is_at(gap: Gap, inside: Sequence[int], heard: Sequence[Sound]) -> bool:
    """Whether a gap is in a number, or adds words of a number at its edge: "1" that is heard as "twenty-one"."""
    if gap.start < gap.end:
        return gap.start <= inside[-1] and gap.end > inside[0]
    added = {heard[j].word for j in range(gap.begin, gap.finish)}
    at_edge = gap.start in (inside[0], inside[-1] + 1) and not added.isdisjoint(_COUNTING)
    return inside[0] < gap.start <= inside[-1] or (at_edge and _NUMBER_WORDS.issuperset(added))
