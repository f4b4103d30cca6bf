"""Finds the parts of a text that are said in another way than they are written, and all the ways to say them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A part of a text, `text[start:end]`, that is not said letter by letter as it is written."""

    start: int
    end: int
    readings: tuple[str, ...]
    """All valid ways to say it, the most likely first: lower-case words separated by single spaces."""
    kind: str
    """Its class, for people: "cardinal", "year", "money", "time", "fraction", "roman", "title", …"""
    ambiguous: bool = False
    """Whether only a person can tell which reading is meant ("St.", "1984", "I")."""


def find_written(text: str, language: str) -> list[Written]:
    """The written things of a text in order; they do not overlap.

    `language` is a code like "en" or "en-GB"; languages other than English have numbers only, by num2words.
    """
    raise NotImplementedError
