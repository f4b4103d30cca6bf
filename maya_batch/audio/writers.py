"""Writers of chapter files, one for each format; the table `FORMATS` lists them."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol

from maya_batch.audio.ffmpeg import REPRODUCIBLE, FfmpegError, FfmpegProcess, file_url
from maya_batch.audio.metadata import TrackTags, mp3_comment, wav_comment, wav_strings, write_id3
from maya_batch.errors import MachineError
from maya_batch.manifest.audio_formats import DEFAULT_BITRATES

RIFF_BYTES = (1 << 32) - (1 << 20)
"""The most bytes of sound in one WAV: RIFF counts in 32 bits, and a megabyte is left for the rest of the file."""


@dataclass(frozen=True)
class Target:
    """One file to write."""

    path: Path
    """The final name; missing folders are created."""
    type: str
    """A key of `FORMATS`."""
    bitrate: str | None = None
    """As ffmpeg takes it ("64k"); None for the format's default, and for formats without one."""


class Writer(Protocol):
    """Writes one `.part` file."""

    def write(self, pcm: bytes) -> None:
        """Write whole s16le samples."""

    def close(self) -> None:
        """Complete the file, including its tags."""

    def abort(self) -> None:
        """Release file and process. Never raises; does nothing after `close`, or the second time."""


@dataclass(frozen=True)
class FileFormat:
    """One row of `FORMATS`."""

    magic: bytes
    """The first bytes of a file written here."""
    open: Callable[[Path, Target, TrackTags, int], Writer]
    """(file to write, target, tags, sampling rate in Hz) -> writer."""
    comment: Callable[[BinaryIO, int], str | None]
    """(file, its size in bytes) -> comment; see `metadata`."""


class _WavWriter:
    """A file of 16-bit PCM, written by libsndfile."""

    def __init__(self, part: Path, target: Target, tags: TrackTags, sampling_rate: int) -> None:
        import soundfile

        self._name = target.path
        self._written = 0
        self._errors = (soundfile.LibsndfileError, AssertionError)  # soundfile asserts that all frames were written
        with self._machine_errors():
            self._file = soundfile.SoundFile(
                os.fsencode(part), "w", samplerate=sampling_rate, channels=1, format="WAV", subtype="PCM_16"
            )
            for name, text in wav_strings(tags).items():
                setattr(self._file, name, text)

    def write(self, pcm: bytes) -> None:
        self._written += len(pcm)
        if self._written > RIFF_BYTES:
            raise MachineError(f"{self._name}: longer than a WAV can be (4 GiB); split the chapter or use mp3")
        with self._machine_errors():
            self._file.buffer_write(pcm, dtype="int16")

    def close(self) -> None:
        with self._machine_errors():
            self._file.close()

    def abort(self) -> None:
        with suppress(*self._errors):
            self._file.close()

    @contextmanager
    def _machine_errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            why = str(error) or "not all samples were written"
            raise MachineError(f"{self._name}: cannot be written; is the disk full? ({why})") from error


class _Mp3Writer:
    """An MP3, encoded by ffmpeg while the sound is written, and tagged by mutagen."""

    def __init__(self, part: Path, target: Target, tags: TrackTags, sampling_rate: int) -> None:
        self._name, self._part, self._tags = target.path, part, tags
        arguments = ["-y", "-f", "s16le", "-ar", str(sampling_rate), "-ac", "1", "-i", "pipe:0"]
        arguments += ["-c:a", "libmp3lame", "-b:a", target.bitrate or DEFAULT_BITRATES["mp3"], *REPRODUCIBLE]
        # mutagen adds the tags.
        arguments += ["-id3v2_version", "0", "-write_id3v1", "0", "-f", "mp3", file_url(part)]
        with self._machine_errors():
            self._ffmpeg = FfmpegProcess(arguments)

    def write(self, pcm: bytes) -> None:
        with self._machine_errors():
            self._ffmpeg.write(pcm)

    def close(self) -> None:
        from mutagen import MutagenError

        with self._machine_errors():
            self._ffmpeg.close()
        try:
            write_id3(self._part, self._tags)
        except MutagenError as error:
            raise MachineError(f"{self._name}: the tags cannot be written; is the disk full? ({error})") from error

    def abort(self) -> None:
        self._ffmpeg.kill()

    @contextmanager
    def _machine_errors(self) -> Iterator[None]:
        try:
            yield
        except FfmpegError as error:
            raise MachineError(f"{self._name}: ffmpeg failed: {error}") from error
        except MachineError as error:
            raise MachineError(f"{self._name}: {error}") from error


FORMATS: Mapping[str, FileFormat] = MappingProxyType(
    {
        "wav": FileFormat(b"RIFF", _WavWriter, wav_comment),
        "mp3": FileFormat(b"ID3", _Mp3Writer, mp3_comment),
    }
)
"""By the format's name in manifests, which is also the extension of its files."""
