"""Notes that only their links tell: a mark in a sentence links to a paragraph that links back to the mark.

Converters of word processors write such notes, without a role or a class that says what they are.
"""

import re
from collections.abc import Container, Iterator
from itertools import islice
from typing import Final
from urllib.parse import unquote

from lxml import etree

from maya_batch.importing.xhtml_elements import BLOCKS, HEADINGS, name_of, short_text_of

_LINKS: Final = ("a", "{http://www.w3.org/1999/xhtml}a")
#: What stands for a mark: `1`, `[12]`, `*`, `iv`, in brackets or not.
_MARK: Final = re.compile(r"[\[(]?\s*(?:\d{1,4}|[a-z]|[ivxlc]{1,7}|[*†‡§¶#∗]{1,4})\s*[\])]?\.?$")
_LETTER_BEFORE: Final = re.compile(r"[^\W\d_][^\w\s]{0,4}\s?$")
"""A mark follows a word, with the signs that end a sentence; in a list of links, as of a psalm's verses, none does."""
_NOTES: Final = frozenset({"p", "li", "dd", "div"})
_MOST_UP: Final = 8
"""Elements between an anchor or a mark and its block; more are no note."""
_MOST_IN: Final = 60
"""Elements of a note that are looked at."""


def tell_linked_notes(root: etree._Element, file: str) -> None:
    """Give the block elements that are notes by their links the role `doc-footnote`; `file` is the name of the file."""
    marks = {link: target for link in root.iter(*_LINKS) if (target := _target(link, file)) and _is_mark(link)}
    if not marks:
        return
    back: dict[str, set[str]] = {}
    """The ids of the marks so far, by what they link to: a note stands after its marks."""
    for part in root.iter(etree.Element):
        own = part.get("id") or part.get("name") or ""
        note = _block_of(part) if own in back else None
        if note is not None and _is_note(note, own, back[own], file):
            note.set("role", f"doc-footnote {note.get('role') or ''}")
        if part in marks:
            back.setdefault(marks[part], set()).update(_ids_of(part))


def _target(link: etree._Element, file: str) -> str:
    """The id in this file that a link leads to; "" if it leads elsewhere."""
    path, _, anchor = (link.get("href") or "")[:1000].partition("#")
    same_file = not path or path.rpartition("/")[2] == file.rpartition("/")[2]
    return unquote(anchor) if same_file else ""


def _is_mark(link: etree._Element) -> bool:
    """Whether a link is short as the mark of a note, and stands after a word."""
    inside = short_text_of(link)
    if inside is None or _MARK.match(inside) is None:
        return False
    return next((_LETTER_BEFORE.search(text) is not None for text in _texts_before(link) if text.strip()), False)


def _texts_before(link: etree._Element) -> Iterator[str]:
    """The texts between elements before a link in its block, the nearest first."""
    part: etree._Element | None = link
    for _ in range(_MOST_UP):
        if part is None or name_of(part) in BLOCKS:
            return
        before, around = part.getprevious(), part.getparent()
        if before is None:
            yield (around.text or "") if around is not None else ""
            part = around
        else:
            yield before.tail or short_text_of(before) or ""
            part = before


def _block_of(anchor: etree._Element) -> etree._Element | None:
    """The block element that an anchor is, or stands in."""
    part: etree._Element | None = anchor
    for _ in range(_MOST_UP):
        if part is None or name_of(part) in BLOCKS:
            return part
        part = part.getparent()
    return None


def _is_note(block: etree._Element, own: str, marks: Container[str], file: str) -> bool:
    """Whether a block element has a link back to one of its `marks`, and neither a heading nor a mark of it in it."""
    if name_of(block) not in _NOTES:
        return False
    is_linked = False
    for part in islice(block.iter(etree.Element), _MOST_IN):
        target = _target(part, file) if name_of(part) == "a" else ""
        if name_of(part) in HEADINGS or target == own:
            return False
        is_linked = is_linked or target in marks
    return is_linked


def _ids_of(mark: etree._Element) -> set[str]:
    """The ids of a mark: its own, those in it, around it, and of an empty anchor before it."""
    near = [*islice(mark.iter(etree.Element), 4)]
    around = mark.getparent()
    while around is not None and len(near) < _MOST_UP and name_of(around) not in BLOCKS:
        near.append(around)
        around = around.getparent()
    before = mark.getprevious()
    if before is not None and not (before.tail or "").strip():
        near.append(before)
    return {value for part in near for key in ("id", "name") if (value := part.get(key))}
