"""Writers of audio files, one for each format; the table `FORMATS` lists them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfile
from types import MappingProxyType
from typing import BinaryIO, Protocol

from maya_batch.audio.adts import stream_comment, write_stream_tags
from maya_batch.audio.ffmpeg import REPRODUCIBLE, FfmpegError, FfmpegProcess, file_url
from maya_batch.audio.metadata import TrackTags, mp3_comment, wav_comment, wav_strings, write_id3
from maya_batch.audio.mp4_tags import mp4_comment, write_mp4
from maya_batch.audio.vorbis_tags import flac_comment, opus_comment, write_flac, write_opus
from maya_batch.audio.wav_tags import has_tags_at_its_end, write_wav_tags
from maya_batch.errors import MachineError
from maya_batch.files.zip_comment import zip_comment
from maya_batch.manifest.audio_formats import CHOICES

RIFF_BYTES = (1 << 32) - (1 << 20)
"""The most bytes of sound in one WAV: RIFF counts in 32 bits, and a megabyte is left for the rest of the file."""


_BLOCK = 2**19  # samples


@dataclass(frozen=True)
class Target:
    """One file to write."""

    path: Path
    """The final name; missing folders are created."""
    type: str
    """A key of `FORMATS`."""
    bitrate: str | None = None
    """As ffmpeg takes it ("64k"); None for the format's default, and for formats without one."""
    sample_rate: int | None = None
    """In Hz; None for that of the sound."""
    mode: str | None = None
    """`cbr` or `vbr`; None for the format's default, and for formats without one."""
    as_loud: bool = False
    """Whether a file of a lossy format is as loud as its sound: LAME lowers it."""
    comment: str | None = None
    """What `read_comment` returns for it; None for the comment of the tags."""


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
    retag: Callable[[Target, Path, TrackTags], None]
    """(target, file to write, tags): writes what is at the target with other tags, and the same sound."""
    of_book: bool = False
    """Whether one file has all chapters. Then `open` writes the stream of one chapter, and `m4b` joins them."""


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


class _FfmpegWriter:
    """A file that ffmpeg encodes while the sound is written, and mutagen tags when it is whole."""

    def __init__(
        self,
        part: Path,
        target: Target,
        tags: TrackTags,
        sampling_rate: int,
        *,
        encoder: Callable[[Target], Sequence[str]],
        write_tags: Callable[[Path, TrackTags], None],
    ) -> None:
        self._target, self._part, self._tags, self._write_tags = target, part, tags, write_tags
        arguments = ["-y", "-f", "s16le", "-ar", str(sampling_rate), "-ac", "1", "-i", "pipe:0"]
        arguments += [] if target.sample_rate is None else ["-ar", str(target.sample_rate)]
        arguments += [*REPRODUCIBLE, *encoder(target), file_url(part)]
        with self._machine_errors():
            self._ffmpeg = FfmpegProcess(arguments)

    def write(self, pcm: bytes) -> None:
        with self._machine_errors():
            self._ffmpeg.write(pcm)

    def close(self) -> None:
        with self._machine_errors():
            self._ffmpeg.close()
        _tag(self._target, self._part, self._tags, self._write_tags)

    def abort(self) -> None:
        self._ffmpeg.kill()

    @contextmanager
    def _machine_errors(self) -> Iterator[None]:
        try:
            yield
        except FfmpegError as error:
            raise MachineError(f"{self._target.path}: ffmpeg failed: {error}") from error
        except MachineError as error:
            raise MachineError(f"{self._target.path}: {error}") from error


def _tag(target: Target, part: Path, tags: TrackTags, write_tags: Callable[[Path, TrackTags], None]) -> None:
    from mutagen import MutagenError

    try:
        write_tags(part, tags)
    except MutagenError as error:
        raise MachineError(f"{target.path}: the tags cannot be written; is the disk full? ({error})") from error


def _wav_writer(part: Path, target: Target, tags: TrackTags, sampling_rate: int) -> Writer:
    if target.sample_rate in (None, sampling_rate):
        return _WavWriter(part, target, tags, sampling_rate)
    encoder = ["-c:a", "pcm_s16le", "-f", "wav"]
    return _FfmpegWriter(part, target, tags, sampling_rate, encoder=lambda _: encoder, write_tags=write_wav_tags)


