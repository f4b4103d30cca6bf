"""The zip file of an EPUB, read entry by entry within bounds. Nothing is unpacked to the disk."""

import os
import posixpath
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from maya_batch.errors import UsageError
from maya_batch.importing.xhtml_bounds import MarkupBounds
from maya_batch.messages.quoting import quoted, quoted_names

#: An entry of the directory takes 46 bytes and its name, and about 700 bytes of memory: 10,000 files take under 2 MB.
_LARGEST_DIRECTORY = 8 * 2**20
#: One entry, and all that are read; the texts of a novel are under 2 MB.
LARGEST_ENTRY, _LARGEST_SUM = 64 * 2**20, 160 * 2**20
#: Text shrinks to a third, repeated text to a thousandth: above this size, a ratio like that is a bomb.
_MOST_RATIO, _SMALLEST_BOMB = 200, 8 * 2**20
_LONGEST_NAME = 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, NotImplementedError, RuntimeError)


class DamagedEntryError(UsageError):
    """An entry cannot be read: damaged, encrypted, too large, or of an unknown compression."""


class Archive:
    """An open EPUB."""

    def __init__(self, path: Path, opened: zipfile.ZipFile) -> None:
        self.path, self._zip, self._left = path, opened, _LARGEST_SUM
        self.bounds = MarkupBounds()
        self.remarks: list[str] = []
        self._entries: dict[str, zipfile.ZipInfo] = {}
        unsafe: list[str] = []
        twice: list[str] = []
        for entry in opened.infolist():
            if entry.is_dir():
                continue
            if not _is_safe(entry):
                unsafe.append(entry.orig_filename)
                continue
            if entry.filename in self._entries:
                twice.append(entry.filename)
            self._entries[entry.filename] = entry
        self._alike = {_alike(name): name for name in reversed(self._entries)}
        self._remark(unsafe, "links, or with unsafe names, and left out")
        self._remark(twice, "in the zip file twice; the last one is read")

    def _remark(self, names: list[str], what: str) -> None:
        if names:
            are = "entry is" if len(names) == 1 else "entries are"
            self.remarks.append(f"{len(names):,} {are} {what}: {quoted_names(names)}")

    @property
    def names(self) -> list[str]:
        """The names of all entries, in the order of the zip file."""
        return list(self._entries)

    def find(self, name: str) -> str | None:
        """The entry of that name; else one whose name differs in case, in Unicode form or in percent signs."""
        if name in self._entries:
            return name
        return self._alike.get(_alike(name))

    def resolve(self, href: str, base: str) -> tuple[str, str]:
        """The path that a link in the entry `base` leads to, and the id in it; ("", "") for another site.

        The path need not exist. Paths that lead out of the book end at its root, as in browsers.
        """
        try:
            parts = urlsplit(href.strip())
        except ValueError:
            return "", ""
        if parts.scheme or parts.netloc:
            return "", ""
        anchor = unquote(parts.fragment)
        if not parts.path:
            return base, anchor
        whole = posixpath.join("/", posixpath.dirname(base), unquote(parts.path).replace("\\", "/"))
        return posixpath.normpath(whole).lstrip("/"), anchor

    def read(self, name: str, largest: int = LARGEST_ENTRY) -> bytes:
        """The content of an entry.

        Raises:
            DamagedEntryError: it cannot be read, or is larger than `largest` bytes.
        """
        entry = self._entries[name]
        if entry.flag_bits & 1:
            raise self._damaged(name, "is encrypted with a password")
        if entry.compress_type not in _METHODS:
            raise self._damaged(name, "is compressed in a way that EPUB does not allow")
        if entry.file_size > largest:
            raise self._damaged(name, f"has {entry.file_size:,} bytes; at most {largest:,} are read")
        if entry.file_size > _SMALLEST_BOMB and entry.file_size > _MOST_RATIO * max(1, entry.compress_size):
            raise self._damaged(name, f"grows from {entry.compress_size:,} to {entry.file_size:,} bytes: a zip bomb")
        if entry.file_size > self._left:
            raise UsageError(f"{self.path}: the files of the book have more than {_LARGEST_SUM:,} bytes")
        try:
            with self._zip.open(entry) as file:
                # An entry that holds more than it declares ends at what it declares, with a wrong checksum.
                content = file.read(entry.file_size + 1)
        except _BROKEN:
            raise self._damaged(name, "is damaged; download or copy the book again") from None
        if len(content) != entry.file_size:
            raise self._damaged(name, "is incomplete; download or copy the book again")
        self._left -= len(content)
        return content

    def _damaged(self, name: str, what: str) -> DamagedEntryError:
        return DamagedEntryError(f"{self.path}: {quoted(name)} {what}")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an EPUB.

    Raises:
        UsageError: it cannot be opened, is no zip file, or is damaged.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{path}: the file cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UsageError(f"{path}: not a file")
        if _directory_size(file) > _LARGEST_DIRECTORY:
            raise UsageError(f"{path}: the zip file has too many entries for a book")
        try:
            archive = zipfile.ZipFile(file)
        except (*_BROKEN, OSError):
            start = _start(file)
            if not start.startswith(b"PK"):
                raise UsageError(f"{path}: not an EPUB: it is no zip file") from None
            raise UsageError(f"{path}: the file is damaged or incomplete; download or copy it again") from None
        with archive:
            yield Archive(path, archive)


def _start(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(4)


def _directory_size(file: IO[bytes]) -> int:
    """The size that the ends of the zip file declare for its directory; it is read as a whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 70_000))  # a comment has 65,535 bytes at most
    tail = file.read()
    sizes = [0]
    for mark, form, offset in ((_END, "<L", 12), (_END_64, "<Q", 40)):
        at = tail.find(mark)
        while at >= 0:
            field = tail[at + offset : at + offset + struct.calcsize(form)]
            if len(field) == struct.calcsize(form) and field != b"\xff\xff\xff\xff":
                sizes.append(struct.unpack(form, field)[0])
            at = tail.find(mark, at + 1)
    return min(max(sizes), size)


def _is_safe(entry: zipfile.ZipInfo) -> bool:
    name = entry.orig_filename
    if stat.S_ISLNK(entry.external_attr >> 16) or len(name) > _LONGEST_NAME:
        return False
    if "\0" in name or "\\" in name or name.startswith("/") or name[1:2] == ":":
        return False
    return ".." not in name.split("/")


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", unquote(name)).casefold()
