"""The tags of a WAV that ffmpeg wrote at another sampling rate: they follow the sound."""

import errno
import os
import struct
from pathlib import Path

from maya_batch.audio.metadata import TrackTags, wav_strings

_HEAD = 44
"""Bytes before the sound: RIFF and WAVE, the chunk `fmt ` of 16 bytes, and the head of the chunk `data`."""

_LARGEST = (1 << 32) - (1 << 20)
"""Bytes: RIFF counts in 32 bits, and a megabyte is left for the tags."""


def write_wav_tags(path: Path, tags: TrackTags) -> None:
    """Write `tags` to the WAV at `path`, in place of those that it has.

    Raises:
        OSError: the file is too long, or cannot be written.
    """
    import soundfile

    with path.open("r+b") as file:
        (sound,) = struct.unpack_from("<I", file.read(_HEAD), _HEAD - 4)
        if path.stat().st_size > _LARGEST:
            raise OSError(errno.EFBIG, "longer than a WAV can be (4 GiB); split the chapter or use flac")
        file.truncate(_HEAD + sound)
        file.seek(4)
        file.write(struct.pack("<I", _HEAD - 8 + sound))
    try:
        with soundfile.SoundFile(os.fsencode(path), "r+") as wav:
            for name, text in wav_strings(tags).items():
                setattr(wav, name, text)
    except (soundfile.LibsndfileError, AssertionError) as error:
        raise OSError(f"not all tags were written: {error}") from error


def has_tags_at_its_end(path: Path) -> bool:
    """Whether ffmpeg wrote this WAV: its sound comes first."""
    with path.open("rb") as file:
        return file.read(_HEAD)[36:40] == b"data"
