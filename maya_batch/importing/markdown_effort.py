"""Bounds what a Markdown text costs the parser, from a glance at its signs."""

import re

from maya_batch.importing.text_encoding import NotTextError

MOST_LINES = 100_000
"""The most lines: a heading takes 0.3 ms. The whole Bible has 65,000 of 70 characters."""
MOST_MARKS = 400_000
"""The most signs that may be markup: each takes about 13 µs and 0.7 KB of memory."""
MOST_LINKS = 100_000
"""The most links: each takes up to 0.1 ms. A Bible with one for each verse has 31,000."""
_MOST_OPEN = 5_000_000
"""The most signs inside open brackets, counted for each bracket: the parser looks from each bracket for its end."""
_MOST_SEARCHED = 50_000_000
"""The most characters in which the ends of comments are looked for: from each beginning to the end of a paragraph."""
_MARK = re.compile(r"[*_`\[\]!<&\\~|]")
_LINK = re.compile(r"\][(\[]|<[A-Za-z0-9+.-]{1,64}+[:@]")
_BLANK_LINES = re.compile(r"\n[ \t]*+\n")
_COMMENT = re.compile(r"<[!?]")


def check_effort(text: str) -> None:
    """Check that the parser needs seconds for a text, not hours.

    Raises:
        NotTextError: it has more lines, links or marks than a book, or brackets or comments without an end.
    """
    if text.count("\n") > MOST_LINES:
        raise NotTextError(f"has more than {MOST_LINES:,} lines; divide it")
    if len(_LINK.findall(text)) > MOST_LINKS:
        raise NotTextError(f"has more than {MOST_LINKS:,} links; divide it")
    marks = is_open = searched = 0
    for paragraph in _BLANK_LINES.split(text):
        found = _MARK.findall(paragraph)
        marks += len(found)
        if marks > MOST_MARKS:
            raise NotTextError(f"has more than {MOST_MARKS:,} marks; divide it")
        is_open += _inside_brackets(found)
        searched += len(_COMMENT.findall(paragraph)) * len(paragraph)
        if is_open > _MOST_OPEN:
            raise NotTextError("has too many brackets without an end; write \\[ for a bracket of the text")
        if searched > _MOST_SEARCHED:
            raise NotTextError("has too many comments in one paragraph; remove them")


def _inside_brackets(marks: list[str]) -> int:
    """The marks inside brackets, counted for each bracket that is open there."""
    depth = total = 0
    for mark in marks:
        if mark == "[":
            depth += 1
        elif mark == "]":
            depth = max(0, depth - 1)
        total += depth
    return total
