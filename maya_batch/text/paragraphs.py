"""Splits a chapter's source text into paragraphs and scene breaks."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from maya_batch.text.rules import TEXT_RULES
from maya_batch.text.typography import INVISIBLE

# A line that is not blank, and the lines after it up to a blank one.
_PARAGRAPH = re.compile(r"\S[^\n]*+(?:\n(?=[^\S\n]*+\S)[^\n]*+)*+")
_LINE = re.compile(r"[^\n]+")
_HEADING = re.compile(r"(?:#{2,6}|#(?!\s*+\d))[^\S\n]++(?=[^\s#])")
# A line that may be a heading, an ornament, blank, or a rule of a table: it has "#" first, no three letters in a row,
# or the letters of an ornament.
_UNUSUAL_LINE = re.compile(r"^[^\S\n]*+(?:#|(?![^\n]*?[^\W\d_]{3})|\W*+(?:[oO0]{3}|[xX]\s))|\|", re.MULTILINE)
_OPEN_END = re.compile(r"[^\W_]|[,;\-\u00ad\u2010\u2011]")
_QUOTE_LINE = re.compile(r"[>\s]+")
_TABLE = re.compile(r"\s*+\|?(?:\s*+:?-++:?\s*+[|+])++(?:\s*+:?-++:?)?\s*+|\s*+[+|][-=+|:\s]++")
# "oOo" and the like, which writers use as an ornament.
_LETTER_ORNAMENT = re.compile(r"\W*(?:o+O+o+|o+0+o+|O+o+O+|[xX](?:\s+[xX]){2,})\W*")

_ESCAPED = re.compile(r"\\[\[\]<>\\]")

_PINNED_SIGNS = frozenset("*-–—_#~•·⁂.")
"""The signs of a scene break under rules 1: pinned."""
_MARKUP = frozenset("[]")
_ASKING = frozenset("!?‽！？")
_DIALOGUE = frozenset(".…\"'“”‘’«»‹›„(),:;")
_LONGEST_ORNAMENT = 200
"""A longer paragraph without letters is a file of the wrong kind, not a scene break."""
_SIGNS_IN_A_ROW = 3
"""A line of signs between lines of text is a scene break if it has so many; fewer may be a dash that was wrapped."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph's span in the source, without white space at its ends; a scene break has no text to speak."""

    start: int
    end: int
    is_scene_break: bool


def paragraphs(source: str, rules: int = TEXT_RULES) -> Iterator[Paragraph]:
    r"""Yield the paragraphs of a source whose lines end in "\n" alone, in order.

    Under rules 1 they are separated by blank lines. Under rules 2 a heading is a paragraph for itself, a line of signs
    alone is a scene break wherever it stands, and a page break inside a sentence does not end its paragraph.
    """
    if rules == 1:
        for found in _PARAGRAPH.finditer(source):
            content = found.group().rstrip()
            yield Paragraph(found.start(), found.start() + len(content), _is_pinned_scene_break(content))
        return
    for start, end in _joined(source):
        yield from _split(source, start, end)


def _joined(source: str) -> Iterator[tuple[int, int]]:
    """The spans between blank lines; two of them are one if only a page break in a sentence is between them."""
    start = end = -1
    for found in _PARAGRAPH.finditer(source):
        stop = found.start() + len(found.group().rstrip())
        if start >= 0 and _is_page_break(source, end, found.start()):
            end = stop
            continue
        if start >= 0:
            yield start, end
        start, end = found.start(), stop
    if start >= 0:
        yield start, end


def _is_page_break(source: str, end: int, start: int) -> bool:
    return source[start].islower() and "\f" in source[end:start] and _OPEN_END.match(source[end - 1]) is not None


def _split(source: str, start: int, end: int) -> Iterator[Paragraph]:
    """Split a span at its headings and its lines of signs."""
    whole = source[start:end]
    if "&" not in whole and _UNUSUAL_LINE.search(whole) is None:  # as most are
        yield Paragraph(start, end, False)
        return
    if "\n" not in whole:
        if not _is_blank(whole):
            yield Paragraph(start, end, is_scene_break(whole))
        return
    first = last = -1  # the open paragraph
    is_table = "|" in whole
    for found in _LINE.finditer(source, start, end):
        line = found.group()
        content = line.strip()
        if not content:  # a page break, inside a sentence
            continue
        alone = not (is_table and _TABLE.fullmatch(content)) and (_is_blank(content) or _is_ornament(content))
        heading = _HEADING.match(content) is not None and (first < 0 or content.startswith("##"))
        left = found.start() + len(line) - len(line.lstrip())
        if (alone or heading) and first >= 0:
            yield Paragraph(first, last, is_scene_break(source[first:last]))
            first = -1
        right = left + len(content)
        if alone:
            if not _is_blank(content):
                yield Paragraph(left, right, True)
        elif heading:
            yield Paragraph(left, right, False)
        else:
            first, last = (left if first < 0 else first), right
    if first >= 0:
        yield Paragraph(first, last, is_scene_break(source[first:last]))


def is_scene_break(content: str) -> bool:
    """Whether a paragraph has nothing but signs: rules, ornaments, dots.

    One of question and exclamation marks is none: they are said with a feeling, for which there is a tag or a word.
    """
    if len(content) > _LONGEST_ORNAMENT:
        return not any(character.isalnum() for character in content) and _is_pinned_scene_break(content)
    signs = _signs(content)
    if is_letter_ornament(content):
        return True
    if _ESCAPED.search(content) or any(character.isalnum() or character in _MARKUP for character in signs):
        return False
    used = {character for character in signs if not character.isspace()}
    if not used - _DIALOGUE - {"\\"}:
        return "…" in used or signs.count(".") >= _SIGNS_IN_A_ROW
    return not used <= _ASKING | _DIALOGUE


def is_letter_ornament(content: str) -> bool:
    """Whether a paragraph is an ornament of letters: “oOo”, “x x x”."""
    return len(content) <= _LONGEST_ORNAMENT and _LETTER_ORNAMENT.fullmatch(_signs(content)) is not None


def _is_ornament(line: str) -> bool:
    """Whether a line between lines of text is a scene break."""
    if not is_scene_break(line) or "`" in line:  # a line of backticks is the edge of code
        return False
    signs = [character for character in _signs(line) if not character.isspace()]
    rest = set(signs) - _DIALOGUE - _ASKING
    return bool(rest) and (len(signs) >= _SIGNS_IN_A_ROW or not rest <= set("-–—―&/+*=<>|~_#"))


def _signs(content: str) -> str:
    return INVISIBLE.sub("", html.unescape(content.replace("\\&", "\\&amp;")))


def _is_blank(content: str) -> bool:
    """Whether it is the line between two paragraphs of a quotation (">"), or of spaces written as entities."""
    if len(content) > _LONGEST_ORNAMENT:
        return False
    return _QUOTE_LINE.fullmatch(content) is not None or not _signs(content).strip()


def _is_pinned_scene_break(content: str) -> bool:
    if content[0] not in _PINNED_SIGNS:
        return False
    used = set(content)
    dots = content.count(".") if "." in used else 3
    return dots >= 3 and all(c in _PINNED_SIGNS or c.isspace() for c in used)
