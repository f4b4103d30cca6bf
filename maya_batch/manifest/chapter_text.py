"""The chapters of a book as they are read from its files."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Place: TypeAlias = Callable[[int], tuple[str, int, int]]
"""Maps an offset in a text to the file as shown, line and column, from 1."""


@dataclass(frozen=True)
class ChapterText:
    """A chapter with its source text read in."""

    number: int
    """The place in the book, from 1; opening credits have 0, closing credits the number after the last chapter."""
    title: str
    slug: str
    """The file name without number and ending."""
    voice: str
    """The name of the voice that reads; always one of the book's."""
    text: str
    """The source text; lines end with a newline character alone."""
    place: Place
    """Of the offsets in `text`."""
    part: str = ""
    """The part of the book that it belongs to; empty without one."""
    subtitle: str = ""
    announce: bool | str = False
    """Whether the title is spoken before the text; or what is spoken there, with markup."""
    credits: bool = False
    """Whether these are opening or closing credits."""


@dataclass(frozen=True)
class SkippedChapter:
    """A chapter that is not rendered; mistakes in its text are no mistakes of the book."""

    number: int
    """The place in the book, from 1."""
    title: str
    part: str
    reason: str
    """Empty without one."""
    characters: int
    """Of its text."""
