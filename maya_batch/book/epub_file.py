"""The EPUB of a book that speaks: its name, and whether it is made of what the book is now."""

import hashlib
import json
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.writers import EPUB
from maya_batch.book.chapter_fingerprint import COMMENT_PREFIX
from maya_batch.book.chunk import Chapter
from maya_batch.book.cues import chapter_cues
from maya_batch.book.source_epub import source_epub
from maya_batch.book.state import BookState
from maya_batch.files.file_names import file_name

_VERSION = 1
"""Raised when the same book makes another file."""


def epub_path(state: BookState) -> Path:
    """The EPUB, named after the book."""
    return state.output.audio_folder / f"{file_name(state.plan.book.title, 'book')}.{EPUB}"


def epub_fingerprint(state: BookState) -> str | None:
    """The comment that the EPUB has if it is current; None while the file of a chapter is not."""
    if not all(state.current(chapter) for chapter in state.plan.chapters):
        return None
    manuscript, cover = state.plan.manuscript, state.plan.manuscript.cover
    source = source_epub(manuscript)
    targets = [state.output.epub_target(chapter) for chapter in state.plan.chapters]
    made_of = {
        "version": _VERSION,
        "audio": [None if target is None else read_comment(target.path) for target in targets],
        "cues": [_times(state, chapter) for chapter in state.plan.chapters],
        "texts": [[text.title, text.part, text.subtitle, text.text] for text in manuscript.chapters],
        "skipped": [[each.title, each.part, manuscript.skipped_texts[each.number]] for each in manuscript.skipped],
        "book": manuscript.book.model_dump(mode="json", exclude={"render", "voices", "output", "chapters"}),
        "cover": None if cover is None else cover.digest,
        "source": None if source is None or source.path is None else source.digest,
        "id": None if state.book_id is None else state.book_id.id,
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()
    return COMMENT_PREFIX + digest[:32]


def epub_states(state: BookState) -> dict[Path, str]:
    """The EPUB: `current`, `outdated`, `missing`, or `waiting` for chapters; {} where none is asked for."""
    if not state.plan.book.output.has("epub3"):
        return {}
    path, fingerprint = epub_path(state), epub_fingerprint(state)
    if fingerprint is None:
        return {path: "waiting"}
    return {path: "current" if read_comment(path) == fingerprint else "outdated" if path.is_file() else "missing"}


def _times(state: BookState, chapter: Chapter) -> list[object]:
    return [[cue.start, cue.end, cue.text, cue.span] for cue in chapter_cues(state, chapter)]
