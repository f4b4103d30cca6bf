"""The spoken title of a chapter: what is said before its text, where the book asks for it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from maya_batch.manifest import ChapterText, has_words
from maya_batch.manifest.yaml_positions import DataPath
from maya_batch.text.chunking import Piece
from maya_batch.text.escaping import escaped

#: The paragraph of the pieces of a spoken title.
TITLE = -1

#: A title that ends a sentence, and what a full stop replaces at the end of others.
_ENDED = re.compile(r"[.!?…‽。！？][\"'”’»›)\]]*$")
_PAUSES = " ,;:-‐‑–—―"


def announcement(
    chapter: ChapterText, part_before: str, file: str, place: Callable[[DataPath], tuple[int, int]]
) -> ChapterText | None:
    """What is said before a chapter's text, as a text of markup; None if nothing is.

    This is the part if it is another one than `part_before`, the title and the subtitle, or what the chapter says in
    their place. Titles without a letter or digit are not spoken. `place` is that of the manifest `file`.
    """
    if chapter.announce is False:
        return None
    if isinstance(chapter.announce, str):
        text = chapter.announce
    else:
        lines = ("" if chapter.part == part_before else chapter.part, chapter.title, chapter.subtitle)
        text = " ".join(escaped(_sentence(line)) for line in lines if has_words(line))
    line, column = place(announced_key(chapter))
    return replace(chapter, text=text, place=lambda _: (file, line, column)) if text else None


def announced_key(chapter: ChapterText) -> DataPath:
    """The key of the manifest that has what is announced."""
    return ("chapters", chapter.number - 1, "announce" if isinstance(chapter.announce, str) else "title")


def before_text(title: Sequence[Piece], text: Sequence[Piece]) -> list[Piece]:
    """The pieces of an announcement and of its chapter, with a scene break between them.

    An announcement is no part of the chapter's text. A pause that the text begins with is the one after it.
    """
    placed = [replace(piece, paragraph=TITLE, start=0, end=0) for piece in title]
    if not placed or not text:
        return [*placed, *text]
    pause = text[0].pause_before or None
    last = replace(placed[-1], scene_breaks_after=1, pause_after=pause)
    return [*placed[:-1], last, replace(text[0], pause_before=0.0), *text[1:]]


def _sentence(title: str) -> str:
    return title if _ENDED.search(title) else f"{title.rstrip(_PAUSES)}."
