"""Which blocks inside a chapter are read aloud: one table, by the kind of a block."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from maya_batch.importing.blocks import Block
from maya_batch.importing.matter import TRANSCRIBER, is_transcribers_note
from maya_batch.text.escaping import escaped
from maya_batch.text.note_marks import note_marks
from maya_batch.text.paragraphs import is_letter_ornament

Extra = Literal[
    "notes", "note-marks", "page-numbers", "line-numbers", "figures", "sidebars", "formulas", "code", "ruby", "hidden"
]
"""What is read aloud only on request. Figures are their captions, else their alternative texts."""
Tables = Literal["skip", "rows"]
"""Leave tables out, or read them row by row."""

#: By the kind of a block: the name under which its characters are counted when it is not read, and what to ask for.
_RULES: Mapping[str, tuple[str, Extra | Tables]] = {
    "note": ("note", "notes"),
    "figure": ("figure", "figures"),
    "sidebar": ("sidebar", "sidebars"),
    "formula": ("formula", "formulas"),
    "code": ("code", "code"),
    "table": ("table", "rows"),
    "page_break": ("page number", "page-numbers"),
}
#: What is left out inside a block, by the name under which it is counted: the readers of manuscripts leave it out.
_INSIDE: Mapping[str, Extra] = {
    "note mark": "note-marks",
    "page number": "page-numbers",
    "line number": "line-numbers",
    "alternative text": "figures",
    "formula": "formulas",
    "ruby": "ruby",
    "hidden": "hidden",
}
_WORD = re.compile(r"[^\W_⁰¹²³⁴-⁹]")
_ORNAMENT = re.compile(r"[\s*\-–—_#~•·⁂.❦❧☙✦✻❖◆◇○●∗†+=]{1,40}")


@dataclass(frozen=True)
class Reading:
    """What is read aloud besides headings, paragraphs, verse, lists and quotations."""

    extras: frozenset[Extra] = frozenset()
    tables: Tables = "skip"

    def reason(self, block: Block) -> str:
        """Why a block is not read aloud; "" if it is. A scene break is a pause, not a text."""
        if is_scene_break(block):
            return "scene break"
        if block.kind in _RULES:
            name, asked = _RULES[block.kind]
            if (asked not in self.extras and asked != self.tables) or asked == "skip":
                return name
        if not _has_words(block.text):
            return "no words"
        return TRANSCRIBER if is_transcribers_note(block.text) else ""

    def options(self) -> str:
        """The options of `import` that ask for it, "" without one."""
        tables = [f"--tables {self.tables}"] if self.tables != "skip" else []
        return " ".join([*tables, *([f"--read {','.join(sorted(self.extras))}"] if self.extras else [])])

    def keep(self) -> frozenset[str]:
        """What the reader of a manuscript leaves in the text, as `xhtml_blocks.read_blocks` takes it."""
        return frozenset(name for name, asked in _INSIDE.items() if asked in self.extras)


def extras(names: Collection[str]) -> frozenset[Extra]:
    """The extras of these names.

    Raises:
        ValueError: a name that is none of them; the message is the name.
    """
    known = get_args(Extra)
    for name in names:
        if name not in known:
            raise ValueError(name)
    return frozenset(name for name in known if name in names)


def _has_words(text: str) -> bool:
    """Whether the text rules leave something to speak: not of an ornament, and not of raised numbers alone."""
    if is_letter_ornament(escaped(text)):
        return False
    if _WORD.search(text):
        return True
    marked = {at for start, end in note_marks(text) for at in range(start, end)}
    return any(sign.isalnum() for at, sign in enumerate(text) if at not in marked)


def is_scene_break(block: Block) -> bool:
    """Whether it is a scene break, by its kind or because it is a line of stars or an ornament, like “oOo”."""
    if block.kind == "scene_break":
        return True
    if block.kind not in ("paragraph", "verse", "quote"):
        return False
    if is_letter_ornament(escaped(block.text)):
        return True
    if not _ORNAMENT.fullmatch(block.text):
        return False
    text = "".join(block.text.split())
    return len(text) > 2 or not set(text) <= set(".-–—_")
