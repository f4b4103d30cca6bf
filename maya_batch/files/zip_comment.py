"""Reads the comment of a zip file, which stands at its very end."""

import struct
from typing import BinaryIO

_END = struct.Struct("<4s8xLLH")
"""The end of the central directory without its comment (PKWARE, APPNOTE.TXT, 4.3.16): signature, size and offset of the
directory, length of the comment."""


def zip_comment(file: BinaryIO, size: int, longest: int = 256) -> str | None:
    """The comment of a zip file of `size` bytes; None if it is not whole, or has none of up to `longest` bytes."""
    start = max(0, size - _END.size - longest)
    file.seek(start)
    tail = file.read(size - start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        return None
    _, _, _, length = _END.unpack_from(tail, at)
    comment = tail[at + _END.size :]
    return comment.decode("ascii", errors="replace") if 0 < length == len(comment) else None
