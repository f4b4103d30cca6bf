"""Marks inside lines: `_emphasis_`, `**strong**`, code in backticks, and the marks of notes."""

import re
from dataclasses import dataclass

from maya_batch.text.lines import is_as_written
from maya_batch.text.mark_reports import MarkReport, Marks
from maya_batch.text.note_marks import note_marks
from maya_batch.text.passage import Passage, Replacement, TextProblem
from maya_batch.text.rewriting import Rewriter

_ANY = re.compile(r"[*_`~\[†‡§¶¹²³⁰⁴-⁹]")
_RUN = re.compile(r"\*+|_+|`+|~{2}(?!~)(?<!~~~)")
_BEFORE = frozenset("\"'“‘«‹„([{—–-…¡¿>*_`~,.;:!?")
_AFTER = frozenset(".,;:!?…\"'”’»›)]}—–-*_`~<†‡¹²³⁰⁴⁵⁶⁷⁸⁹[")
_FACTOR = re.compile(r"\d|\b[A-Za-z]$|[)(]")
_PAIRED = {"*": ("emphasis", "strong"), "_": ("emphasis", "strong"), "`": ("code", "code"), "~": ("", "strikethrough")}
_BLANK = 3
"""Underscores that are a blank to fill in, if they pair with nothing."""
_NOTE = 2
"""Asterisks of a note, at most."""


@dataclass(frozen=True)
class _Run:
    """A run of one mark in a text, and on which sides it can stand."""

    start: int
    end: int
    sign: str
    opens: bool
    closes: bool


def inline_marks(source: str, marks: Marks) -> Rewriter:
    """The rule for the marks inside the lines of a chapter with this source.

    Marks inside words and between numbers are text: `snake_case`, `f**k`, `2*3*4`, `5 * 3`. One that pairs with no
    other is a mark all the same: an asterisk of a note, underscores to fill in, or a stray mark.
    """

    def strip(passage: Passage) -> tuple[list[Replacement], list[TextProblem]]:
        text = passage.text
        if _ANY.search(text) is None:
            return [], []
        report = MarkReport(passage, marks)
        taken: set[int] = set()
        for start, end in note_marks(text):
            if is_as_written(passage, source, end - 1) and _is_raw_bracket(passage, source, start, end):
                report.found(start, end, "note mark")
                taken.update(range(start, end))
        runs = [
            run
            for found in _RUN.finditer(text)
            if found.start() not in taken and is_as_written(passage, source, found.start())
            for run in [_run(text, found)]
        ]
        _report_runs(report, runs)
        return report.result()

    return strip


def _is_raw_bracket(passage: Passage, source: str, start: int, end: int) -> bool:
    at = start + len(passage.text[start:end]) - len(passage.text[start:end].lstrip())
    return is_as_written(passage, source, at)


def _run(text: str, found: re.Match[str]) -> _Run:
    start, end = found.span()
    before, after = text[start - 1 : start] or " ", text[end : end + 1] or " "
    opens = not after.isspace() and (before.isspace() or before in _BEFORE)
    closes = not before.isspace() and (after.isspace() or after in _AFTER)
    return _Run(start, end, found.group(), opens, closes)


def _report_runs(report: MarkReport, runs: list[_Run]) -> None:
    """Report the pairs, then what is left over."""
    waiting: dict[str, list[_Run]] = {}
    alone: list[_Run] = []
    parts = _parts_of_words(report.passage.text, runs)
    for run in runs:
        if run in parts:
            report.found(run.start, run.end, _PAIRED[run.sign[0]][len(run.sign) > 1], is_told=parts[run])
            continue
        openers = waiting.setdefault(run.sign, [])
        if run.closes and openers:
            opener = openers.pop()
            rule = _PAIRED[run.sign[0]][len(run.sign) > 1]
            report.found(opener.start, opener.end, rule)
            report.found(run.start, run.end, rule, is_told=False)
        elif run.opens:
            openers.append(run)
        else:
            alone.append(run)
    alone += [run for openers in waiting.values() for run in openers]
    has_quotes = any(run.sign == "``" for run in alone)
    for run in sorted(alone, key=lambda run: run.start):
        _report_alone(report, run)
    if has_quotes:  # ``as TeX writes it''
        for found in re.finditer("''", report.passage.text):
            report.changed(*found.span(), "”", "quotation mark")


def _parts_of_words(text: str, runs: list[_Run]) -> dict[_Run, bool]:
    """The pairs of which one is inside a word and the other at its edge: `_news_paper`; true for the first of each."""
    words: list[list[_Run]] = []
    for run in runs:
        if words and text[words[-1][-1].end : run.start].isalnum():
            words[-1].append(run)
        else:
            words.append([run])
    parts: dict[_Run, bool] = {}
    for word in words:
        first, last = word[0], word[-1]
        if len(word) == 2 and first.sign == last.sign and first.sign[0] in "*_":
            inside = [not (run.opens or run.closes) for run in word]
            if (first.opens and inside[1]) or (last.closes and inside[0]):
                parts |= {first: True, last: False}
    return parts


def _report_alone(report: MarkReport, run: _Run) -> None:
    text, length = report.passage.text, len(run.sign)
    before, after = text[run.start - 1 : run.start] or " ", text[run.end : run.end + 1] or " "
    if run.sign[0] == "~":
        return
    if run.sign[0] == "`":
        quote = {1: "‘", 2: "“"}.get(length) if run.opens else None
        if quote:
            report.changed(run.start, run.end, quote, "quotation mark")
        else:
            report.found(run.start, run.end, "stray mark")
    elif run.sign[0] == "_" and length >= _BLANK:
        is_attached = before.isalnum() or after.isalnum()
        report.found(run.start, run.end, "blank", "" if is_attached else "blank")
    elif run.opens or run.closes:
        if run.sign[0] == "*" and run.closes and length > _NOTE and before.isalpha():
            return  # a word of which letters are left out: "s***"
        is_note = run.sign[0] == "*" and length <= _NOTE and (run.closes or run.start == 0)
        report.found(run.start, run.end, "note mark" if is_note else "stray mark")
    elif before.isspace() and after.isspace() and not _is_product(text, run):
        report.found(run.start, run.end, "stray mark")


def _is_product(text: str, run: _Run) -> bool:
    """Whether it is the sign between two factors: `5 * 3`, `a * (b + c)`."""
    left, right = text[max(0, run.start - 3) : run.start].rstrip(), text[run.end : run.end + 3].lstrip()
    if run.sign != "*" or not left or not right:
        return False
    single = len(right) == 1 or not right[1].isalpha()
    return _FACTOR.search(left[-2:]) is not None and (right[0].isdigit() or right[0] == "(" or single)
