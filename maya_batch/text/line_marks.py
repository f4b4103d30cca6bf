"""Marks at the beginnings and ends of lines: headings, quotations, lists, tables; and the pauses at line ends."""

import re
from functools import cache

from maya_batch.text.lines import Line, is_as_written, lines_of
from maya_batch.text.mark_reports import MarkReport, Marks
from maya_batch.text.passage import Passage, Replacement, TextProblem
from maya_batch.text.rewriting import Rewriter
from maya_batch.text.verse import MUCH_EARLIER, bullet_length, is_verse, list_items, wrap_width

LINE_END = "line end"
"""The rule of what is added for a short pause at a line's end."""

_HEADING = re.compile(r"(?:#{2,6}|#(?!\s*\d))\s+(?=[^\s#])")
_HEADING_END = re.compile(r"\s+#{1,6}$")
_QUOTATION = re.compile(r">(?!\d)(?:\s*>)*\s*")
_FENCE = re.compile(r"```+\s*\w{0,20}")
_TABLE_RULE = re.compile(r"[-+|:=\s]*\|[-+|:=\s]*|\+[-+=\s]+|[-=]{2,}(?:\s+[-=]{2,})+")
_PIPES = re.compile(r"\s*(?:\|\s*)+")
_LINE_START = re.compile(r"\s*(?:\[[^\]\n]*\]\s*)*")
_PAUSED = frozenset(".,;:!?…‽。！？、，；：—–-‐‑―⸺")
_AFTER_PAUSE = "\"'”’»›)]}*_`†‡¹²³⁰⁴⁵⁶⁷⁸⁹ "
"""What may follow the punctuation at a line's end."""
# Markup, entities and escapes, or a mark, a bullet or a number at a line's start.
_MAYBE_MARKED = re.compile(
    r"[\\&|\[<]|^\s*(?:[^\w\s\"'“‘(—…]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)]\s)|```", re.MULTILINE
)
_CAPITAL_LINE = re.compile(r"\n[\W_]*+[^\W\d_a-z]")
_GLANCE = 300
"""Characters before a passage that are examined for the beginning of its line."""


def line_marks(source: str, marks: Marks) -> Rewriter:
    """The rule for the marks at line ends of a chapter with this source.

    Verse, items of lists and rows of tables without punctuation at a line's end get a comma or a full stop there, as a
    short pause; the line ends of prose are spaces.
    """

    @cache
    def width() -> int:
        return wrap_width(source)

    def strip(passage: Passage) -> tuple[list[Replacement], list[TextProblem]]:
        if _is_wrapped_prose(source[passage.start : passage.end], width()):
            return [], []
        lines = lines_of(passage, source)
        report = MarkReport(passage, marks)
        if not lines:
            return [], []
        has_start = _begins_line(passage, source)
        pipes = _pipes(passage, source)
        texts = [line.text for line in lines]
        in_fences = False
        if has_start:
            _strip_heading(report, lines[0], source)
        quoted = has_start and _QUOTATION.match(texts[0]) is not None and is_as_written(passage, source, lines[0].start)
        contents = [text[_quote_length(text) :] if quoted else text for text in texts]
        items = set(list_items(contents)) if len(lines) > 1 or has_start else set()
        is_table = len({number for number, line in enumerate(lines) if _inside(pipes, line)}) > 1
        for number, line in enumerate(lines):
            if number == 0 and not has_start:
                continue
            if _FENCE.fullmatch(contents[number]):
                report.found(line.start, line.end, "code", is_told=not in_fences)
                in_fences = not in_fences
                continue
            if is_table and _TABLE_RULE.fullmatch(line.text):
                report.found(line.start, line.end, "table")
                continue
            at = line.start + len(line.text) - len(contents[number])
            if at > line.start:
                report.found(line.start, at, "quotation")
            bullet = bullet_length(contents[number], len(items) > 1) if number in items else 0
            if bullet and is_as_written(passage, source, at):
                report.found(at, at + bullet, "bullet")
        _strip_pipes(report, lines, pipes, is_table)
        if is_table:
            rows = [line for line in lines if not _TABLE_RULE.fullmatch(line.text)]
            _pause_after(report, rows[:-1], ".", LINE_END)
        elif len(items) > 1:
            _pause_after(report, [lines[number - 1] for number in items if number], ".", LINE_END)
        elif not in_fences and is_verse([_line_before(passage, source) + contents[0], *contents[1:]], width()):
            _pause_after(report, lines[:-1], ",", LINE_END)
        for line in lines[:-1]:
            if line.text.endswith("\\") and not line.text.endswith("\\\\"):
                report.found(line.end - 1, line.end, "line break")
        return report.result()

    return strip


