"""Turns texts into spoken words, to compare them: without case and punctuation, with numbers and short forms read."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maya_batch.quality.numbers import NUMBER, number_readings
from maya_batch.quality.spelling import long_forms, spell
from maya_batch.text.emotion_tags import TAG

#: How ASR writes sounds that are not words: [laughter], (sighs), *coughs*, ♪.
_REMARK = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪")

_SYMBOLS = {"&": "and", "%": "percent", "+": "plus", "=": "equals", "@": "at", "°": "degrees"}

#: Scripts without spaces between words are compared character by character.
_PART = re.compile(
    rf"(?P<digits>{NUMBER.pattern})|(?P<sign>[\u3040-\u30ff\u3400-\u9fff])"
    r"|(?P<word>(?:(?![\u3040-\u30ff\u3400-\u9fff])[^\W\d_])+(?:'[^\W\d_]+)*)|(?P<symbol>[&%+=@°])",
    re.VERBOSE,
)
#: "$5 million" is read with "dollars" at the end.
_MILLIONS = re.compile(r"([$£€])(\d[\d.,]*\s+(?:thousand|million|billion|trillion))\b", re.IGNORECASE)
_COINS = {"$": "dollars", "£": "pounds", "€": "euros"}
_DOTTED = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_ROMAN = re.compile(r"(?=[IVXLC]{2})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


@dataclass(frozen=True)
class Sound:
    """A spoken word, and the words of its text that it comes from, counted from 0."""

    word: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A part of a word of a text, and the ways to read it, the most likely first."""

    place: int
    readings: tuple[tuple[str, ...], ...]


def fold(text: str, language: str) -> list[Part]:
    """The spoken parts of a text, without tags; places count its words, which whitespace separates."""
    if language == "en":
        text = _MILLIONS.sub(lambda match: f"{match[2]}-{_COINS[match[1]]}", text)
    return [
        Part(place, readings)
        for place, written in enumerate(text.split())
        for readings in _parts(TAG.sub(" ", written), language)
    ]


def fold_transcript(transcript: str, text: str, language: str) -> list[Part]:
    """The parts of a transcript, without remarks on sounds that are not words, unless `text` has the same words."""
    written = text.casefold()

    def without(remark: re.Match[str]) -> str:
        inner = remark[0].strip("[]()*♪ ").casefold()
        return remark[0] if inner and inner in written else re.sub(r"\S+", ".", remark[0])

    return fold(_REMARK.sub(without, transcript), language)


def settle(parts: Sequence[Part], other: Sequence[Part]) -> list[Sound]:
    """The words of `parts`, each read in the way that is found in `other`, else in the most likely way."""
    others = f" {' '.join(word for part in other for word in part.readings[0])} "
    return [
        Sound(word, (part.place,))
        for part in parts
        for word in next((way for way in part.readings if f" {' '.join(way)} " in others), part.readings[0])
    ]


def _parts(written: str, language: str) -> Iterator[tuple[tuple[str, ...], ...]]:
    """The readings of each part of a written word: hyphens separate parts, apostrophes do not."""
    plain = written.replace("’", "'").replace("ʼ", "'")
    plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    plain = _DOTTED.sub(lambda match: match[0].replace(".", ""), plain)
    for match in _PART.finditer(plain):
        number = NUMBER.fullmatch(match[0]) if match["digits"] else None
        if number is not None:
            ways = number_readings(number, language) or [match[0]]
        elif match["symbol"]:
            ways = [_SYMBOLS[match[0]]] if language == "en" else []
        else:
            ways = _word_ways(match[0], language)
        if ways:
            yield tuple(dict.fromkeys(tuple(spell(word) for word in way.split()) for way in ways))


def _word_ways(word: str, language: str) -> list[str]:
    ways = [word.casefold().replace("'", "")]
    if language != "en":
        return ways
    ways += long_forms(word.casefold())
    if _ROMAN.fullmatch(word):
        values = [_ROMAN_DIGITS[letter] for letter in word]
        after = [*values[1:], 0]
        value = sum(-one if one < two else one for one, two in zip(values, after, strict=True))
        for digits in (str(value), f"{value}th"):
            match = NUMBER.fullmatch(digits)
            ways += number_readings(match, language) if match is not None else []
    return [way.replace("'", "") for way in ways]
