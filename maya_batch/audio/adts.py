"""Chapters of an M4B as streams of AAC frames (ADTS), which are joined without encoding them again.

A frame of AAC-LC has 1,024 samples, and an encoder's first frame only the beginning of its overlap: the sound begins
with the second one. In a joined file each chapter is therefore longer than its sound, by one to two frames of silence;
the marks of the chapters follow the frames, so they are where the sound is.
"""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from maya_batch.audio.metadata import TrackTags, id3_comment, id3_length, write_id3
from maya_batch.errors import MachineError

FRAME = 1024
"""Samples of a frame, and of the first one, which has no sound yet."""

_HEAD = 7  # bytes
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""In Hz, by the index that a frame names (ISO 14496-3, table 1.18)."""
_PIECE = 2**20


@dataclass(frozen=True)
class AacStream:
    """What a chapter's stream contains."""

    path: Path
    frames: int
    sampling_rate: int
    """In Hz."""
    start: int
    """The bytes before its first frame."""

    @property
    def samples(self) -> int:
        """Its samples, those of its first frame included."""
        return self.frames * FRAME

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.sampling_rate

    def pieces(self) -> Iterator[bytes]:
        """All of its frames, in pieces of a megabyte."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            while piece := file.read(_PIECE):
                yield piece


def read_stream(path: Path) -> AacStream:
    """What a whole stream contains, as counted when it was written.

    Raises:
        MachineError: it is missing, or is not whole.
    """
    from mutagen import MutagenError
    from mutagen.id3 import ID3, TALB

    try:
        with path.open("rb") as file:
            start = id3_length(file.read(10))
            file.seek(0)
            counts = _COUNTS.fullmatch(str(ID3(file, known_frames={"TALB": TALB}, load_v1=False).get("TALB")))
        if counts is None or start + int(counts[1]) != path.stat().st_size:
            raise ValueError("it is not whole")
    except (OSError, ValueError, MutagenError) as error:
        raise MachineError(f"{path}: cannot be read: {error}; remove it and run the same command") from error
    return AacStream(path, int(counts[2]), int(counts[3]), start)


def write_stream_tags(path: Path, tags: TrackTags) -> None:
    """Write the comment of `tags` to the new stream at `path`, and how many bytes and frames it has.

    Raises:
        MachineError: it is not whole.
        mutagen.MutagenError: the file cannot be written.
    """
    counts = _album(*_count(path))
    write_id3(path, TrackTags("", counts, "", tags.track, tags.tracks, tags.comment))


def stream_comment(file: BinaryIO, size: int) -> str | None:
    """The comment of a stream of `size` bytes; None if it is incomplete or not written here."""
    start = id3_length(file.read(10))
    return id3_comment(file, album=f"{size - start} bytes, ") if start else None


#: What the album of a stream says: bytes and number of its frames, and their sampling rate.
_COUNTS = re.compile(r"(\d{1,15}) bytes, (\d{1,12}) frames, (\d{1,6}) Hz", re.ASCII)


def _album(size: int, frames: int, rate: int) -> str:
    return f"{size} bytes, {frames} frames, {rate} Hz"


def _count(path: Path) -> tuple[int, int, int]:
    """The bytes, frames and sampling rate of a stream without tags."""
    frames, rate, at = 0, 0, 0
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            while at < len(data):
                head = data[at : at + _HEAD]
                length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
                if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or length < _HEAD:
                    raise ValueError(f"no frame at byte {at}")
                rate = _RATES[head[2] >> 2 & 15]
                at += length
                frames += 1
            if at != len(data):
                raise ValueError("the last frame is not whole")
    except (OSError, ValueError, IndexError) as error:
        raise MachineError(f"{path}: cannot be read: {error}") from error
    return at, frames, rate
