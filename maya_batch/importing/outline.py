"""Decides which entries of the contents are chapters, which are parts of several, and which are sections inside one.

An entry without others below it is a chapter. One with others below it is

1. a part, if its title is numbered as one (“Part One”, “Book II”) or if one below it says that it is a chapter;
2. one chapter with its sections, if its title says that it is a chapter;
3. one chapter, if it is numbered and those below it are not, or if they have fewer than 400 words on average and
   together at least 2,000; or if all around it at its level are chapters and it has at most three times the words that
   these usually have;
4. else a part.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from maya_batch.importing.blocks import Block
from maya_batch.importing.entries import Entry, first_start
from maya_batch.importing.titles import is_chapter, is_numbered, is_part

#: Words of a section that is too short for a chapter, words of the chapter that such sections make, and how much longer
#: than its neighbours that chapter may be. Chosen by looking at tables of contents of four levels.
_SHORT, _CHAPTER, _LONGER = 400, 2000, 3


@dataclass(frozen=True)
class Start:
    """Where a part or a chapter begins."""

    at: int
    """The number of its first block."""
    title: str
    parts: tuple[str, ...]
    """The titles of the parts that it belongs to, the outermost first."""
    level: int
    is_part: bool
    """Whether chapters of it follow."""
    from_heading: bool = False


def find_starts(entries: Sequence[Entry], blocks: Sequence[Block]) -> list[Start]:
    """Parts and chapters in the order of the text."""
    sizes = _Sizes(entries, blocks)
    starts: list[Start] = []
    for entry in entries:
        _add(entry, (), sizes, starts)
    return sorted(starts, key=lambda start: (start.at, not start.is_part))  # the sort is stable


class _Sizes:
    """How many words entries have."""

    def __init__(self, entries: Sequence[Entry], blocks: Sequence[Block]) -> None:
        self._words = list(accumulate((len(block.text.split()) for block in blocks), initial=0))
        every = [each for entry in entries for each in entry.walk()]
        self._ends = [*sorted({each.start for each in every if each.start is not None}), len(blocks)]
        levels = {each.level for each in every}
        leaves = {
            level: [self.own(each) for each in every if each.level == level and not each.children] for level in levels
        }
        self.usual = {level: median(sizes) for level, sizes in leaves.items() if len(sizes) > 1}
        """By level: the words that a chapter there usually has, if there are several."""

    def own(self, entry: Entry) -> int:
        """The words up to the next entry."""
        if entry.start is None:
            return 0
        end = self._ends[bisect_right(self._ends, entry.start)]
        return self._words[end] - self._words[entry.start]

    def whole(self, entry: Entry) -> int:
        """The words of it and of all below it."""
        starts = {each.start: each for each in entry.walk() if each.start is not None}
        return sum(self.own(each) for each in starts.values())


def _add(entry: Entry, parts: tuple[str, ...], sizes: _Sizes, starts: list[Start]) -> None:
    divided = bool(entry.children) and not _is_one_chapter(entry, sizes)
    at = entry.start if entry.start is not None else first_start(entry)
    starts.append(Start(at, entry.title, parts, entry.level, divided, entry.from_heading))
    if divided:
        for child in entry.children:
            _add(child, (*parts, entry.title), sizes, starts)


def _is_one_chapter(entry: Entry, sizes: _Sizes) -> bool:
    """Whether an entry with others below it is a chapter, and these are its sections."""
    below = [each.title for each in entry.walk() if each is not entry]
    if is_part(entry.title) or entry.start is None or any(is_part(title) for title in below):
        return False
    if is_chapter(entry.title):
        return True
    if entry.from_heading or any(is_chapter(each.title) for each in entry.children):
        return False
    if is_numbered(entry.title) and not any(is_numbered(each.title) for each in entry.children):
        return True
    whole = sizes.whole(entry)
    if whole >= _CHAPTER and whole < _SHORT * len(entry.children):
        return True
    usual = sizes.usual.get(entry.level)
    return usual is not None and _CHAPTER // 2 <= whole <= _LONGER * usual
