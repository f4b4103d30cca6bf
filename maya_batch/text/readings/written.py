"""A written thing with its readings, and the rules that find them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from maya_batch.text.readings.ways import unique


@dataclass(frozen=True)
class Written:
    """A part of a text, `text[start:end]`, that is not said letter by letter as it is written."""

    start: int
    end: int
    readings: tuple[str, ...]
    """All valid ways to say it, the most likely first: lower-case words separated by single spaces; at most 40."""
    kind: str
    """Its class, for people: "cardinal", "year", "money", "time", "fraction", "roman", "title", …"""
    ambiguous: bool = False
    """Whether only a person can tell which reading is meant ("St.", "1984", "I")."""


NUMBER = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)"
"""A whole number as a pattern, with or without commas between thousands."""
DASH = "[-‐‑‒–—−]"
"""A hyphen, a dash or a minus sign as a pattern."""

Reader: TypeAlias = Callable[[re.Match[str], bool], list[Written]]
"""Makes the written things of a match, in order; none if it is not of this class. The flag asks for British usage."""


@dataclass(frozen=True)
class Rule:
    """A class of written things: where one may start, its pattern, and what makes the readings of a match."""

    starts: Literal["digit", "letter", "sign"]
    pattern: re.Pattern[str]
    read: Reader


def group(
    found: re.Match[str], name: str | int, ways: Iterable[str], kind: str, ambiguous: bool = False
) -> list[Written]:
    """A written thing that is a group of a match; none if there is no way to say it."""
    readings = tuple(unique(ways))
    return [Written(found.start(name), found.end(name), readings, kind, ambiguous)] if readings else []
