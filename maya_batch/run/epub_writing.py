"""Writes the EPUB of a book that speaks when all of its chapters are whole, and it is not current."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment
from maya_batch.book.epub_file import epub_fingerprint, epub_path
from maya_batch.book.output_files import is_chapter
from maya_batch.book.source_epub import source_epub
from maya_batch.book.state import BookState
from maya_batch.epub3.epub_zip import Entry, write_epub
from maya_batch.epub3.own_book import own_book
from maya_batch.epub3.source_book import source_book
from maya_batch.epub3.spoken_chapters import SpokenChapter, spoken_chapters
from maya_batch.errors import UsageError
from maya_batch.run.chapters import keep, make_audio_folder

log = logging.getLogger(__name__)


def write_book_epub(state: BookState, check: Callable[[], None]) -> tuple[Path, float] | None:
    """Write the EPUB if the book asks for one and it is not current; returns its path and the seconds of its sound.

    `check` is called often and ends this by raising an error.

    Raises:
        MachineError: the disk is full, or a file cannot be read or written.
    """
    if not state.plan.book.output.has("epub3"):
        return None
    path, fingerprint = epub_path(state), epub_fingerprint(state)
    if fingerprint is None or read_comment(path) == fingerprint:
        return None
    make_audio_folder(state)
    if not is_chapter(path):
        keep(path)
    spoken = spoken_chapters(state)
    write_epub(path, _entries(state, spoken), fingerprint, check)
    return path, sum(chapter.seconds for chapter in spoken)


def _entries(state: BookState, spoken: list[SpokenChapter]) -> Iterable[Entry]:
    """The files of the EPUB that the book was imported from, with its sound; else those of one of its texts."""
    source = source_epub(state.plan.manuscript)
    if source is None:
        return own_book(state, spoken)
    if source.path is None:
        log.warning(
            "the EPUB is made of the book's texts: %s, which the book was imported from, is neither in %s nor in the "
            "folder above it, or was changed since; copy it there and run `assemble` for an EPUB with its pages",
            *(source.name, state.plan.manuscript.folder),
        )
        return own_book(state, spoken)
    try:
        return source_book(state, source, spoken)
    except UsageError as error:
        log.warning("the EPUB is made of the book's texts, not of %s: %s", source.name, error)
        return own_book(state, spoken)
