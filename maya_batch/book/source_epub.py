"""The EPUB that a book was imported from, where it is still at hand."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from maya_batch.files.safe_open import safe_read
from maya_batch.manifest import Manuscript

RECORD = "import.json"
"""What an import writes next to book.yaml; `importing.import_record` documents its keys."""

#: The largest record and the largest EPUB, in bytes.
_LARGEST_RECORD, _LARGEST = 200_000_000, 2**30


@dataclass(frozen=True)
class SourceEpub:
    """The EPUB that import.json names."""

    name: str
    """The name of its file."""
    digest: str
    """Its sha256 when it was imported."""
    path: Path | None
    """Where it is: in the book's folder or in the one above it; None if it is in neither, or is another one now."""
    record: bytes
    """The content of import.json."""


def source_epub(manuscript: Manuscript) -> SourceEpub | None:
    """The EPUB that a book was imported from; None if it was made or imported in another way."""
    try:
        record = safe_read(manuscript.folder / RECORD, _LARGEST_RECORD)
        source = json.loads(record)["source"]
        name, digest = str(source["name"]), str(source["sha256"])
        if source["format"] != "epub" or name != Path(name).name:
            return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    for folder in (manuscript.folder, manuscript.folder.parent):
        try:
            if hashlib.sha256(safe_read(folder / name, _LARGEST)).hexdigest() == digest:
                return SourceEpub(name, digest, folder / name, record)
        except (OSError, ValueError):  # a ValueError: no file can have that name
            continue
    return SourceEpub(name, digest, None, record)
