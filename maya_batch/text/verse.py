"""Tells verse and lists, whose line ends are heard, from prose that is wrapped at a width."""

import re
from collections.abc import Sequence
from itertools import pairwise

_BULLET = re.compile(r"[-*+•‣◦▪●■]\s+(?=\S)")
_SURE_BULLET = re.compile(r"[•‣◦▪●■]\s*+(?=\S)")
_NUMBER = re.compile(r"(?:\(?\d{1,3}[.)]|\((?:[a-z]|[ivx]{1,5})\)|(?:[a-z]|[ivx]{1,5})\))\s+(?=\S)", re.IGNORECASE)
_FIRST_WORD = re.compile(r"\S+")
_CAPITAL = re.compile(r"[\W_]*(?P<letter>[^\W\d_])?")

_UNWRAPPED = 100
"""Characters: a longer line was not wrapped."""
_UNWRAPPED_SHARE = 0.02
"""If more lines of a chapter than this share are so long, its line ends are the author's."""
_PROSE_WIDTH = 50
"""Characters: text is wrapped at no smaller width; a chapter whose lines are all shorter is verse."""
_LONGEST_VERSE = 75
"""Characters of a line of verse."""
_CAPITALS, _EARLY = 0.7, 0.7
"""Shares of the lines after the first that begin with a capital, and of the lines that end before the width."""
_FEW_LINES = 3
"""Fewer lines than this are verse only if all of them are like it."""
MUCH_EARLIER = 0.8
"""A line that ends before this share of the width, with the next word, was not wrapped."""


def wrap_width(source: str) -> int:
    """The width at which the paragraphs of a source are wrapped, in characters; 100 if they are not."""
    lengths: list[int] = []
    long = total = 0
    lines = source.split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        length = len(line.strip())
        if not length:
            continue
        total += 1
        long += length > _UNWRAPPED
        if following.strip():
            lengths.append(length)
    if long > total * _UNWRAPPED_SHARE:
        return _UNWRAPPED
    lengths.sort()
    return lengths[len(lengths) * 9 // 10] if lengths else 0


def is_verse(lines: Sequence[str], width: int) -> bool:
    """Whether the line ends of a paragraph are the author's; `width` is that of the chapter (`wrap_width`)."""
    breaks = len(lines) - 1
    if breaks < 1 or max(map(len, lines)) > _LONGEST_VERSE:
        return False
    capitals = sum(_begins_with_capital(line) for line in lines[1:])
    taken = [len(line) + 1 + _first_word(after) for line, after in pairwise(lines)]
    if width < _PROSE_WIDTH:
        return capitals >= breaks * _CAPITALS and (len(lines) >= _FEW_LINES or capitals == breaks)
    much_earlier = sum(length <= width * MUCH_EARLIER for length in taken)
    if len(lines) < _FEW_LINES:
        return capitals == breaks == much_earlier
    early = sum(length <= width for length in taken)
    return much_earlier == breaks or (capitals >= breaks * _CAPITALS and early >= breaks * _EARLY)


def list_items(lines: Sequence[str]) -> list[int]:
    """The numbers of the lines that begin an item of a list: with a bullet, "1." or "(a)".

    In prose a wrapped line may begin like that, too: a list begins at the paragraph's first line, or after a colon.
    """
    items = [
        number
        for number, line in enumerate(lines)
        if _SURE_BULLET.match(line) or _BULLET.match(line) or _NUMBER.match(line)
    ]
    for number in items:
        if number == 0 or lines[number - 1].endswith(":") or _SURE_BULLET.match(lines[number]):
            return items[items.index(number) :]
    return []


def bullet_length(line: str, is_list: bool) -> int:
    """The length of the bullet at a line's start; 0 if there is none. Alone, `- 5` is a number."""
    found = _SURE_BULLET.match(line) or _BULLET.match(line)
    if found is None or (not is_list and line[0] in "-+" and line[found.end()].isdigit()):
        return 0
    return found.end()


def _begins_with_capital(line: str) -> bool:
    found = _CAPITAL.match(line)
    letter = found["letter"] if found else None
    return letter is not None and letter.isupper()


def _first_word(line: str) -> int:
    found = _FIRST_WORD.match(line)
    return len(found[0]) if found else 0
