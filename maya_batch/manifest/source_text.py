"""Reads and decodes files that people wrote, without blocking, and maps offsets in them to lines and columns."""

import os
import re
import stat
from array import array
from bisect import bisect_right
from pathlib import Path

from maya_batch.errors import Finding

LIMIT_BYTES = 20_000_000
"""The largest file that is read, in bytes; the whole Bible is 4.4 MB."""

_BOM = b"\xef\xbb\xbf"
_MOST_FINDINGS = 10  # a binary file would have thousands
# The characters that YAML calls unprintable, but for the form feed: a page break is white space. In a book the others
# are always damage, and no model was trained on them.
CONTROL = re.compile("[^\t\n\f\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile(r"\r\n|\r|\n")


class UnreadableError(Exception):
    """A file cannot be read; the message says why and follows the file's name."""


class Lines:
    """The lines of a text, to map offsets to line and column. Lines end with LF, CRLF or CR."""

    def __init__(self, text: str) -> None:
        self._starts = array("L", (0,))  # for a file of empty lines, a list would take 700 MB
        self._starts.extend(found.end() for found in _BREAK.finditer(text))

    def place(self, offset: int) -> tuple[int, int]:
        """The line and column, from 1 and in characters, where the character `offset` stands."""
        line = bisect_right(self._starts, max(offset, 0))
        return line, max(offset, 0) - self._starts[line - 1] + 1


def read_bytes(path: Path, limit: int = LIMIT_BYTES) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises `UnreadableError` for anything else; it does not wait for a FIFO or a device.
    """
    try:
        # Checked before opening, because opening a device can already have an effect.
        _require_regular(path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _require_regular(os.fstat(descriptor).st_mode)
            raw = file.read(limit + 1)
    except FileNotFoundError as error:
        raise UnreadableError("does not exist") from error
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror})") from error
    if len(raw) > limit:
        raise UnreadableError(f"is larger than {limit // 1_000_000} MB")
    return raw


def _require_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableError("is a folder")
    if not stat.S_ISREG(mode):
        raise UnreadableError("is not a regular file")


def decode(raw: bytes, file: str) -> tuple[str, list[Finding]]:
    """The text of UTF-8 bytes without a byte order mark, and its mistakes.

    Newlines stay as they are. With mistakes, the text must not be used.
    """
    raw = raw.removeprefix(_BOM)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        line, column = Lines(before).place(len(before))
        what = f"not UTF-8: the byte 0x{raw[error.start]:02X} is not valid here"
        return "", [Finding(file, line, column, what, "save the file as UTF-8")]
    lines = Lines(text)
    return text, [Finding(file, *lines.place(offset), *control_words(text[offset])) for offset in control_offsets(text)]


def control_offsets(text: str) -> list[int]:
    """The offsets of the first ten control characters and other unprintable ones."""
    return [found.start() for _, found in zip(range(_MOST_FINDINGS), CONTROL.finditer(text), strict=False)]


def control_words(character: str) -> tuple[str, str]:
    """What is wrong with a control character, and how to fix it."""
    name = "a NUL byte" if character == "\0" else f"the control character U+{ord(character):04X}"
    return f"{name} is not allowed in a text", "delete it"


def way_out(folder: Path, relative: str) -> str | None:
    """How a path leaves `folder` (resolved), worded to follow the path; None if it stays inside."""
    if relative.startswith("~") or Path(relative).is_absolute():
        return "is not relative to the manifest's folder"
    try:
        target = (folder / relative).resolve()
    except (OSError, RuntimeError):  # a loop of links is a RuntimeError up to Python 3.12
        return "cannot be followed: its symbolic links form a loop"
    if target.is_relative_to(folder):
        return None
    lexically = Path(os.path.normpath(folder / relative))
    how = " through a symbolic link" if lexically.is_relative_to(folder) else ""
    return f"leads out of the manifest's folder{how}"
