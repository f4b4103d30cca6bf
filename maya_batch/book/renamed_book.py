"""Finds the output folder of a book whose manifest was renamed: the folder still has the name from before."""

from pathlib import Path

from maya_batch.book.book_id import BookId, read_book_id
from maya_batch.errors import MachineError
from maya_batch.manifest import Manuscript, output_folder


def renamed_book(manuscript: Manuscript, output: Path | None = None) -> str | None:
    """A warning that the book would begin again in another folder than the one that has its takes; None without one.

    A folder that `output` or the manifest names does not depend on the manifest's name.
    """
    folder = output_folder(manuscript, output)
    if output is not None or manuscript.book.output.folder is not None or folder.exists():
        return None
    for hidden in sorted(manuscript.folder.glob("*/.maya")):
        if any(hidden.parent.with_name(hidden.parent.name + suffix).exists() for suffix in (".yaml", ".yml")):
            continue  # that of the manifest next to it, of which there may be a thousand
        book = _left_book(hidden)
        if book is not None and book.title == manuscript.book.title:
            return (
                f"{hidden.parent} has the takes of {book.title!r}, which was {book.manifest}; rename that folder to "
                f"{folder.name}, or name it in output.folder: otherwise all is rendered again"
            )
    return None


def _left_book(hidden: Path) -> BookId | None:
    """The book of a folder, if its manifest is gone."""
    try:
        book = read_book_id(hidden)
        return None if book is None or (hidden.parent / book.path).exists() else book
    except (MachineError, OSError):  # of a folder that was not asked for
        return None
