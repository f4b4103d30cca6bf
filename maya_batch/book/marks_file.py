"""Reads the marks that a person set while listening, from the CSV file that listen.html exports."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maya_batch.errors import Finding, UsageError, listed_lines
from maya_batch.manifest.csv_places import CsvError, CsvField, csv_rows
from maya_batch.manifest.source_text import Lines, UnreadableError, decode, read_bytes
from maya_batch.messages.quoting import quoted

LARGEST_FILE = 1_000_000
"""The largest file, in bytes: 5,000 marks, each with a note of two lines."""
LONGEST_NOTE = 2_000
"""The longest note, in characters: a message shows it whole."""
COLUMNS = ("ref", "action", "note")
"""The columns of the file; the last one may be left out."""

_KEEP = re.compile(r"keep +([1-9][0-9]{0,8})", re.ASCII)
_ACTIONS = "write `again`, `keep` with the number of a take, or `note`"

Action = Literal["again", "keep", "note"]


@dataclass(frozen=True)
class Mark:
    """What is to be done with a chunk."""

    ref: str
    """The chunk, as `redo` takes it: `3:17@a1b2`."""
    action: Action
    """`again`: make a new take; `keep`: use the take `attempt`; `note`: nothing."""
    attempt: int | None
    """None but for `keep`."""
    note: str
    """Empty without one."""
    place: tuple[str, int, int]
    """File as shown, line and column, from 1."""

    @property
    def written(self) -> str:
        """The action as it stands in the file."""
        return self.action if self.attempt is None else f"{self.action} {self.attempt}"

    def finding(self, what: str, mend: str = "") -> Finding:
        """A mistake at the place of this mark."""
        return Finding(*self.place, what, mend)


def read_marks(path: Path) -> list[Mark]:
    """The marks in a file, in its order.

    Raises:
        UsageError: the file cannot be read, is not UTF-8 or no CSV, or a row is no mark; each with file:line:column.
    """
    file = str(path)
    try:
        raw = read_bytes(path, LARGEST_FILE)
    except UnreadableError as error:
        raise UsageError(f"--from {file} {error}") from error
    text, findings = decode(raw, file)
    marks: list[Mark] = []
    for row in _rows(text.replace("\r\n", "\n").replace("\r", "\n"), file) if not findings else ():
        if isinstance(row, Mark):
            marks.append(row)
        else:
            findings.append(row)
    if findings:
        raise UsageError(*listed_lines(findings))
    return marks


def _rows(text: str, file: str) -> Iterator[Mark | Finding]:
    """The marks of a text, and its mistakes."""
    lines = Lines(text)

    def finding(offset: int, what: str, mend: str = "") -> Finding:
        return Finding(file, *lines.place(offset), what, mend)

    head = f"write `{','.join(COLUMNS)}` in the first line"
    try:
        rows = csv_rows(text)
        names = next(rows, None)
        if names is None:
            yield finding(0, "the file has no marks", head)
            return
        wrong = _wrong_names([name.text for name in names])
        if wrong:
            yield finding(names[0].offset, wrong, head)
            return
        for row in rows:
            if len(row) > len(names):
                what = f"the line has more fields than the first line, which names {len(names)}"
                yield finding(row[len(names)].offset, what, "put quotes around a note that contains a comma")
                continue
            fields = {name.text: field for name, field in zip(names, row, strict=False)}
            place = lines.place(row[0].offset)
            yield _mark(fields, row[0], (file, *place))
    except CsvError as error:
        yield finding(error.offset, error.what, error.mend)


def _wrong_names(names: list[str]) -> str:
    """What is wrong with the names of the columns; empty if they are right."""
    unknown = next((name for name in names if name not in COLUMNS), None)
    if unknown is not None:
        return f"unknown column {quoted(unknown)}"
    missing = next((name for name in COLUMNS[:2] if name not in names), None)
    if missing is not None:
        return f"the column `{missing}` is missing"
    return "a column is repeated" if len(set(names)) < len(names) else ""


def _mark(fields: dict[str, CsvField], first: CsvField, place: tuple[str, int, int]) -> Mark | Finding:
    ref, action, note = (fields.get(name, CsvField("", first.offset)).text for name in COLUMNS)
    if not ref:
        return Finding(*place, "the line names no chunk", "write one as reports name it, like 3:17@a1b2")
    if len(note) > LONGEST_NOTE:
        return Finding(*place, f"the note has {len(note):,} characters; the limit is {LONGEST_NOTE:,}", "shorten it")
    match action.lower():
        case "again":
            return Mark(ref, "again", None, note, place)
        case "note":
            return Mark(ref, "note", None, note, place)
    keep = _KEEP.fullmatch(action.lower())
    if keep is None:
        return Finding(*place, f"{quoted(action)} is not an action", _ACTIONS)
    return Mark(ref, "keep", int(keep[1]), note, place)