def _retag_wav(target: Target, part: Path, tags: TrackTags) -> None:
    import soundfile

    if has_tags_at_its_end(target.path):
        copyfile(target.path, part)
        write_wav_tags(part, tags)
        return
    with soundfile.SoundFile(os.fsencode(target.path)) as old:
        writer = _WavWriter(part, target, tags, old.samplerate)
        try:
            while piece := old.buffer_read(_BLOCK, dtype="int16"):
                writer.write(bytes(piece))
            writer.close()
        finally:
            writer.abort()


def _bitrate(target: Target) -> str:
    return target.bitrate or CHOICES[target.type].default or ""


_NO_TAGS = ("-id3v2_version", "0", "-write_id3v1", "0")


#: What LAME 3.100 multiplies samples with, from a bitrate on (`scale` in its presets.c; measured with each, too).
_LAME_SCALE = ((256, 1.0), (224, 0.98), (192, 0.97), (0, 0.95))


def _mp3(target: Target) -> list[str]:
    average = ["-abr", "1"] if target.mode == "vbr" else []
    if target.as_loud:
        scale = next(scale for least, scale in _LAME_SCALE if int(_bitrate(target).removesuffix("k")) >= least)
        # In floats, which LAME takes: 16 bits would clip.
        average += ["-af", f"aformat=sample_fmts=fltp,volume={1 / scale:.6f}:precision=float"]
    return ["-c:a", "libmp3lame", "-b:a", _bitrate(target), *average, *_NO_TAGS, "-f", "mp3"]


def _flac(_: Target) -> list[str]:
    return ["-c:a", "flac", "-f", "flac"]


def _opus(target: Target) -> list[str]:
    return ["-c:a", "libopus", "-b:a", _bitrate(target), "-vbr", "off" if target.mode == "cbr" else "on", "-f", "opus"]


def _aac(target: Target) -> list[str]:
    return ["-c:a", "aac", "-b:a", _bitrate(target)]


def _m4a(target: Target) -> list[str]:
    return [*_aac(target), "-movflags", "+faststart", "-f", "ipod"]


def _adts(target: Target) -> list[str]:
    return [*_aac(target), "-f", "adts"]


def _encoded(
    magic: bytes,
    encoder: Callable[[Target], Sequence[str]],
    write_tags: Callable[[Path, TrackTags], None],
    comment: Callable[[BinaryIO, int], str | None],
    of_book: bool = False,
) -> FileFormat:
    """A format that ffmpeg encodes and mutagen tags."""

    def retag(target: Target, part: Path, tags: TrackTags) -> None:
        copyfile(target.path, part)
        _tag(target, part, tags, write_tags)

    writer = partial(_FfmpegWriter, encoder=encoder, write_tags=write_tags)
    return FileFormat(magic, writer, comment, retag, of_book)


FORMATS: Mapping[str, FileFormat] = MappingProxyType(
    {
        "wav": FileFormat(b"RIFF", _wav_writer, wav_comment, _retag_wav),
        "mp3": _encoded(b"ID3", _mp3, write_id3, mp3_comment),
        "flac": _encoded(b"fLaC", _flac, write_flac, flac_comment),
        "opus": _encoded(b"OggS", _opus, write_opus, opus_comment),
        "m4a": _encoded(b"\0\0\0\x1cftypM4A ", _m4a, write_mp4, mp4_comment),
        # The magic and the comment are those of the book's file, the writer that of the chapters' streams.
        "m4b": _encoded(b"\0\0\0\x1cftypM4B ", _adts, write_stream_tags, mp4_comment, of_book=True),
    }
)
"""By the format's name in manifests, which is also the extension of its files."""

CHAPTER_FORMATS = tuple(name for name, row in FORMATS.items() if not row.of_book)
"""Those with one file for each chapter."""

STREAM = "aac"
"""The suffix of a chapter's stream, which becomes part of an M4B."""

EPUB = "epub"
"""The suffix of an EPUB that speaks."""

COMMENTS = (
    *((row.magic, row.comment) for row in FORMATS.values()),
    (b"ID3", stream_comment),
    (b"PK\3\4", zip_comment),
)
"""How a file begins, and how its comment is read then; the first that is not None counts."""
