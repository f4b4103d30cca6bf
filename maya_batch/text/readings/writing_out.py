"""Writes out, for the model, what it would misread: `normalize: on`."""

import re
from collections.abc import Collection, Sequence

from maya_batch.text.passage import Passage, Replacement, TextProblem
from maya_batch.text.readings.dates import MONTHS
from maya_batch.text.readings.grammar import find_written
from maya_batch.text.readings.written import Written
from maya_batch.text.rewriting import Rewriter

_NAMES = re.compile(rf"\b(?:{'|'.join(MONTHS)}|fahrenheit|celsius)\b")
_SENTENCE_START = re.compile(r"[.!?…][”’\"')\]]*\s*[“‘\"'(\[]*$")
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
        replacements = []
        for written in certain:
            start, end = written.start, written.end
            said = _spoken(text, written, _opens_sentence(text, start, ends))
            space_before = " " if start in ends or text[start - 1 : start].isalnum() else ""
            space_after = " " if end not in starts and text[end : end + 1].isalnum() else ""
            replacements.append(Replacement(start, end, f"{space_before}{said}{space_after}", written.kind))
        return replacements, ()

    return write_out


def _opens_sentence(text: str, start: int, ends: Collection[int]) -> bool:
    """Whether a sentence begins at a place; the full stop of a short form, which `ends` there, ends none."""
    before = text[max(0, start - 12) : start]
    stop = start - len(before) + len(before.rstrip(" \u00a0“‘\"'(["))
    if not stop or (stop in ends and text[stop - 1] == "."):
        return not stop
    return _SENTENCE_START.search(before) is not None


def _is_replaced(written: Written) -> bool:
    return not written.ambiguous and any(len(word) > 1 for word in written.readings[0].split())


def _spoken(text: str, written: Written, at_start: bool) -> str:
    """The first reading, with the capitals and the full stop that its place asks for."""
    said = _NAMES.sub(lambda name: name[0].capitalize(), written.readings[0])
    if written.kind == "title" or at_start:
        said = said[0].upper() + said[1:]
    if text[written.end - 1] == "." and written.kind != "title" and _SENTENCE_END.match(text, written.end):
        said += "."
    return said
