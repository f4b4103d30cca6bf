"""The files of a book's subtitles: which there are, what is in them, and which of them this program wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.m4b import sound_starts
from maya_batch.book.book_files import BookFile, book_files, book_path, has_book_file
from maya_batch.book.chunk import Chapter
from maya_batch.book.cues import chapter_cues
from maya_batch.book.state import BookState
from maya_batch.book.subtitles import Subtitle, shifted, srt, subtitles, vtt
from maya_batch.book.written_files import WrittenFiles, read_written

_WRITERS = {"srt": srt, "vtt": vtt}


@dataclass(frozen=True)
class SubtitleFile:
    """Subtitles as they are now."""

    path: Path
    content: bytes

    @property
    def state(self) -> str:
        """`current` if the file has this content, else `outdated`, or `missing`."""
        there = read_written(self.path)
        return "missing" if there is None else "current" if there == self.content else "outdated"


def chapter_subtitles(state: BookState, chapter: Chapter) -> list[SubtitleFile]:
    """The subtitles of a chapter, next to each of its files; none unless these are current."""
    paths = _chapter_paths(state, chapter)
    if not paths or not state.current(chapter):
        return []
    return _files(paths, subtitles(chapter_cues(state, chapter)))


def book_subtitles(state: BookState, files: Sequence[BookFile]) -> list[SubtitleFile]:
    """The subtitles of an M4B, or its parts: on its clock, next to each."""
    found = []
    for file in files:
        shown = list[Subtitle]()
        for chapter, start in zip(file.chapters, sound_starts(file.streams), strict=True):
            shown += shifted(subtitles(chapter_cues(state, chapter)), start)
        found += _files([file.path.with_suffix(f".{suffix}") for suffix in state.output.subtitle_suffixes], shown)
    return found


def book_subtitle_states(state: BookState) -> dict[Path, str]:
    """The subtitles of the M4B, or its parts: `current`, `outdated`, `missing`, or `waiting` for chapters.

    Raises:
        MachineError: a stream cannot be read.
    """
    if not has_book_file(state):
        return {}
    files = book_files(state)
    if not files:
        return {book_path(state).with_suffix(f".{suffix}"): "waiting" for suffix in state.output.subtitle_suffixes}
    return {file.path: file.state for file in book_subtitles(state, files)}


def subtitle_paths(state: BookState) -> list[Path]:
    """The names of all subtitles of the book, but for those of the parts of an M4B."""
    paths = [path for chapter in state.plan.chapters for path in _chapter_paths(state, chapter)]
    if has_book_file(state):
        paths += [book_path(state).with_suffix(f".{suffix}") for suffix in state.output.subtitle_suffixes]
    return paths


def stale_subtitles(state: BookState) -> list[Path]:
    """Subtitles as this program wrote them that the book as it is now does not have.

    Raises:
        MachineError: a stream cannot be read.
    """
    now, files = set(subtitle_paths(state)), book_files(state)
    now.update(file.path.with_suffix(f".{suffix}") for file in files for suffix in state.output.subtitle_suffixes)
    # While chapters are missing, it is not known which parts the book will have.
    waits = has_book_file(state) and not files and bool(state.output.subtitle_suffixes)
    record = subtitle_record(state)
    stale = [path for path in record.paths() if path not in now and record.wrote(path)]
    return [path for path in stale if not (waits and path.name.startswith(f"{book_path(state).stem} ("))]


def subtitle_record(state: BookState) -> WrittenFiles:
    """The record of the files of subtitles."""
    return WrittenFiles(state.folder, "subtitles.json")


def _chapter_paths(state: BookState, chapter: Chapter) -> list[Path]:
    if not state.output.files(chapter):
        return []
    return [state.output.audio_folder / f"{chapter.stem}.{suffix}" for suffix in state.output.subtitle_suffixes]


def _files(paths: Sequence[Path], shown: Sequence[Subtitle]) -> list[SubtitleFile]:
    return [SubtitleFile(path, _WRITERS[path.suffix[1:]](shown).encode()) for path in paths]
