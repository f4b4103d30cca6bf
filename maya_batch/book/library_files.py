"""What is left in a library's folders of the author, series, title, cover and layout that a book had before."""

from collections.abc import Iterator
from pathlib import Path

from maya_batch.book.library_layout import companions
from maya_batch.book.output_files import is_chapter
from maya_batch.book.state import BookState
from maya_batch.book.written_files import WrittenFiles
from maya_batch.files.safe_open import is_inside


def companion_record(state: BookState) -> WrittenFiles:
    """The record of the covers and of each metadata.opf that were written next to audio."""
    return WrittenFiles(state.folder, "companions.json")


def stale_library_files(state: BookState) -> list[Path]:
    """Audio of this program in folders that the book had before, and covers and metadata.opf as they were written.

    A library server takes such a folder for another book.

    Raises:
        MachineError: the record of these files is not valid.
    """
    return sorted(_stale(state))


def _stale(state: BookState) -> Iterator[Path]:
    record, now = companion_record(state), state.output.audio_folder
    expected = {now / name for name in companions(state.plan.manuscript)}
    written = [path for path in record.paths() if is_inside(path.parent, state.folder)]
    yield from (path for path in written if path not in expected and record.wrote(path))
    for folder in {path.parent for path in written} - {now}:
        yield from (path for path in state.output.audio_files_in(folder) if is_chapter(path))
