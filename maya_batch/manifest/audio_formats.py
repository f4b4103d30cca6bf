"""The formats that a manifest may name, and what may be chosen of those of audio: one table.

To add one, give it a row here and in `audio.writers.FORMATS`; a test checks that both name the same formats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

FormatName = Literal["wav", "mp3", "flac", "opus", "m4a", "m4b"]
"""Also the suffix of its files. `m4b` is one file for the book, the others are one for each chapter."""

ReadAlongName = Literal["srt", "vtt", "epub3"]
"""What is written of a book for people who read along: subtitles next to each audio file, and an EPUB that speaks."""

SUBTITLES: tuple[ReadAlongName, ...] = ("srt", "vtt")
"""Those of subtitles, which are also the suffixes of their files."""

Mode = Literal["cbr", "vbr"]
"""Constant or variable bitrate."""

OWN_RATE = 24000
"""The sampling rate of Maya1's codec in Hz; a format without `sample_rate` keeps it."""
_FULL_RATE = 44100
"""Hz; what a bitrate implies that the codec's own rate has no room for."""


@dataclass(frozen=True)
class Choices:
    """One row of `CHOICES`."""

    bitrates: tuple[str, ...] = ()
    """Of mono speech, in bits a second, as ffmpeg takes them; empty where there is nothing to choose."""
    default: str | None = None
    """One of `bitrates`."""
    low: tuple[str, ...] = ()
    """Those of `bitrates` that the format has below 32 kHz, if not all."""
    high: tuple[str, ...] = ()
    """Those that it has from 32 kHz, if not all."""
    sample_rates: tuple[int, ...] = ()
    """In Hz; empty where there is nothing to choose."""
    modes: tuple[Mode, ...] = ()
    """The default first; empty where there is nothing to choose."""

    def bitrates_at(self, sample_rate: int) -> tuple[str, ...]:
        """The bitrates at a sampling rate in Hz."""
        return (self.high if sample_rate >= 32000 else self.low) or self.bitrates

    def implied_rate(self, bitrate: str | None) -> int | None:
        """The sampling rate in Hz that a bitrate needs; None where the codec's own has it."""
        known = bitrate in self.bitrates and bitrate not in self.bitrates_at(OWN_RATE)
        return _FULL_RATE if known else None


def _k(rates: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{rate}k" for rate in rates)


_MP3_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # ISO 13818-3: MPEG-2, 16 to 24 kHz
_MP3_HIGH = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # ISO 11172-3: MPEG-1, 32 to 48 kHz
# ISO 14496-3 allows 6,144 bits for each 1,024 samples of a channel: 144 kbit/s at 24 kHz, 264 kbit/s at 44.1 kHz.
_AAC_HIGH = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
_AAC_LOW = tuple(rate for rate in _AAC_HIGH if rate <= 128)
_RATES = (24000, 44100, 48000)

_AAC = Choices(_k(_AAC_HIGH), "64k", low=_k(_AAC_LOW), sample_rates=_RATES)

CHOICES: Mapping[str, Choices] = MappingProxyType(
    {
        "wav": Choices(sample_rates=_RATES),
        "mp3": Choices(
            _k(sorted({*_MP3_LOW, *_MP3_HIGH})),
            "64k",
            low=_k(_MP3_LOW),
            high=_k(_MP3_HIGH),
            sample_rates=_RATES,
            modes=("cbr", "vbr"),
        ),
        "flac": Choices(sample_rates=_RATES),
        # RFC 6716, 2.1.1: fullband speech is transparent from 28 to 40 kbit/s. Opus has one rate, 48 kHz.
        "opus": Choices(_k((12, 16, 24, 32, 40, 48, 64, 80, 96, 128)), "32k", modes=("vbr", "cbr")),
        "m4a": _AAC,
        "m4b": _AAC,
    }
)
"""By format."""
