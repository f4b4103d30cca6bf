"""The files that hold the whole book: an M4B, or its parts where it is too long for one."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from maya_batch.audio.adts import AacStream, read_stream
from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.m4b import divided
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import FORMATS
from maya_batch.book.chapter_fingerprint import COMMENT_PREFIX
from maya_batch.book.chunk import Chapter
from maya_batch.book.epub_file import epub_path
from maya_batch.book.layout_files import earlier_folders
from maya_batch.book.sample_file import sample_path
from maya_batch.book.state import BookState
from maya_batch.book.track_tags import track_tags
from maya_batch.files.file_names import file_name

_VERSION = 1
"""Raised when the same chapters and tags make another file."""


@dataclass(frozen=True)
class BookFile:
    """One M4B."""

    path: Path
    chapters: tuple[Chapter, ...]
    streams: tuple[AacStream, ...]
    tags: TrackTags

    @property
    def current(self) -> bool:
        """Whether the file exists and is made of these chapters and tags."""
        return read_comment(self.path) == self.tags.comment

    @property
    def seconds(self) -> float:
        """Its length."""
        return sum(stream.seconds for stream in self.streams)


def has_book_file(state: BookState) -> bool:
    """Whether the book has a format with one file for all chapters."""
    return any(FORMATS[format_.type].of_book for format_ in state.plan.book.output.audio)


def book_files(state: BookState, partial: bool = False) -> list[BookFile]:
    """The M4B of the book, or its parts; none while a chapter has no stream, unless `partial` takes those that have.

    Raises:
        MachineError: a stream cannot be read.
    """
    if not has_book_file(state):
        return []
    ready = [chapter for chapter in state.plan.chapters if state.current(chapter)]
    whole = len(ready) == len(state.plan.chapters)
    if not ready or not (whole or partial):
        return []
    streams = [_stream(state, chapter) for chapter in ready]
    parts = list(divided(streams))
    files = []
    for number, (first, last) in enumerate(parts, 1):
        note = "" if whole else f"partial: {len(ready)} of {len(state.plan.chapters)} chapters"
        if len(parts) > 1:
            note = f"{note}, part {number} of {len(parts)}" if note else f"part {number} of {len(parts)}"
        path = book_path(state, note)
        files.append(_book_file(state, path, ready[first:last], streams[first:last], note, number, len(parts)))
    return files


def book_path(state: BookState, note: str = "") -> Path:
    """The name of an M4B: the title of the book, and which part it is."""
    name = file_name(state.plan.book.title, "book")
    return state.output.audio_folder / (f"{name} ({note.replace(':', '')}).m4b" if note else f"{name}.m4b")


def book_file_states(state: BookState) -> dict[Path, str]:
    """The M4B of the book, or its parts: `current`, `outdated`, `missing`, or `waiting` for chapters; {} without one.

    Raises:
        MachineError: a stream cannot be read.
    """
    if not has_book_file(state):
        return {}
    files = book_files(state)
    if not files:
        return {book_path(state): "waiting"}
    return {
        file.path: "current" if file.current else "outdated" if file.path.is_file() else "missing" for file in files
    }


def stale_files(state: BookState) -> list[Path]:
    """The audio files of this program in the folder that the book as it is now does not have.

    Raises:
        MachineError: a stream cannot be read.
    """
    now = [file.path for file in book_files(state)]
    keep = [] if state.plan.book.sample is None else [sample_path(state)]
    keep += [epub_path(state)] if state.plan.book.output.has("epub3") else []
    # While chapters are missing, it is not known which parts the book will have.
    unknown = has_book_file(state) and not now
    stale = [path for path in state.output.stale_files(earlier_folders(state)) if path not in keep]
    return [path for path in stale if path.suffix != ".m4b" or not (unknown or path in now)]


def _stream(state: BookState, chapter: Chapter) -> AacStream:
    [path] = [target.path for target in state.output.targets(chapter) if FORMATS[target.type].of_book]
    return read_stream(path)


def _book_file(
    state: BookState,
    path: Path,
    chapters: Sequence[Chapter],
    streams: Sequence[AacStream],
    note: str,
    part: int,
    parts: int,
) -> BookFile:
    title = state.plan.book.title
    tags = replace(
        track_tags(state.plan.manuscript, chapters[0], ""),
        title=f"{title} ({note})" if note else title,
        track=part,
        tracks=parts,
    )
    cover = state.plan.manuscript.cover
    made_of = {
        "version": _VERSION,
        "streams": [read_comment(stream.path) for stream in streams],
        "titles": [chapter.title for chapter in chapters],
        "tags": asdict(replace(tags, cover=None)),
        "cover": None if cover is None else cover.digest,
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]
    return BookFile(path, tuple(chapters), tuple(streams), replace(tags, comment=COMMENT_PREFIX + digest))
