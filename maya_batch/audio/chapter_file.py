"""Chapter files: one stream of PCM written in every format asked for, each file whole or not there at all.

A file grows beside its final name as `.NAME.part` and is renamed when it is whole, on disk and reads back; a
reader of the old file keeps the old one. The same PCM and tags give the same bytes.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol

from maya_batch.audio.ffmpeg import REPRODUCIBLE, FfmpegError, FfmpegProcess, file_url
from maya_batch.audio.metadata import TrackTags, mp3_comment, wav_comment, wav_strings, write_id3
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import part_of
from maya_batch.files.safe_open import make_folders, sync_folder

__all__ = ["FORMATS", "Target", "TrackTags", "part_files", "read_comment", "write_chapter"]

WAV_BYTES = (1 << 32) - (1 << 20)
"""Most bytes of sound in one WAV: RIFF counts in 32 bits, and a megabyte is left for the rest of the file."""
MP3_BITRATE = "64k"
"""For a target that names none: speech at 24 kHz, mono."""
_BYTES = 2  # of one sample


@dataclass(frozen=True)
class Target:
    """One file to write."""

    path: Path
    """Its final name; missing folders are made."""
    type: str
    """A key of `FORMATS`."""
    bitrate: str | None = None
    """As ffmpeg takes it, "64k"; None for the format's own, and for formats that have none."""


class Writer(Protocol):
    """One `.part` file while it grows."""

    def write(self, pcm: bytes) -> None:
        """Take whole s16le samples."""

    def close(self) -> None:
        """Make the file whole, tags included."""

    def abort(self) -> None:
        """Let go of all that is held, never raising; nothing happens after `close`, or the second time."""


@dataclass(frozen=True)
class Format:
    """One row of `FORMATS`."""

    magic: bytes
    """What a file of ours begins with."""
    open: Callable[[Path, Target, TrackTags, int], Writer]
    """(file to write, target, tags, sampling rate in Hz) -> writer."""
    comment: Callable[[BinaryIO, int], str | None]
    """(file, its size in bytes) -> comment; see `tags`."""


class _Wav:
    def __init__(self, part: Path, target: Target, tags: TrackTags, sampling_rate: int) -> None:
        import soundfile

        self._name = target.path
        self._written = 0
        self._errors = (soundfile.LibsndfileError, AssertionError)  # it asserts that all frames were written
        with self._clearly():
            self._file = soundfile.SoundFile(
                os.fsencode(part), "w", samplerate=sampling_rate, channels=1, format="WAV", subtype="PCM_16"
            )
            for name, text in wav_strings(tags).items():
                setattr(self._file, name, text)

    def write(self, pcm: bytes) -> None:
        self._written += len(pcm)
        if self._written > WAV_BYTES:
            raise MachineError(f"{self._name}: longer than a WAV can be (4 GiB); split the chapter or use mp3")
        with self._clearly():
            self._file.buffer_write(pcm, dtype="int16")

    def close(self) -> None:
        with self._clearly():
            self._file.close()

    def abort(self) -> None:
        with suppress(*self._errors):
            self._file.close()

    @contextmanager
    def _clearly(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            why = str(error) or "not all of it was taken"
            raise MachineError(f"{self._name}: cannot be written; is the disk full? ({why})") from error


class _Mp3:
    def __init__(self, part: Path, target: Target, tags: TrackTags, sampling_rate: int) -> None:
        self._name, self._part, self._tags = target.path, part, tags
        arguments = ["-y", "-f", "s16le", "-ar", str(sampling_rate), "-ac", "1", "-i", "pipe:0"]
        arguments += ["-c:a", "libmp3lame", "-b:a", target.bitrate or MP3_BITRATE, *REPRODUCIBLE]
        # mutagen adds the tags.
        arguments += ["-id3v2_version", "0", "-write_id3v1", "0", "-f", "mp3", file_url(part)]
        with self._clearly():
            self._ffmpeg = FfmpegProcess(arguments)

    def write(self, pcm: bytes) -> None:
        with self._clearly():
            self._ffmpeg.write(pcm)

    def close(self) -> None:
        from mutagen import MutagenError

        with self._clearly():
            self._ffmpeg.close()
        try:
            write_id3(self._part, self._tags)
        except MutagenError as error:
            raise MachineError(f"{self._name}: cannot be tagged; is the disk full? ({error})") from error

    def abort(self) -> None:
        self._ffmpeg.kill()

    @contextmanager
    def _clearly(self) -> Iterator[None]:
        try:
            yield
        except FfmpegError as error:
            raise MachineError(f"{self._name}: ffmpeg failed: {error}") from error
        except MachineError as error:
            raise MachineError(f"{self._name}: {error}") from error


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "wav": Format(b"RIFF", _Wav, wav_comment),
        "mp3": Format(b"ID3", _Mp3, mp3_comment),
    }
)


