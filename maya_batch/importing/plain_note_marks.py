"""Raised numbers without a link: marks of notes where the manuscript has notes with these numbers, else text."""

import re
from collections.abc import Collection
from dataclasses import replace

from maya_batch.importing.blocks import Block, Document
from maya_batch.importing.matter import NOTES, reason_of_title

_MARK = "note mark"
#: How the text of a note begins: `12. `, `[12] `, `* `.
_LABEL = re.compile(r"[\[(]?(\d{1,3}|[*†‡§¶]{1,3})[\])]?[.:]?\s")
#: The number of a note in a list without numbers in its text.
_ITEM = re.compile(r".*/li\[(\d{1,3})\]")
_WORD_BEFORE = re.compile(r"([^\W\d_]+)([^\w\s]*)$")
_CLOSING = frozenset(".,;:!?…’”»\"')]")
_LONG_WORD = re.compile(r"[^\W\d_]{3,}")
#: Raised numbers after these, and after a single letter, are powers.
_WITH_POWERS = frozenset(("cm", "mm", "km", "dm", "nm", "ft", "in", "yd", "mi", "mc", "log", "sin", "cos", "tan"))
#: As far as the beginning of a word or a bracket is looked for.
_NEAR = 200


def without_plain_note_marks(document: Document, keep: Collection[str] = ()) -> Document:
    """The document without raised numbers that are marks of notes; `keep` is as in `xhtml_blocks.read_blocks`.

    A mark stands right after a word or the sign that ends a sentence, is no power (`cm²`), and a note of the manuscript
    has its number. Marks count as "note mark". A remark says how many others are read.
    """
    labels = _labels(document.blocks)
    blocks: list[Block] = []
    read = 0
    for block in document.blocks:
        if block.raised:
            marks = [place for place in block.raised if _stands_like_a_mark(block.text, *place)]
            known = [place for place in marks if _label(block.text, *place) in labels]
            read += len(marks) - len(known)
            block = replace(_without(block, [] if _MARK in keep else known), raised=())
        blocks.append(block)
    remarks = list(document.remarks)
    if read and _MARK not in keep:
        numbers = "raised number after a word is" if read == 1 else "raised numbers after words are"
        which = "that number" if read == 1 else "these numbers"
        remarks.append(f"{read:,} {numbers} read aloud, because the manuscript has no notes with {which}")
    return replace(document, blocks=tuple(blocks), remarks=tuple(remarks))


def _labels(blocks: Collection[Block]) -> frozenset[str]:
    """The numbers and signs of the notes, those below a heading like “Notes” included."""
    labels: set[str] = set()
    level = 0
    """Of the heading over notes; 0 elsewhere."""
    for block in blocks:
        if block.kind == "heading" and (not level or block.level <= level):
            level = block.level if reason_of_title(block.text) == NOTES else 0
        elif block.kind == "note" or (level and block.kind in ("paragraph", "list_item")):
            labels.update(_labels_of(block))
    return frozenset(labels)


def _labels_of(note: Block) -> set[str]:
    if note.raised and note.raised[0][0] == 0:
        return {_label(note.text, *note.raised[0])}
    if found := _LABEL.match(note.text):
        return {found[1]}
    found = _ITEM.match(note.place.element)
    return {found[1]} if found else set()


def _label(text: str, start: int, end: int) -> str:
    return text[start:end].strip("[]()")


def _stands_like_a_mark(text: str, start: int, end: int) -> bool:
    """Whether it stands at the end of a word or sentence, and is no power."""
    before = text[max(0, start - _NEAR) : start]
    if not before or text[end : end + 1].isalnum():
        return False
    found = _WORD_BEFORE.search(before)
    if found is None:
        return before[-1] in _CLOSING
    word, signs = found.groups()
    if not signs:
        return len(word) > 1 and word.lower() not in _WITH_POWERS
    if signs[-1] == ")" and "(" in before:
        return _LONG_WORD.search(before, before.rindex("(")) is not None
    return signs[-1] in _CLOSING


def _without(block: Block, places: Collection[tuple[int, int]]) -> Block:
    parts: list[str] = []
    at = 0
    for start, end in places:
        parts.append(block.text[at:start])
        at = end
    text = "".join((*parts, block.text[at:]))
    count = len(block.text) - len(text)
    if not count:
        return block
    return replace(block, text=text, omitted={**block.omitted, _MARK: block.omitted.get(_MARK, 0) + count})