def _is_wrapped_prose(written: str, width: int) -> bool:
    """Whether the source of a passage has certainly no marks at its line ends and is no verse, as most have.

    A look that is quick: verse has a capital at the start of most lines, or ends all of them early.
    """
    if _MAYBE_MARKED.search(written):
        return False
    *lines, _last = written.strip().split("\n")
    capitals = sum(1 for _ in _CAPITAL_LINE.finditer(written))
    return not lines or (capitals * 2 < len(lines) and max(map(len, lines)) > width * MUCH_EARLIER)


def _begins_line(passage: Passage, source: str) -> bool:
    """Whether a passage begins at a line's start, but for the name of its voice and pauses."""
    offset = passage.source_offset(0)
    start = source.rfind("\n", max(0, offset - _GLANCE), offset) + 1
    return _LINE_START.fullmatch(source, start, offset) is not None


def _line_before(passage: Passage, source: str) -> str:
    """What the line that a passage begins in has before it, said by another voice."""
    offset = passage.source_offset(0)
    least = max(0, offset - _GLANCE)
    before = source[max(least, source.rfind("\n", least, offset) + 1) : offset]
    return "" if _LINE_START.fullmatch(before) else before


def _strip_heading(report: MarkReport, line: Line, source: str) -> None:
    found = _HEADING.match(line.text)
    if found and is_as_written(report.passage, source, line.start):
        report.found(line.start, line.start + found.end(), "heading")
        end = _HEADING_END.search(line.text)
        if end:
            report.found(line.start + end.start(), line.end, "heading", is_told=False)


def _quote_length(line: str) -> int:
    found = _QUOTATION.match(line)
    return found.end() if found else 0


def _pipes(passage: Passage, source: str) -> list[tuple[int, int]]:
    """The runs of pipes with the spaces around them, but for escaped ones."""
    if "|" not in passage.text:
        return []
    found = _PIPES.finditer(passage.text)
    return [m.span() for m in found if is_as_written(passage, source, m.start() + m.group().index("|"))]


def _inside(pipes: list[tuple[int, int]], line: Line) -> bool:
    return "|" in line.text and bool(pipes)


def _strip_pipes(report: MarkReport, lines: list[Line], pipes: list[tuple[int, int]], is_table: bool) -> None:
    """Replace the pipes between the cells of a line by commas, and those at its edges by nothing."""
    at = 0
    for line in lines:
        if is_table and _TABLE_RULE.fullmatch(line.text):
            continue
        while at < len(pipes) and pipes[at][1] <= line.start:
            at += 1
        number = at
        while number < len(pipes) and pipes[number][0] < line.end:
            start, end = max(pipes[number][0], line.start), min(pipes[number][1], line.end)
            if start == line.start or end == line.end:
                report.found(start, end, "table")
            else:
                before = report.passage.text[start - 1]
                report.found(start, end, "table", " " if before in _PAUSED else ", ")
            number += 1


def _pause_after(report: MarkReport, lines: list[Line], mark: str, rule: str) -> None:
    for line in lines:
        text = line.text.rstrip("|" + _AFTER_PAUSE).rstrip("\\")
        if text and text[-1] not in _PAUSED:
            end = line.start + len(line.text.rstrip("| \\"))
            report.changed(end, end, mark, rule)
