"""Counts the words that are spoken for a text.

The token cap depends on the count, so it may be a little too high but never far too low.
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.emotion_tags import TAG
from maya_batch.text.language import base_language
from maya_batch.text.readings import find_written
from maya_batch.text.readings.suspects import suspects, suspicion
from maya_batch.text.typography import INVISIBLE

_LONGEST_WORD = 14
"""The most letters of a word that counts as one; longer ones (compounds, "Nooooo…") take more time."""
_LETTERS_A_WORD = 7
"""In longer words, so many letters count as a word: English words have 5 on average, with the space about 6."""

_PLAIN = re.compile(r"[“‘\"'(]*[A-Za-z][a-z]{0,13}(?:['’][a-z]{1,3})?[.,;:!?…”’\"')]*")
_SHORT = re.compile(r"[“‘\"'(]*([A-Za-z]{2,8})\.?[,;:!?…”’\"')]*")
_ONE_WORD = frozenset(
    short for short, row in ABBREVIATIONS.items() if row.readings and not any(" " in way for way in row.readings)
)
"""Abbreviations that are said as one word, and count as one whatever follows: "Mr."."""
_PERHAPS = 1 << 40
"""Added to the words of a token that may begin a written thing with the next one: more than any text has."""
_UNCLEAR = 1 << 80
"""Stands for a count that only the grammar knows; more than all tokens of a text with `_PERHAPS`."""
_MOST_TOKENS = 1 << 16
_LETTER = r"[^\W\d_]"
_PART = re.compile(
    rf"""
    (?P<ideograph> [\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af] )
    | (?P<word> (?:{_LETTER}[\u0300-\u036f]*+)++ (?:['’]{_LETTER}++)*+ )
    | (?P<sign> \d | [&%+=@\#°/×÷±‰$£€¥₹§©®™№<>] )
    """,
    re.VERBOSE,
)


class SpokenWords(NamedTuple):
    """Numbers of spoken words."""

    likely: int
    """With the most likely reading of what is said in another way than it is written."""
    most: int
    """With its longest reading: "1,250" is six words."""


def spoken_words(text: str, language: str = "en") -> SpokenWords:
    """Return the numbers of words spoken for `text`; tags (`<laugh>`) count 0.

    `language` is a code like "en" or "en-GB"; digits of a language without number words count one by one.
    """
    if "<" in text:
        text = TAG.sub(" ", text)
    counts = _token_counts(base_language(language) == "en")
    total = sum(map(counts.__getitem__, text.split()))
    if total < _PERHAPS:
        return SpokenWords(total, total)
    if total < _UNCLEAR and next(suspects(text), None) is None:  # "may" and no number after it
        return SpokenWords(total % _PERHAPS, total % _PERHAPS)
    plain = likely = most = at = 0
    for written in find_written(text, language):
        plain += _plain_words(text[at : written.start])
        likely += 1 + written.readings[0].count(" ")
        most += _longest(written.readings)
        at = written.end
    plain += _plain_words(text[at:])
    return SpokenWords(plain + likely, plain + most)


def _plain_words(text: str) -> int:
    return sum(map(_token_words, text.split()))


class _TokenCounts(dict[str, int]):
    """The words of each token without spaces in which no written thing can begin; for others see `_clear_words`.

    A dictionary, because every text of a book is counted several times while it is cut: it takes a quarter of the time
    of a cached function. A book of 120,000 words has some 15,000 different tokens.
    """

    def __init__(self, is_english: bool) -> None:
        super().__init__()
        self._is_english = is_english

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST_TOKENS:
            self.clear()
        count = self[token] = _clear_words(token, self._is_english)
        return count


@cache
def _token_counts(is_english: bool) -> _TokenCounts:
    return _TokenCounts(is_english)


def _clear_words(token: str, is_english: bool) -> int:
    """The words of a token, with `_PERHAPS` added or as `_UNCLEAR` where a written thing may begin."""
    is_suspect = suspicion(token) if is_english else any(map(str.isdecimal, token))
    if not is_suspect:
        return _token_words(token)
    if is_english and (short := _SHORT.fullmatch(token)) and short[1].lower() in _ONE_WORD:
        return 1
    return _PERHAPS + _token_words(token) if is_suspect == 2 else _UNCLEAR


@lru_cache(maxsize=1 << 14)
def _longest(readings: tuple[str, ...]) -> int:
    return 1 + max(reading.count(" ") for reading in readings)


@lru_cache(maxsize=1 << 16)
def _token_words(token: str) -> int:
    """Count the words of a token without spaces, whatever is in it."""
    if _PLAIN.fullmatch(token):
        return 1
    clean = unicodedata.normalize("NFC", INVISIBLE.sub("", token))
    return sum(_word(found[0]) if found.lastgroup == "word" else 1 for found in _PART.finditer(clean))


def _word(word: str) -> int:
    base = re.sub(r"['’]s$|['’]", "", word)
    return 1 if len(base) <= _LONGEST_WORD else -(-len(base) // _LETTERS_A_WORD)
