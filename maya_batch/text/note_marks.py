"""Finds the marks of notes: `¹`, `†`, `[12]`."""

import re
from collections.abc import Iterator

NOTE_IN_BRACKETS = re.compile(r"\[(?:\^[^\[\]\s]{1,20}|\d{1,3}(?:\s?[,–-]\s?\d{1,3}){0,9}|[*†‡§]{1,3})\]")
"""`[12]`, `[3, 4]`, `[^note]`, `[†]`; not `[1984]`, which is a year that an editor added."""

_SUPERSCRIPTS = "¹²³⁰⁴⁵⁶⁷⁸⁹"
_RAISED = re.compile(rf"[{_SUPERSCRIPTS}]+(?:[,–-][{_SUPERSCRIPTS}]+)*")
_NOT_A_NOTE = re.compile(r"[⁺⁻⁽⁾⁄]")
# Powers and units: x², km², mc², ft³, m/s²; a note of a word of two letters that looks like one is not found.
_POWER = re.compile(r"(?<![^\W\d_])(?:[^\W\d_]|[kcdmµnh]m|mc|ft|in|yd|mi|ha|sq)$")
_ISOTOPE = re.compile(r"[A-Z][a-z]?\b")
_DAGGERS = re.compile(r"[†‡¶]{1,5}|(?<=[^\s(\[§])§{1,5}(?![\s\d])|(?<=[^\s(\[§])§{1,5}(?=\s*$)")
_GLANCE = 4
"""Characters before a superscript that tell a power from a note."""


def note_marks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the note marks in a text, those in brackets with the space before them; unordered.

    Superscripts of powers and units (x², km², 10³) are none, nor is a section sign before its number.
    """
    for found in NOTE_IN_BRACKETS.finditer(text):
        start = found.start()
        yield (start - 1 if start and text[start - 1] == " " and found.end() < len(text) else start), found.end()
    for found in _RAISED.finditer(text):
        if not _is_power(text, found.start(), found.end()):
            yield found.span()
    for found in _DAGGERS.finditer(text):
        yield found.span()


def _is_power(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - _GLANCE) : start], text[end : end + 2]
    if _NOT_A_NOTE.search(before[-1:] + after[:1]):
        return True
    if before[-1:].isdigit() or _POWER.search(before):
        return True
    if before[-1:].isalnum() or not after[:1].isalpha():
        return False
    return _ISOTOPE.match(text, end) is not None and not before[-1:].isalnum()
