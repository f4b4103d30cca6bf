"""Writes out, for the model, what it would misread: `normalize: on`."""

import re
from collections.abc import Collection, Sequence

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.passage import Passage, Replacement, TextProblem
from maya_batch.text.readings.abbreviations import ends_sentence
from maya_batch.text.readings.dates import MONTHS
from maya_batch.text.readings.grammar import find_written
from maya_batch.text.readings.written import Written
from maya_batch.text.rewriting import Rewriter

_NAMES = re.compile(rf"\b(?:{'|'.join(MONTHS)}|fahrenheit|celsius)\b")
_SENTENCE_STOPS = frozenset(".!?…")
_GLUED_BEFORE = re.compile(r"\w[.,:/]$|\d['’′–-]$")
_GLUED_AFTER = re.compile(r"[.,:/]\w|['’′–-]\d")
_DETERMINER = re.compile(r"\b(?:the|this|that|his|her|its|my|your|our|their|each|every)\s+$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[”’\"')\]]*(?:$|\s+[“‘\"'(\[]*[A-Z])")


def written_out(language: str) -> Rewriter:
    """A rule that replaces each written thing that has one meaning by its first reading.

    Ambiguous ones stay ("St.", "1984", "I"), and so do letters ("FBI", "p.m."), which a model says as letters. The
    name of the rule is the thing's kind.
    """

    def write_out(passage: Passage) -> tuple[Sequence[Replacement], Sequence[TextProblem]]:
        text = passage.text
        certain = [written for written in find_written(text, language) if _is_replaced(written)]
        ends = {written.end for written in certain}
        starts = {written.start for written in certain}
        certain = [written for written in certain if not _is_glued(text, written, starts, ends)]
        ends = {written.end for written in certain}
        starts = {written.start for written in certain}
        numerals = {written.start for written in certain if written.kind == "roman"}
        replacements = []
        for written in certain:
            start, end = written.start, written.end
            said = _spoken(text, written, _opens_sentence(text, start, ends))
            is_before_name = written.kind == "title" and not _is_title_alone(text, start, end)
            if not is_before_name and _ends_sentence(text, end, numerals):
                said += "."
            space_before = " " if start in ends or text[start - 1 : start].isalnum() else ""
            space_after = " " if end not in starts and text[end : end + 1].isalnum() else ""
            replacements.append(Replacement(start, end, f"{space_before}{said}{space_after}", written.kind))
        return replacements, ()

    return write_out


def _opens_sentence(text: str, start: int, ends: Collection[int]) -> bool:
    """Whether a sentence begins at a place; the full stop of a short form, which `ends` there, ends none."""
    before = text[max(0, start - 24) : start].rstrip(" \u00a0“‘\"'([")
    stop = start - min(start, 24) + len(before)
    if not before or (stop in ends and text[stop - 1] == "."):
        return not stop
    last = before.split()[-1].rstrip("”’\"')]")
    is_short = last[-1:] == "." and ("." in last[:-1] or len(last) == 2 or last[:-1].lower() in ABBREVIATIONS)
    return last[-1:] in _SENTENCE_STOPS and not is_short


def _ends_sentence(text: str, end: int, numerals: Collection[int]) -> bool:
    """Whether the full stop of a short form is the sentence's, too: that of "No. IV" is not."""
    after = _SENTENCE_END.match(text, end) if text[end - 1] == "." else None
    return after is not None and not any(at in numerals for at in range(end + 1, after.end()))


def _is_title_alone(text: str, start: int, end: int) -> bool:
    """Whether a title has no name: "Ask the Mrs. She knows.", but "Mr. He" is a Chinese name."""
    return ends_sentence(text, end) and _DETERMINER.search(text, max(0, start - 8), start) is not None


def _is_glued(text: str, written: Written, starts: Collection[int], ends: Collection[int]) -> bool:
    """Whether it is a part of something longer that the grammar does not know: "1.E.3", "3,5", "10:1"."""
    start, end = written.start, written.end
    if text[start] == "." and text[start - 1 : start].isalnum():
        return True
    before = start not in ends and _GLUED_BEFORE.search(text[max(0, start - 2) : start])
    after = end not in starts and _GLUED_AFTER.match(text, end)
    return bool(before or after)


def _is_replaced(written: Written) -> bool:
    return not written.ambiguous and any(len(word) > 1 for word in written.readings[0].split())


def _spoken(text: str, written: Written, at_start: bool) -> str:
    """The first reading, with the capitals that its place asks for."""
    said = _NAMES.sub(lambda name: name[0].capitalize(), written.readings[0])
    if _DETERMINER.search(text, max(0, written.start - 8), written.start):
        said = said.removeprefix("the ")
    if written.kind == "title" or at_start:
        said = said[0].upper() + said[1:]
    return said
