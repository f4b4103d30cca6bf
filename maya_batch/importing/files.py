"""Reads a manuscript's file within limits."""

from pathlib import Path

from maya_batch.errors import UsageError
from maya_batch.files.safe_open import safe_read

MOST_BYTES = 60_000_000
"""The largest manuscript of text, Markdown, HTML or DOCX, in bytes; the whole Bible is 4.4 MB."""


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a file.

    Raises:
        UsageError: it does not exist, is no regular file, is larger than `most` bytes, or cannot be read.
    """
    try:
        return safe_read(path.resolve(), most)
    except FileNotFoundError:
        raise UsageError(f"{path}: does not exist") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
