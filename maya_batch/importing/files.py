"""Reads a manuscript's file within limits."""

import errno
from pathlib import Path

from maya_batch.errors import UsageError
from maya_batch.files.safe_open import safe_read

MOST_BYTES = 20_000_000
"""The largest manuscript of text or HTML, in bytes; the whole Bible is 4.4 MB."""
MOST_PARAGRAPHS = 200_000
"""The most paragraphs of a plain text: each takes about 1 KB of memory."""


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
        too_large = f"is larger than {most // 1_000_000} MB; divide it"
        raise UsageError(f"{path}: {too_large if error.errno == errno.EFBIG else error.strerror}") from error
