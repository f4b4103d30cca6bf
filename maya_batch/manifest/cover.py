"""Reads the cover picture of a book."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from maya_batch.manifest.source_text import UnreadableError, read_bytes, way_out
from maya_batch.messages.quoting import quoted

LARGEST_COVER = 10_000_000
"""The largest cover, in bytes: it is in every MP3 of the book, and larger tags are not read back."""

_KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


@dataclass(frozen=True)
class Cover:
    """A JPEG or PNG, whole."""

    content: bytes = field(repr=False)
    mime: str
    """`image/jpeg` or `image/png`."""

    @cached_property
    def digest(self) -> str:
        """The sha256 of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


class WrongCoverError(Exception):
    """The file is no cover; the arguments are what is wrong, and how to correct it."""


def read_cover(folder: Path, file: str) -> Cover:
    """The cover `file`, a path inside `folder`, which is resolved.

    Raises:
        WrongCoverError: it leads out of the folder, cannot be read, is too large, or is neither JPEG nor PNG.
    """
    how = way_out(folder, file)
    if how:
        raise WrongCoverError(f"the cover {quoted(file)} {how}", "move it into that folder and write its relative path")
    try:
        content = read_bytes(folder / file)
    except UnreadableError as error:
        raise WrongCoverError(f"the cover {quoted(file)} {error}", "") from error
    if len(content) > LARGEST_COVER:
        mend = f"make it smaller; the limit is {LARGEST_COVER // 1_000_000} MB"
        raise WrongCoverError(f"the cover {quoted(file)} has {len(content) / 1e6:.1f} MB", mend)
    mime = next((mime for start, mime in _KINDS if content.startswith(start)), None)
    if mime is None:
        raise WrongCoverError(f"the cover {quoted(file)} is neither a JPEG nor a PNG", "convert it")
    return Cover(content, mime)
