"""Divides a sentence into subtitles of at most two lines, where a reader would pause."""

import unicodedata

from maya_batch.text.break_points import Cuts, Words
from maya_batch.text.cut_rules import NEWEST

LINE = 42
"""The widest line, in characters; those of Chinese and Japanese count twice (Netflix, "English Timed Text Style Guide",
and the usual rule of other broadcasters)."""

Lines = tuple[str, ...]
"""One or two lines of a subtitle."""

_PHRASE_WEIGHT = 10
"""By how many characters the two lines may differ more, to be divided at a place that is one rank better."""


def width(text: str) -> int:
    """The width of a text in characters, wide ones counted twice."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def lines_of(text: str) -> Lines | None:
    """The text in one or two lines; None if it needs more."""
    if width(text) <= LINE:
        return (text,)
    best: tuple[float, Lines] | None = None
    for found in NEWEST.place.finditer(text, 1):
        first, second = text[: found.start()].rstrip(), text[found.start() :].lstrip()
        if width(first) <= LINE and 0 < width(second) <= LINE:
            cost = abs(width(first) - width(second)) - _PHRASE_WEIGHT * NEWEST.rank(text, found.start())
            if best is None or cost < best[0]:
                best = cost, (first, second)
    return None if best is None else best[1]


def divided(text: str, parts: int = 1) -> list[str]:
    """The text in as many parts as it needs to be shown in two lines each, and at least in `parts` if it can be cut.

    The parts, joined, are the text.
    """
    cuts = Cuts(Words(text, NEWEST), 0, len(text))
    spans = [(0, len(text))]
    while True:
        too_long = [span for span in spans if lines_of(text[slice(*span)].strip()) is None]
        if not too_long and len(spans) >= parts:
            break
        start, end = too_long[0] if too_long else max(spans, key=lambda span: width(text[slice(*span)]))
        cut = cuts.best(start, end)
        if cut is None:
            if not too_long:
                break
            cut = start + _fitting(text[start:end])
        at = spans.index((start, end))
        spans[at : at + 1] = [(start, cut), (cut, end)]
    return [text[start:end] for start, end in spans]


def _fitting(word: str) -> int:
    """How many characters of a word without a place to cut have the width of a line."""
    wide = 0
    for count, character in enumerate(word):
        wide += width(character)
        if wide > LINE:
            return max(1, count)
    return len(word)
