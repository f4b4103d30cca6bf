"""The key `credits` of book.yaml: what is spoken before the first chapter and after the last one."""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from maya_batch.manifest.one_line import wrong
from maya_batch.messages.quoting import quoted
from maya_batch.messages.suggestions import closest
from maya_batch.text.escaping import escaped

FIELDS = ("title", "subtitle", "author", "narrator", "publisher", "series", "date", "isbn")
"""What credits may name in braces: keys of the book; of a series, its name."""

#: What `credits: true` says. ACX asks that opening credits name title, author and narrator, and recommends that closing
#: credits repeat them and end with "The End" ("ACX audio submission requirements"); other stores ask for both files.
_OPENING = "{title}. Written by {author}. Narrated by {narrator}."
_CLOSING = "You have been listening to {title}, written by {author}, narrated by {narrator}. The End."

_PIECE = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")
_ENDED = re.compile(r"[.!?…][\"'”’»)\]]*$")

_Text = Annotated[str, StringConstraints(strip_whitespace=True)]


class Credits(BaseModel):
    """Texts with markup and with fields of the book in braces; in YAML `true` for the usual ones, or a mapping."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opening: _Text | None = None
    closing: _Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, data: object) -> object:
        if data is True:
            return {"opening": _OPENING, "closing": _CLOSING}
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        for key, text in (("opening", self.opening), ("closing", self.closing)):
            if text == "":
                raise wrong("is empty", "write a text or remove the key", key)
        if self.opening is None and self.closing is None:
            raise wrong("the credits have neither `opening` nor `closing`", "add one of them")
        return self


def flag_or_credits(value: object) -> object:
    """`true` and `false` as they are meant; `false` is absent."""
    if isinstance(value, str) and value.strip().lower() in ("true", "yes", "on"):
        return True
    if value is False or (isinstance(value, str) and value.strip().lower() in ("false", "no", "off")):
        return None
    return value


@dataclass(frozen=True)
class Filled:
    """A text whose fields are filled in."""

    text: str
    wrong: tuple[tuple[int, str, str], ...]
    """For each mistake its offset in the template, what is wrong, and how to correct it."""
    _starts: tuple[tuple[int, int, bool], ...]
    """Where each piece begins: in the text, in the template, and whether it is a field."""

    def source(self, offset: int) -> int:
        """The offset in the template that an offset in the text comes from; in a field, that of its brace."""
        at, begun, is_field = self._starts[bisect_right(self._starts, (offset, 1 << 62)) - 1]
        return begun if is_field else begun + offset - at


def filled(template: str, fields: Mapping[str, str]) -> Filled:
    """A template with its fields filled in; `{{` and `}}` are braces.

    A full stop after a field that ends a sentence by itself is left out.
    """
    parts: list[str] = []
    starts: list[tuple[int, int, bool]] = []
    mistakes: list[tuple[int, str, str]] = []
    length = at = 0

    def add(part: str, begun: int, is_field: bool = False) -> None:
        nonlocal length
        starts.append((length, begun, is_field))
        parts.append(part)
        length += len(part)

    for found in _PIECE.finditer(template):
        add(template[at : found.start()], at)
        at = found.end()
        name = found["name"]
        if name is None:
            if len(found[0]) == 1:
                mistakes.append((found.start(), f"a single {found[0]}", f"for the sign itself, write {found[0] * 2}"))
            add(found[0][0], found.start(), True)
            continue
        value = fields.get(name.strip(), "")
        if not value:
            mistakes.append((found.start(), *_no_field(name.strip())))
        add(escaped(value), found.start(), True)
        if _ENDED.search(value) and template[at : at + 1] == ".":
            at += 1
    add(template[at:], at)
    return Filled("".join(parts), tuple(mistakes), tuple(starts))


def _no_field(name: str) -> tuple[str, str]:
    if name in FIELDS:
        return f"the book has no `{name}`", f"add `{name}:` to the book, or remove {{{name}}} here"
    close = closest(name[:60], FIELDS)
    mean = f"did you mean {{{close}}}? " if close else ""
    return f"unknown field {quoted(name)} in braces", f"{mean}fields: {', '.join(FIELDS)}"
