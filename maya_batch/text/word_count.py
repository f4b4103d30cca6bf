"""Counts the words that are spoken for a text.

The token cap depends on the count, so it may be a little too high but never far too low.
"""

import re
import unicodedata
from functools import lru_cache

from maya_batch.text.emotion_tags import TAG
from maya_batch.text.readings import find_written
from maya_batch.text.typography import INVISIBLE

_LONGEST_WORD = 14
"""The most letters of a word that counts as one; longer ones (compounds, "Nooooo…") take more time."""
_LETTERS_A_WORD = 7
"""In longer words, so many letters count as a word: English words have 5 on average, with the space about 6."""

_PLAIN = re.compile(r"[“‘\"'(]*[A-Za-z][a-z]{0,13}(?:['’][a-z]{1,3})?[.,;:!?…”’\"')]*")
_LETTER = r"[^\W\d_]"
_PART = re.compile(
    rf"""
    (?P<ideograph> [\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af] )
    | (?P<word> (?:{_LETTER}[\u0300-\u036f]*+)++ (?:['’]{_LETTER}++)*+ )
    | (?P<sign> \d | [&%+=@\#°/×÷±‰$£€¥₹§©®™№<>] )
    """,
    re.VERBOSE,
)


def spoken_words(text: str, language: str = "en") -> int:
    """Return the number of words spoken for `text`; tags (`<laugh>`) count 0.

    What is said in another way than it is written counts as its longest reading ("1,250" is six words). `language` is
    a code like "en" or "en-GB"; digits of a language without number words count one by one.
    """
    if "<" in text:
        text = TAG.sub(" ", text)
    count = at = 0
    for written in find_written(text, language):
        count += _plain_words(text[at : written.start]) + _longest(written.readings)
        at = written.end
    return count + _plain_words(text[at:])


def _plain_words(text: str) -> int:
    return sum(map(_token_words, text.split()))


@lru_cache(maxsize=1 << 14)
def _longest(readings: tuple[str, ...]) -> int:
    return 1 + max(reading.count(" ") for reading in readings)


@lru_cache(maxsize=1 << 16)
def _token_words(token: str) -> int:
    """Count the words of a token without spaces. Cached: a book of 120,000 words has some 15,000 tokens."""
    if _PLAIN.fullmatch(token):
        return 1
    clean = unicodedata.normalize("NFC", INVISIBLE.sub("", token))
    return sum(_word(found[0]) if found.lastgroup == "word" else 1 for found in _PART.finditer(clean))


def _word(word: str) -> int:
    base = re.sub(r"['’]s$|['’]", "", word)
    return 1 if len(base) <= _LONGEST_WORD else -(-len(base) // _LETTERS_A_WORD)
