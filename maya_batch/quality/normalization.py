"""Turns texts into spoken words, to compare them: without case and punctuation, with all readings of written forms."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from maya_batch.quality.short_forms import long_forms
from maya_batch.quality.spelling import spell
from maya_batch.text.emotion_tags import TAG
from maya_batch.text.readings import find_written

Reading = tuple[str, ...]
"""Words as they are spoken, each in the one spelling that stands for all."""

#: Scripts without spaces between words are compared character by character.
_PLAIN = re.compile(
    r"(?P<sign>[\u3040-\u30ff\u3400-\u9fff])"
    r"|(?P<word>(?:(?![\u3040-\u30ff\u3400-\u9fff])[^\W\d_])+(?:'[^\W\d_]+)*|\d+)"
)
_WORD = re.compile(r"\S+")

#: The written words whose readings are kept: books repeat their words. 10,000 take a few MB.
_CACHED = 10_000


@dataclass(frozen=True)
class Sound:
    """A spoken word, and the words of its text that it comes from, counted from 0."""

    word: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A part of a text that is read as one, and the ways to read it, the most likely first."""

    start: int
    """Its offset in the text."""
    places: tuple[int, ...]
    """The words of the text that it covers, counted from 0; whitespace separates words."""
    readings: tuple[Reading, ...]
    """At least one; each has at least one word."""
    number: bool = False
    """Whether it is written in digits."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a single word with one reading."""
        return len(self.readings) == 1 and len(self.readings[0]) == 1


def fold(text: str, language: str, respellings: Mapping[str, str] | None = None) -> list[Part]:
    """The spoken parts of a text, in order, without tags.

    `language` is a code like "en". `respellings` of words that stand in the text, to the words they stand for: both
    are readings.
    """
    words = _Words(text)
    # Tags keep their length, so that offsets stay.
    text = TAG.sub(lambda tag: " " * len(tag[0]), text)
    parts: list[Part] = []
    at = 0
    for span in _spans(text, language, respellings or {}):
        parts += _plain_parts(text, at, span.start, words, language)
        parts.append(span.part(words.places(span.start, span.end)))
        at = span.end
    parts += _plain_parts(text, at, len(text), words, language)
    return [part for part in parts if part.readings]


def plain_words(text: str, language: str) -> list[str]:
    """The spoken words of a text, each part in its most likely reading."""
    return [word for part in fold(text, language) for word in part.readings[0]]


@dataclass(frozen=True)
class _Span:
    """A part of a text with the ways to read it, in plain letters."""

    start: int
    end: int
    ways: Sequence[str]
    number: bool = False

    def part(self, places: tuple[int, ...]) -> Part:
        return Part(self.start, places, _readings(self.ways), self.number)


class _Words:
    """The words of a text by their offsets."""

    def __init__(self, text: str) -> None:
        spans = [match.span() for match in _WORD.finditer(text)]
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]

    def places(self, start: int, end: int) -> tuple[int, ...]:
        return tuple(range(bisect_right(self._ends, start), bisect_left(self._starts, end)))


def _spans(text: str, language: str, respellings: Mapping[str, str]) -> list[_Span]:
    """The respellings of a text, and the written forms outside them."""
    respelled = list(_respelled(text, language, respellings))
    written = [
        _Span(form.start, form.end, form.readings, any(map(str.isnumeric, text[form.start : form.end])))
        for form in find_written(text, language)
        if not any(span.start < form.end and form.start < span.end for span in respelled)
    ]
    return sorted([*respelled, *written], key=lambda span: span.start)


def _respelled(text: str, language: str, respellings: Mapping[str, str]) -> Iterator[_Span]:
    if not respellings:
        return
    longest_first = sorted(respellings, key=len, reverse=True)
    for match in re.finditer(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", text):
        ways = (_plain(match[0]), *(" ".join(way) for way in _whole_ways(respellings[match[0]], language)))
        yield _Span(*match.span(), ways)


def _whole_ways(text: str, language: str) -> Iterator[Reading]:
    """The most likely way to read a text, then those with another reading of one of its parts."""
    parts = fold(text, language)
    likely = [part.readings[0] for part in parts]
    yield tuple(word for reading in likely for word in reading)
    for at, part in enumerate(parts):
        for reading in part.readings[1:]:
            changed = [*likely[:at], reading, *likely[at + 1 :]]
            yield tuple(word for one in changed for word in one)


def _readings(ways: Sequence[str]) -> tuple[Reading, ...]:
    """Ways to read a part, in plain words of the one spelling each; those without words are left out."""
    found = (tuple(spell(word.replace("'", "")) for word in _plain(way).split()) for way in ways)
    return tuple(dict.fromkeys(reading for reading in found if reading))


def _plain(text: str) -> str:
    """Lower case without accents and hyphens; apostrophes are '."""
    text = text.replace("’", "'").replace("ʼ", "'").replace("-", " ")
    if text.isascii():
        return text.casefold()
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def _plain_parts(text: str, start: int, end: int, words: _Words, language: str) -> Iterator[Part]:
    """The parts of a stretch without written forms: hyphens separate words, apostrophes do not."""
    for match in _WORD.finditer(text, start, end):
        places = words.places(*match.span())
        for offset, readings in _word_readings(match[0], language):
            yield Part(match.start() + offset, places, readings)


@lru_cache(maxsize=_CACHED)
def _word_readings(written: str, language: str) -> tuple[tuple[int, tuple[Reading, ...]], ...]:
    """The spoken words of a written word: the offset of each, and the ways to read it."""
    return tuple(
        (
            min(match.start(), len(written) - 1),
            _readings([match[0], *(long_forms(match[0]) if language == "en" else ())]),
        )
        for match in _PLAIN.finditer(_plain(written))
    )
