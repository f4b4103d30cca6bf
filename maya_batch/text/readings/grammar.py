"""Finds the parts of a text that are said in another way than they are written, and all the ways to say them."""

import re
from functools import lru_cache

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.emotion_tags import TAG
from maya_batch.text.language import base_language, is_british
from maya_batch.text.readings import abbreviations, dates, figures, roman, sums, wording
from maya_batch.text.readings.fractions import SIGNS as FRACTIONS
from maya_batch.text.readings.numbers import LONGEST, digit_ways, words
from maya_batch.text.readings.signs import SIGNS
from maya_batch.text.readings.ways import unique
from maya_batch.text.readings.written import Rule, Written

_TABLE: tuple[Rule, ...] = (
    *sums.RULES,
    *wording.RULES[:2],
    *figures.RULES,
    *wording.RULES[2:-2],
    *abbreviations.RULES,
    *wording.RULES[-2:],
)
"""All rules, in the order in which they are tried at a place."""
_BY_START = {starts: tuple(rule for rule in _TABLE if rule.starts == starts) for starts in ("digit", "letter", "sign")}

_TOKEN = re.compile(r"\S+")
_START = re.compile(r"[^\W\d_]++|\d|[^\w\s]|_")
_WORD = re.compile(r"[^\W\d_]+")
_MARKED = re.compile(rf"[\d{FRACTIONS}{re.escape(''.join(SIGNS))}]|\w\.\w|[A-Z]{{2}}")
_KEYWORDS = frozenset(
    {
        *dates.MONTHS,
        *roman.NUMBERED.split("|"),
        *roman.REGNAL.lower().split("|"),
        "mr",
        "mrs",
        "ms",
        "dr",
        "st",
        "mt",
        "world",
        "super",
    }
    | {"messrs", "mme", "mlle", "prof", "rev", "capt", "col", "lt", "sgt", "gen", "hon"}
)


def find_written(text: str, language: str) -> list[Written]:
    """The written things of a text in order; they do not overlap.

    `language` is a code like "en" or "en-GB"; languages other than English have numbers only, by num2words.
    """
    base = base_language(language)
    if base != "en":
        return _numbers(text, base)
    british = is_british(language)
    found: list[Written] = []
    end = 0
    for token in _TOKEN.finditer(text):
        if token.end() <= end or not _is_suspect(token[0]):
            continue
        for start in _START.finditer(text, max(token.start(), end), token.end()):
            if start.start() >= end and (here := _at(text, start, british)):
                found += [written for written in here if written.readings]
                end = here[-1].end
    return found


def _at(text: str, start: re.Match[str], british: bool) -> list[Written]:
    """The written things that begin at a place, by the first rule that has some."""
    first, at = start[0][0], start.start()
    if first == "<" and (tag := TAG.match(text, at)):
        return [Written(at, tag.end(), (), "tag")]
    kind = "digit" if first in "0123456789" else "letter" if first.isalpha() else "sign"
    for rule in _BY_START[kind]:
        if (match := rule.pattern.match(text, at)) and (here := rule.read(match, british)):
            return here
    return []


@lru_cache(maxsize=1 << 16)
def _is_suspect(token: str) -> bool:
    """Whether a written thing may start in a token without spaces. A book of 120,000 words has some 15,000 tokens."""
    if _MARKED.search(token):
        return True
    for word in _WORD.finditer(token):
        key = word[0].lower()
        if key in _KEYWORDS or (key in ABBREVIATIONS and token[word.end() : word.end() + 1] == "."):
            return True
        if len(key) == 1 and token[word.end() : word.end() + 1] == ".":
            return True
    return False


_ANY_NUMBER = re.compile(r"(?P<whole>\d{1,3}(?:[.,  ]\d{3})++(?![\d])|\d++)(?:[.,](?P<part>\d{1,30}+)(?!\d))?")


def _numbers(text: str, language: str) -> list[Written]:
    found = []
    for match in _ANY_NUMBER.finditer(text):
        digits = re.sub(r"\D", "", match["whole"])
        whole = (
            [words(int(digits), language), words(int(digits), language, "ordinal")] if len(digits) <= LONGEST else []
        )
        if len(digits) == 4:
            whole.append(words(int(digits), language, "year"))
        ways = unique([*whole, *digit_ways(digits, language)])
        if ways:
            found.append(Written(match.start("whole"), match.end("whole"), tuple(ways), "cardinal"))
        if match["part"]:
            part = unique([*digit_ways(match["part"], language), words(int(match["part"]), language)])
            found.append(Written(match.start("part"), match.end("part"), tuple(part), "decimal")) if part else None
    return found
