"""Reads CSV (RFC 4180) with the place of each field, which Python's `csv` does not tell."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Possessive: a quote that is not closed is found in linear time.
_QUOTED = re.compile(r'[ \t]*+"((?:[^"]|"")*+)"[ \t]*+')
_PLAIN = re.compile(r"[^,\n]*+")
_OPENING = re.compile(r'[ \t]*+"')


@dataclass(frozen=True)
class CsvField:
    """A field, without its quotes and the blanks around it, and the offset in the text where it starts."""

    text: str
    offset: int


class CsvError(Exception):
    """A text is not valid CSV."""

    def __init__(self, offset: int, what: str, mend: str) -> None:
        super().__init__(what)
        self.offset, self.what, self.mend = offset, what, mend


def csv_rows(text: str) -> Iterator[list[CsvField]]:
    """Yield the rows of a text whose lines end with a newline character.

    Blank lines are left out, and rows of empty fields, as which a spreadsheet writes them.

    Raises:
        CsvError: a quote is not closed, or something follows it.
    """
    at = 0
    while at < len(text):
        row: list[CsvField] = []
        while True:
            field, at = _field(text, at)
            row.append(field)
            if text[at : at + 1] != ",":
                break
            at += 1
        at += 1  # the newline
        if any(field.text for field in row):
            yield row


def _field(text: str, at: int) -> tuple[CsvField, int]:
    """The field that starts at an offset, and where it ends."""
    opening = _OPENING.match(text, at)
    if opening is None:
        found = _PLAIN.match(text, at)
        raw = found.group() if found else ""
        return CsvField(raw.strip(), at + len(raw) - len(raw.lstrip())), at + len(raw)
    quote = opening.end() - 1
    found = _QUOTED.match(text, at)
    if found is None:
        raise CsvError(quote, "this quote is not closed", 'write "" for a quote inside of a quoted field')
    end = found.end()
    if text[end : end + 1] not in ("", ",", "\n"):
        raise CsvError(end, "a comma or the end of the line must follow the closing quote", "")
    return CsvField(found[1].replace('""', '"').strip(), quote), end
