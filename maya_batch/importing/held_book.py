"""Which book a folder holds, and whether a manuscript is a version of it."""

from collections.abc import Sequence
from pathlib import Path

from maya_batch.errors import UsageError
from maya_batch.importing.book_yaml import book_keys
from maya_batch.importing.chapter_files import ChapterFile
from maya_batch.importing.import_record import Record, read_record
from maya_batch.importing.manuscript import Imported


def own_record(imported: Imported, folder: Path) -> Record | None:
    """The record of the folder if it is one of this manuscript; None if the folder is empty or missing.

    Raises:
        UsageError: it is another book's, or no import wrote it.
    """
    if not folder.exists() and not folder.is_symlink():
        return None
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder; name another one with -o")
    record = read_record(folder)
    if record is None:
        if any(folder.iterdir()):
            raise UsageError(f"{folder}: is not empty, and no import wrote it; name another folder with -o")
        return None
    if record.source != imported.name and record.title != _title(imported):
        raise UsageError(
            f"{folder}: holds the book {record.title!r} from {record.source}; name another folder with -o, "
            f"or rename the file to {record.source} if it is a new version of that book"
        )
    return record


def check_book(record: Record, imported: Imported, chapters: Sequence[ChapterFile], folder: Path) -> None:
    """Refuse another book in a file of the same name; licences and the like are in many books.

    Raises:
        UsageError: the title is another one, and no chapter that is read aloud is known by its text.
    """
    if record.title != _title(imported) and not any(each.shares_text and not each.chapter.skip for each in chapters):
        what = f"and no chapter of {_title(imported)!r} is in it"
        raise UsageError(f"{folder}: holds the book {record.title!r}, {what}; name another folder with -o")


def _title(imported: Imported) -> str:
    return str(book_keys(imported.document.metadata, Path(imported.name).stem, "")["title"])
