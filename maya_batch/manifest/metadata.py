"""What a manifest says about a published book: ISBN, date, description."""

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from maya_batch.manifest.one_line import Line, wrong
from maya_batch.manifest.source_text import control_offsets, control_words
from maya_batch.messages.quoting import quoted

LONGEST_DESCRIPTION = 20_000
"""The longest description of a book, in characters."""

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_ISBN_10, _ISBN_13 = re.compile(r"\d{9}[\dX]", re.ASCII), re.compile(r"97[89]\d{10}", re.ASCII)
_HYPHENS = str.maketrans("", "", "- \u2010\u2011\u2013")


def is_isbn(text: str) -> bool:
    """Whether a text is an ISBN-10 or ISBN-13 with the right check digit; hyphens and spaces do not count."""
    digits = text.translate(_HYPHENS).upper()
    # ISO 2108: weights 10 to 1 modulo 11, where X is 10; and weights 1 and 3 modulo 10.
    if _ISBN_10.fullmatch(digits):
        return sum((10 - place) * "0123456789X".index(digit) for place, digit in enumerate(digits)) % 11 == 0
    if _ISBN_13.fullmatch(digits):
        return sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(digits)) % 10 == 0
    return False


def is_date(text: str) -> bool:
    """Whether a text is a year, a month (`1895-05`) or a day (`1895-05-07`) of the calendar."""
    parts = _DATE.fullmatch(text)
    if parts is None:
        return False
    try:
        date(*(int(part or 1) for part in parts.groups()))
    except ValueError:
        return False
    return True


def _isbn(text: str) -> str:
    if not is_isbn(text):
        what = f"{quoted(text)} is not an ISBN"
        raise wrong(what, "write its 10 or 13 digits; the last one is a check digit, which finds typing mistakes")
    return text.translate(_HYPHENS).upper()


def _date(text: str) -> str:
    if not is_date(text):
        raise wrong(f"{quoted(text)} is not a date", "write a year, a month or a day: 1895, 1895-05 or 1895-05-07")
    return text


def _description(text: str) -> str:
    if not text:
        raise wrong("is empty")
    if len(text) > LONGEST_DESCRIPTION:
        raise wrong(f"has {len(text)} characters; the limit is {LONGEST_DESCRIPTION}")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for offset in control_offsets(text):
        what, mend = control_words(text[offset])
        raise wrong(f"contains text that is not valid: {what}", mend)
    return text


Isbn = Annotated[Line, AfterValidator(_isbn)]
"""Without hyphens."""
PublicationDate = Annotated[Line, AfterValidator(_date)]
About = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_description)]
"""A text of several lines."""
