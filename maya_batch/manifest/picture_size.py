"""The width, height and channels of a JPEG or PNG, from its header."""

import struct
from dataclasses import dataclass

_PNG_COLOURS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_NO_SIZE = {0xC4, 0xC8, 0xCC}
"""Markers among those of frames that are none: Huffman tables, JPEG extensions, arithmetic coding."""


@dataclass(frozen=True)
class PictureSize:
    """A picture's size in pixels, and its channels: 3 are RGB (in a JPEG, YCbCr)."""

    width: int
    height: int
    channels: int


def picture_size(content: bytes) -> PictureSize | None:
    """The size of a picture; None if its header does not say it."""
    try:
        return _png(content) if content.startswith(b"\x89PNG") else _jpeg(content)
    except (struct.error, IndexError):
        return None


def _png(content: bytes) -> PictureSize | None:
    width, height, _, colour = struct.unpack_from(">IIBB", content, 16)
    return PictureSize(width, height, _PNG_COLOURS[colour]) if colour in _PNG_COLOURS else None


def _jpeg(content: bytes) -> PictureSize | None:
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width, channels = struct.unpack_from(">HHB", content, at + 5)
            return PictureSize(width, height, channels)
        at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return None
