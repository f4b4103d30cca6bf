"""What stores ask of an audiobook's files. Each store's numbers are those of its published requirements in 2026."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

StoreName = Literal["acx-form", "inaudio", "google", "spotify"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Store:
    """One store; None and empty values are not asked for."""

    formats: tuple[str, ...]
    """Suffixes of files."""
    rms: Range | None = None
    """dB."""
    true_peak: float | None = None
    noise_floor: float | None = None
    head: Range | None = None
    """Seconds without sound."""
    tail: Range | None = None
    longest: float | None = None
    """Seconds of a file."""
    book_hours: Range | None = None
    bitrate: int | None = None
    """The smallest, in bits a second, of MP3 and M4A files."""
    constant: bool = False
    sampling_rate: int | None = None
    square_cover: int | None = None
    """The shortest side in pixels; 0: a cover of any size."""
    credits: bool = False
    """Whether opening and closing credits are files of their own, and there is a retail sample."""
    isbn: bool = False
    disclosed: bool = False
    """Whether the narrator must be named as a synthesized voice."""
    note: str = ""


_ACX = (
    "ACX takes narration by humans only, unless it has authorised a synthesized voice: these are its numbers for "
    "sound, not a way to Audible"
)

STORES: Mapping[StoreName, Store] = MappingProxyType(
    {
        "acx-form": Store(
            formats=("mp3",),
            rms=(-23, -18),
            true_peak=-3,
            noise_floor=-60,
            head=(0.5, 1),
            tail=(1, 5),
            longest=120 * 60,
            bitrate=192_000,
            constant=True,
            sampling_rate=44_100,
            square_cover=2400,
            credits=True,
            note=_ACX,
        ),
        "inaudio": Store(
            formats=("mp3", "flac"),
            rms=(-23, -18),
            true_peak=-3,
            noise_floor=-60,
            bitrate=192_000,
            constant=True,
            sampling_rate=44_100,
            square_cover=0,
            credits=True,
        ),
        "google": Store(
            formats=("mp3", "m4a", "flac", "wav"),
            book_hours=(5 / 60, 100),
            bitrate=128_000,
            square_cover=0,
            isbn=True,
            note="Google Play reads the order of the files from their names: <ISBN>_1of10.mp3",
        ),
        "spotify": Store(
            formats=("mp3", "m4a", "flac", "wav"),
            square_cover=3000,
            disclosed=True,
            note="Spotify and Kobo ask that narration by a synthesized voice is disclosed",
        ),
    }
)
"""Sources: ACX, audio submission requirements (INaudio, which was Findaway Voices, asks for the same levels); Google
Play Books, audiobook file requirements; Spotify for Authors.
"""
