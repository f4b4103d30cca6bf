"""The audio formats that a manifest may name.

To add one, name it here and give it a row in `audio.writers.FORMATS`; a test checks that both name the same formats.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

FormatName = Literal["wav", "mp3"]
"""Also the suffix of its files."""

MP3_BITRATES = tuple(f"{rate}k" for rate in (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))
"""MP3's bitrates at Maya1's 24 kHz (MPEG-2), in bits a second."""

BITRATES: Mapping[str, tuple[str, ...]] = MappingProxyType({"mp3": MP3_BITRATES})
"""By format, if its bitrate can be chosen."""
DEFAULT_BITRATES: Mapping[str, str] = MappingProxyType({"mp3": "64k"})
"""By format, for mono speech at 24 kHz."""
