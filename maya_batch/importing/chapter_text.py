r"""Writes a chapter as the source text that `text.parser` reads, with each paragraph's place in the manuscript.

Paragraphs are separated by blank lines, verse and the rows of tables keep their lines, a scene break is `* * *`, and
markup is escaped. A chapter that is skipped is written whole, with its notes and tables, to be read by people.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from maya_batch.importing.blocks import Block, Place
from maya_batch.importing.chapters import Chapter
from maya_batch.importing.reading_rules import Extra, Reading, is_scene_break
from maya_batch.manifest.source_text import CONTROL
from maya_batch.text.escaping import escaped

SCENE_BREAK = "* * *"
_BREAKS = re.compile("[\r\x85\u2028\u2029\x0b\x0c]")
_SPACE = re.compile(r"[^\S\n]+")
#: A line of them looks blank, and would divide the paragraph.
_INVISIBLE = re.compile("[\\s\u00ad\u200b-\u200d\u2060\ufeff]*")
_ALL = Reading(frozenset(get_args(Extra)), "rows")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of a chapter file."""

    text: str
    """As it stands in the file."""
    place: Place
    kind: str


def paragraphs(chapter: Chapter, reading: Reading) -> list[Paragraph]:
    """The paragraphs of the chapter's file, scene breaks included."""
    rules = _ALL if chapter.skip else reading
    made: list[Paragraph] = []
    breaks: list[Paragraph] = []
    for block in chapter.blocks:
        if is_scene_break(block):
            breaks = [Paragraph(SCENE_BREAK, block.place, "scene_break")] if made else []
        elif rules.reason(block) in ("", "transcriber's note" if chapter.skip else ""):
            made += [*breaks, Paragraph(source(block), block.place, block.kind)]
            breaks = []
    return made


def file_text(made: Sequence[Paragraph]) -> str:
    """The chapter file: a blank line between paragraphs, a line feed at the end."""
    return "\n\n".join(paragraph.text for paragraph in made) + "\n"


def source(block: Block) -> str:
    """The text of a block as the parser takes it, without blank lines and control characters."""
    separators = ", " if block.kind == "table" else " "
    lines = CONTROL.sub("", _BREAKS.sub("\n", block.text)).replace("\t", separators).split("\n")
    kept = [line for line in (_SPACE.sub(" ", line).strip() for line in lines) if not _INVISIBLE.fullmatch(line)]
    return escaped("\n".join(_with_words(kept)))


def _with_words(lines: Sequence[str]) -> list[str]:
    """The lines, each of signs alone joined to the line before it, or the first to the one after: by itself it would be
    a scene break.
    """
    joined: list[str] = []
    for line in lines:
        if joined and not (_has_word(line) and _has_word(joined[-1])):
            joined[-1] = f"{joined[-1]} {line}"
        else:
            joined.append(line)
    return joined


def _has_word(line: str) -> bool:
    return any(character.isalnum() for character in line)
