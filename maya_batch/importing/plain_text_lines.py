"""Judges the lines of a plain text: where it was wrapped, what is verse, what is a heading."""

import re
from collections.abc import Collection, Sequence

from maya_batch.importing.text_encoding import NotTextError
from maya_batch.importing.titles import is_bare_number, is_chapter, is_named, is_part

PART_LEVEL, CHAPTER_LEVEL, TITLE_LEVEL = 1, 2, 3
"""The levels of headings: “Part One”; “Chapter IV” and “Epilogue”; a title in capitals."""
_LONGEST_HEADING = 90
_LONG_LINE = 120
"""Characters of a line that is a paragraph: texts are wrapped at 65 to 80."""
_HEADING_LINES = 4
_OPENING = re.compile(r"[\"'“‘(\[_]*")
_WORD = re.compile(r"[^\W\d_]+")
_BREAK = re.compile(r"[-\u2010\xad]\n")
#: Nothing is tried twice: a word is looked at from its beginning only, and as a whole.
_BROKEN_WORD = re.compile(r"(?<![^\W\d_])([^\W\d_]++)[-\u2010\xad]\n[ \t]*+([^\W\d_]++)")
_MOST_BROKEN_WORDS = 200_000
"""The most words that are broken at the end of a line: a novel of 120,000 words has at most 10,000 lines."""


def wrap_width(groups: Sequence[Sequence[str]]) -> int:
    """The width at which the text was wrapped, in characters, as most lines that do not end a paragraph show it."""
    lengths = sorted(len(line.rstrip()) for lines in groups for line in lines[:-1])
    return lengths[len(lengths) * 9 // 10] if lengths else 0


def split_paragraphs(lines: Sequence[str], width: int) -> list[tuple[int, int, bool]]:
    """The paragraphs in lines without a blank line between them: first line, line after the last, whether it is verse.

    Each line is a paragraph if one is longer than lines are wrapped. An indented line begins a paragraph if others are
    not indented. Verse are lines that begin with capitals and end long before the width.
    """
    if len(lines) == 1:
        return [(0, 1, False)]
    if max(map(len, lines)) > _LONG_LINE:
        return [(at, at + 1, False) for at in range(len(lines))]
    if is_verse(lines, width):
        return [(0, len(lines), True)]
    indented = [at for at, line in enumerate(lines) if line.startswith(("  ", "\t"))]
    if (indented and len(indented) < len(lines) and indented[0] == 0) or len(indented) * 2 < len(lines):
        starts = sorted({0, *indented})
        return [(a, b, False) for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return [(0, len(lines), False)]


def is_verse(lines: Sequence[str], width: int) -> bool:
    """Whether the lines end where their author wanted: the next word would still have fit, and capitals begin them."""
    stripped = [line.strip() for line in lines]
    if len(lines) < 2 or width < 30:
        return False
    fits = sum(
        len(line.rstrip()) + 1 + len(after.split()[0]) <= width - 4
        for line, after in zip(lines[:-1], stripped[1:], strict=True)
    )
    capitals = sum(_OPENING.sub("", line, count=1)[:1].isupper() for line in stripped)
    return fits >= 0.75 * (len(lines) - 1) and capitals >= 0.7 * len(lines)


def heading_level(lines: Sequence[str]) -> int:
    """The level of a heading of one line, or of a few; 0 if it is none."""
    if len(lines) > _HEADING_LINES:
        return 0
    stripped = [line.strip() for line in lines]
    first, whole = stripped[0], " ".join(stripped)
    if len(whole) > 2 * _LONGEST_HEADING or max(map(len, stripped)) > _LONGEST_HEADING:
        return 0
    if len(lines) > 1 and (is_part(stripped[1]) or is_chapter(stripped[1])):
        return 0  # a list of contents
    capitals = _is_capitals(whole)
    if not first[:1].isupper() and not first[:1].isdigit():
        return 0
    if is_part(first):
        return PART_LEVEL
    if is_chapter(first):
        return CHAPTER_LEVEL
    if len(lines) == 1 and ((is_bare_number(first) and first.upper() == first) or is_named(first)):
        return CHAPTER_LEVEL
    return TITLE_LEVEL if capitals and whole[-1:] not in ",;:-—" else 0


def _is_capitals(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    return len(letters) > 2 and all(letter.upper() == letter for letter in letters) and text[:1] not in "\"“'‘("


def words_at_breaks(text: str) -> frozenset[str]:
    """The words of a text, in lower case, that may be a half of a word broken at a line's end, or the joined word.

    Only words that stand elsewhere in the text as a whole are returned.

    Raises:
        NotTextError: more words are broken than books have.
    """
    if _BREAK.search(text) is None:
        return frozenset()
    wanted: set[str] = set()
    for number, found in enumerate(_BROKEN_WORD.finditer(text)):
        if number >= _MOST_BROKEN_WORDS:
            raise NotTextError(f"has more than {_MOST_BROKEN_WORDS:,} words that a line's end breaks; divide it")
        wanted |= {found[1].lower(), found[2].lower(), (found[1] + found[2]).lower()}
    whole = _BROKEN_WORD.sub(" ", text)
    return frozenset(word for found in _WORD.finditer(whole) if (word := found.group().lower()) in wanted)


def join_broken_words(text: str, words: Collection[str]) -> str:
    """The text with the words joined that a hyphen or soft hyphen breaks at the end of a line.

    A hyphen stays if the text has both halves as words and does not have the joined word: “old-fashioned”.
    """
    if _BREAK.search(text) is None:
        return text

    def joined(found: re.Match[str]) -> str:
        first, second = found[1], found[2]
        is_soft = found.group()[len(first)] == "\xad"
        known = (first + second).lower() in words
        compound = first.lower() in words and second.lower() in words
        return first + ("" if is_soft or known or not compound else "-") + second

    return _BROKEN_WORD.sub(joined, text)
