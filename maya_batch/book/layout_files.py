"""The files that a layout has next to the audio, as they were written, and the folders that it had before.

A change of the author, the series, the title or the layout moves a book to another folder; the old one stays.
"""

from pathlib import Path

from maya_batch.book.library_layout import companions
from maya_batch.book.state import BookState
from maya_batch.book.written_files import WrittenFiles
from maya_batch.files.safe_open import is_inside


def companion_record(state: BookState) -> WrittenFiles:
    """The record of the covers and the metadata.opf that were written."""
    return WrittenFiles(state.folder, "companions.json")


def earlier_folders(state: BookState) -> list[Path]:
    """The folders that the audio was in before, each once; none behind a link."""
    found = dict.fromkeys(path.parent for path in companion_record(state).paths())
    now = state.output.written_folders
    return [folder for folder in found if folder not in now and is_inside(folder, state.folder)]


def stale_companions(state: BookState) -> list[Path]:
    """Covers and metadata.opf as this program wrote them that the book as it is now does not have."""
    record = companion_record(state)
    now = {state.output.audio_folder / name for name in companions(state.plan.manuscript)}
    return [
        path
        for path in record.paths()
        if path not in now and is_inside(path.parent, state.folder) and record.wrote(path)
    ]