#: Names of chapters and reports while they grow; other programs have files that end in `.part`, too.
_PART = re.compile(rf"\.(.+\.({'|'.join(FORMATS)})|report\.(html|json))\.part")


def write_chapter(
    pcm: Iterable[bytes], targets: Sequence[Target], tags: TrackTags, sampling_rate: int = 24000
) -> float:
    """Write `pcm` (pieces of s16le mono) to all `targets` in one pass, and give back its seconds.

    The targets get their final names only when all are whole. Whatever goes wrong before, an exception out of
    `pcm` and KeyboardInterrupt included, leaves the old files as they were and nothing of the new ones.

    Raises:
        MachineError: the disk is full, ffmpeg failed, a file cannot be written or does not read back.
        ValueError: no target, an unknown type, two targets of one name, no sound, half a sample in a piece.
    """
    unknown = sorted({target.type for target in targets} - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)}; known: {', '.join(FORMATS)}")
    if not targets or len({target.path for target in targets}) < len(targets):
        raise ValueError(f"targets must be at least one, and of different names: {targets}")
    with ExitStack() as undo:
        writers = []
        for target in targets:
            part = part_of(target.path)
            with _clearly(target):
                make_folders(part.parent)
                part.unlink(missing_ok=True)  # of a killed run, whose ffmpeg may still hold it
                undo.callback(part.unlink, missing_ok=True)
                writer = FORMATS[target.type].open(part, target, tags, sampling_rate)
            undo.callback(writer.abort)
            writers.append((target, writer))

        written = 0
        for piece in pcm:
            if len(piece) % _BYTES:
                raise ValueError(f"a piece of {len(piece)} bytes holds half a sample")
            written += len(piece)
            for target, writer in writers:
                with _clearly(target):
                    writer.write(piece)
        if not written:
            raise ValueError("there is no sound to write")

        for target, writer in writers:
            with _clearly(target):
                writer.close()
                _sync(part_of(target.path))
            if read_comment(part_of(target.path)) != tags.comment:
                raise MachineError(f"{target.path}: cannot be written: what was written does not read back")
        for target in targets:
            with _clearly(target):
                part_of(target.path).replace(target.path)
        for folder in {target.path.parent for target in targets}:
            sync_folder(folder)
    return written / _BYTES / sampling_rate


def read_comment(path: Path) -> str | None:
    """The comment of a chapter file, of any name; None when it is not a whole file written here.

    Never raises and never blocks, whatever lies at `path`; symbolic links are not followed.
    """
    try:
        seen = path.lstat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(seen.st_mode):
        return None
    return _comment(path, seen.st_mtime_ns, seen.st_size, seen.st_ino)


@lru_cache(maxsize=4096)
def _comment(path: Path, *_seen: int) -> str | None:
    """As `read_comment`; read again where the file is not the one that was seen. A run asks four times of each."""
    try:
        # The flags are for a file swapped since: opening a FIFO would wait for somebody to write into it.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(file, "rb") as opened:
            start = opened.read(max(len(row.magic) for row in FORMATS.values()))
            opened.seek(0)
            for row in FORMATS.values():
                if start.startswith(row.magic):
                    return row.comment(opened, os.fstat(file).st_size)
    except Exception:
        # Bytes of anybody's making go through two parsers: however they fail, the file is not one of ours.
        return None
    return None


def part_files(folder: Path) -> list[Path]:
    """What killed runs left of chapters and reports in `folder`, sorted; safe to remove while no run writes there."""
    return sorted(path for path in folder.glob(".*.part") if is_part(path) and path.is_file() and not path.is_symlink())


def is_part(path: Path) -> bool:
    """Whether a path has the name of a chapter or report that grows."""
    return _PART.fullmatch(path.name) is not None


@contextmanager
def _clearly(target: Target) -> Iterator[None]:
    """An OSError inside, told as what it means for `target`."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full" if full else error.strerror or str(error)
        raise MachineError(f"{target.path}: cannot be written: {why}") from error


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
