"""Marks of writing systems like Markdown: stripped, with the change on record, or refused with their place."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from maya_batch.text.passage import Passage, Replacement, TextProblem

Marks: TypeAlias = Literal["strip", "error"]

_MOST_PROBLEMS = 1000
"""The most problems of one passage."""
_NAMES = {
    "emphasis": "marks emphasis",
    "strong": "marks strong emphasis",
    "strikethrough": "marks deleted text",
    "code": "marks code",
    "note mark": "is the mark of a note",
    "heading": "marks a heading",
    "quotation": "marks a quotation",
    "table": "belongs to a table",
    "bullet": "marks an item of a list",
    "line break": "marks a line break",
    "stray mark": "cannot be spoken",
    "blank": "is a blank to fill in",
}
_ESCAPABLE = frozenset("*_#|~`>[")


@dataclass
class MarkReport:
    """The marks found in one passage."""

    passage: Passage
    marks: Marks
    replacements: list[Replacement] = field(default_factory=list)
    problems: list[TextProblem] = field(default_factory=list)

    def found(self, start: int, end: int, rule: str, instead: str = "", is_told: bool = True) -> None:
        """Record a mark; with `is_told` false, it is the other half of one that is told."""
        if self.marks == "strip":
            self.replacements.append(Replacement(start, end, instead, rule))
        elif is_told and len(self.problems) < _MOST_PROBLEMS:
            raw = self.passage.text[start:end]
            offset = self.passage.source_offset(start + len(raw) - len(raw.lstrip()))
            raw = raw.strip()
            escape = rf"write \{raw} if it is to be read as text, " if raw[:1] in _ESCAPABLE and len(raw) == 1 else ""
            mend = f"delete it, {escape}or set `marks: strip`"
            self.problems.append(TextProblem(offset, f"{raw} {_NAMES[rule]}", mend))

    def changed(self, start: int, end: int, text: str, rule: str) -> None:
        """Record a change that is no mark, and is made in any case."""
        self.replacements.append(Replacement(start, end, text, rule))

    def result(self) -> tuple[list[Replacement], list[TextProblem]]:
        """What the rule replaces and refuses; of two that overlap, the first is kept."""
        kept: list[Replacement] = []
        for new in sorted(self.replacements, key=lambda new: (new.start, new.end)):
            if not kept or new.start >= kept[-1].end:
                kept.append(new)
        return kept, self.problems
