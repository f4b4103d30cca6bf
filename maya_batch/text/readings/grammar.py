"""Finds the parts of a text that are said in another way than they are written, and all the ways to say them."""

import re

from maya_batch.text.emotion_tags import TAG
from maya_batch.text.language import base_language, is_british
from maya_batch.text.readings import (
    abbreviations,
    addresses,
    dates,
    figures,
    fractions,
    letters,
    money,
    roman,
    signs,
    times,
)
from maya_batch.text.readings.other_languages import find_numbers
from maya_batch.text.readings.suspects import suspects
from maya_batch.text.readings.written import Rule, Written

_TABLE: tuple[Rule, ...] = (
    *abbreviations.TITLE_RULES,
    *addresses.RULES,
    *money.RULES,
    *dates.RULES,
    *times.RULES,
    *fractions.RULES,
    *figures.RULES,
    *roman.RULES,
    *abbreviations.RULES,
    *letters.RULES,
    *signs.RULES,
)
"""All rules, in the order in which they are tried at a place."""
_BY_START = {starts: tuple(rule for rule in _TABLE if rule.starts == starts) for starts in ("digit", "letter", "sign")}
_START = re.compile(r"[^\W\d_]++|\d|[^\w\s]|_")


def find_written(text: str, language: str) -> list[Written]:
    """The written things of a text in order; they do not overlap. Emotion tags hold none.

    `language` is a code like "en" or "en-GB"; languages other than English have numbers only, by num2words. All
    readings of both British and American English are valid; the code decides which is first.
    """
    base = base_language(language)
    if base != "en":
        return find_numbers(text, base)
    british = is_british(language)
    found: list[Written] = []
    end = 0
    for first, last in suspects(text):
        for start in _START.finditer(text, max(first, end), last):
            at = start.start()
            if at < end:
                continue
            if text[at] == "<" and (tag := TAG.match(text, at)):
                end = tag.end()
            elif here := _written_at(text, at, british):
                found += here
                end = here[-1].end
    return found


def _written_at(text: str, at: int, british: bool) -> list[Written]:
    """The written things that begin at a place, by the first rule that has some."""
    first = text[at]
    for rule in _BY_START["digit" if first.isdecimal() else "letter" if first.isalpha() else "sign"]:
        if (match := rule.pattern.match(text, at)) and (here := rule.read(match, british)):
            return here
    return []
