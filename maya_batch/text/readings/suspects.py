"""Finds quickly where written things may begin: most tokens of a text are plain words, and are looked at once."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import compress

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.readings import abbreviations, dates, fractions, roman, signs, times

_MARKED = re.compile(rf"[\d{fractions.SIGNS}{re.escape(''.join(signs.SIGNS))}]|\w\.\w|[A-Z]{{2}}|\A[-–—−]\Z")
_PLAIN = re.compile(r"[“‘\"'(]*([A-Za-z][a-z]*+)(\.?)[,;:!?…”’\"')]*")
_WORD = re.compile(r"[^\W\d_]+")
_ALONE = abbreviations.TITLES | times.ZONES
_WITH_NEXT = frozenset({*dates.MONTHS, *dates.SHORT, *roman.NUMBERED.split("|"), *roman.REGNAL.lower().split("|")})
_WITH_NEXT |= {"world", "super"}
_MOST_TOKENS = 1 << 16
_NEXT = re.compile(r"\s+(?:\d|[ivxlcIVXLCDM]+\b|the\s\d|War\b|Bowl\b)")


def suspects(text: str) -> Iterator[tuple[int, int]]:
    """The starts and ends of the tokens, separated by spaces, in which a written thing may begin, in order."""
    tokens, known = text.split(), _suspicions()
    end = 0
    for token in compress(tokens, map(known.__getitem__, tokens)):
        start = _find(text, token, end)
        end = start + len(token)
        if known[token] == 1 or _NEXT.match(text, end):
            yield start, end


def _find(text: str, token: str, start: int) -> int:
    """Where a token of a text is, between spaces, from a place on."""
    while True:
        start = text.index(token, start)
        end = start + len(token)
        if (not start or text[start - 1].isspace()) and (end == len(text) or text[end].isspace()):
            return start
        start += 1


class _Suspicions(dict[str, int]):
    """The suspicion of each token. A dictionary takes a quarter of the time of a cached function, and a book of 120,000
    words has some 15,000 different tokens.
    """

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST_TOKENS:
            self.clear()
        found = self[token] = _suspicion(token)
        return found


@cache
def _suspicions() -> _Suspicions:
    return _Suspicions()


def suspicion(token: str) -> int:
    """Whether a written thing may begin in a token: 0 no, 1 yes, 2 if a number or a numeral follows."""
    return _suspicions()[token]


def _suspicion(token: str) -> int:
    if plain := _PLAIN.fullmatch(token):
        key = plain[1].lower()
        if key in _ALONE or (plain[2] and (len(key) == 1 or key in ABBREVIATIONS)):
            return 1
        return 2 if key in _WITH_NEXT else 0
    if _MARKED.search(token):
        return 1
    with_next = 0
    for word in _WORD.finditer(token):
        key = word[0].lower()
        stopped = token[word.end() : word.end() + 1] == "."
        if key in _ALONE or (stopped and (len(key) == 1 or key in ABBREVIATIONS)):
            return 1
        with_next = 2 if key in _WITH_NEXT else 0
    return with_next
