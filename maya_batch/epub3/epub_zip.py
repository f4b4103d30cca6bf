"""Writes the zip file of an EPUB: complete or not at all, and the same bytes for the same content."""

import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import published
from maya_batch.files.atomic_write import write_errors

_TYPE = ("mimetype", b"application/epub+zip")
_DATE = (1980, 1, 1, 0, 0, 0)
"""The first date of zip files."""
_STORED = (".mp3", ".m4a", ".jpg", ".jpeg", ".png", ".gif", ".webp", ".woff", ".woff2")
"""What compression would not make smaller."""
_MODE = 0o644 << 16


@dataclass(frozen=True)
class Entry:
    """A file of an EPUB."""

    name: str
    content: bytes | Path
    """A path where the file is large: sound."""


def write_epub(path: Path, entries: Iterable[Entry], comment: str, check: Callable[[], None]) -> None:
    """Write an EPUB of these files, with a comment that `read_comment` returns.

    `check` is called before each file, and ends this by raising an error.

    Raises:
        MachineError: the disk is full, or a file cannot be read or written.
    """
    with (
        published(path, comment) as part,
        write_errors(path),
        zipfile.ZipFile(part, "x", zipfile.ZIP_DEFLATED) as archive,
    ):
        # First and without compression (EPUB 3.3, 4.2.6.1): programs look for it at a fixed place.
        archive.writestr(_info(_TYPE[0], zipfile.ZIP_STORED), _TYPE[1])
        for entry in entries:
            check()
            _write(archive, entry)
        archive.comment = comment.encode("ascii")


def _write(archive: zipfile.ZipFile, entry: Entry) -> None:
    is_stored = entry.name.lower().endswith(_STORED)
    info = _info(entry.name, zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED)
    if isinstance(entry.content, bytes):
        archive.writestr(info, entry.content)
        return
    info.file_size = entry.content.stat().st_size
    with entry.content.open("rb") as file, archive.open(info, "w") as written:
        shutil.copyfileobj(file, written, 1 << 20)


def _info(name: str, compression: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type, info.external_attr, info.create_system = compression, _MODE, 3
    return info
