"""Writes an M4B: the chapters' streams joined without encoding them again, with a mark for each chapter, and tags.

The marks are written twice, as a text track in the manner of QuickTime and as a `chpl` box in that of Nero, because
players read one or the other. `chpl` counts in one byte, which bounds the chapters of a file.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from maya_batch.audio.adts import FRAME, AacStream
from maya_batch.audio.chapter_file import published
from maya_batch.audio.ffmpeg import BIT_EXACT, FfmpegError, FfmpegProcess, file_url
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.mp4_tags import write_mp4
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_errors

MOST_CHAPTERS = 255
"""The most chapters of one file."""
LONGEST_SECONDS = 24 * 3600
"""The longest file in seconds: players and stores differ in what they take of longer ones."""

#: The longest title of a mark, in bytes of UTF-8: `chpl` counts them in one byte, too.
_LONGEST_TITLE = 255

log = logging.getLogger(__name__)


def divided(streams: Sequence[AacStream]) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) of the chapters in each file of a book: as many as fit.

    A chapter that is longer than `LONGEST_SECONDS` has a file for itself.
    """
    first, seconds = 0, 0.0
    for index, stream in enumerate(streams):
        if index > first and (index - first == MOST_CHAPTERS or seconds + stream.seconds > LONGEST_SECONDS):
            yield first, index
            first, seconds = index, 0.0
        seconds += stream.seconds
    yield first, len(streams)


def write_m4b(path: Path, streams: Sequence[AacStream], titles: Sequence[str], tags: TrackTags) -> None:
    """Write the M4B `path` of these chapters' streams; it is complete or the old file stays.

    Raises:
        MachineError: the disk is full, ffmpeg failed, or a file cannot be written or read back.
        ValueError: no streams, too many of them, or streams of different rates.
    """
    if not 0 < len(streams) <= MOST_CHAPTERS or len({stream.sampling_rate for stream in streams}) > 1:
        raise ValueError(f"{path}: {len(streams)} chapters, or chapters of several sampling rates")
    with published(path, tags.comment) as part:
        _join(path, part, streams, _marks(streams, titles))
        _tag(path, part, tags)


def chapter_starts(streams: Sequence[AacStream]) -> list[int]:
    """Where the chapters of a joined file begin, in samples; and where it ends."""
    starts, at = [0], 0
    for stream in streams:
        at += stream.samples
        starts.append(at + FRAME)  # after the first frame of the next one, which has no sound
    return [*starts[:-1], at]


def sound_starts(streams: Sequence[AacStream]) -> list[float]:
    """Where the sound of each chapter begins in a joined file, in seconds."""
    starts = chapter_starts(streams)
    return [max(start, FRAME) / stream.sampling_rate for start, stream in zip(starts, streams, strict=False)]


def _marks(streams: Sequence[AacStream], titles: Sequence[str]) -> str:
    """The chapters in ffmpeg's format FFMETADATA."""
    starts = chapter_starts(streams)
    lines = [";FFMETADATA1"]
    for (start, end), title in zip(pairwise(starts), titles, strict=True):
        lines += ["[CHAPTER]", f"TIMEBASE=1/{streams[0].sampling_rate}", f"START={start}", f"END={end}"]
        lines += [f"title={_escaped(_short(title))}"]
    return "\n".join([*lines, ""])


def _short(title: str) -> str:
    if len(title.encode()) <= _LONGEST_TITLE:
        return title
    short = title.encode()[: _LONGEST_TITLE - len("…".encode())].decode(errors="ignore") + "…"
    log.warning("the mark of a chapter has at most %d bytes; it is %r instead of %r", _LONGEST_TITLE, short, title)
    return short


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "=;#\\\n" else character for character in text)


def _join(path: Path, part: Path, streams: Sequence[AacStream], marks: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        with write_errors(Path(file.name)):
            file.write(marks)
            file.flush()
        arguments = ["-y", "-f", "aac", "-i", "pipe:0", "-f", "ffmetadata", "-i", file_url(Path(file.name))]
        # All metadata is that of the marks. REPRODUCIBLE removes it, and with it the titles.
        arguments += ["-map", "0:a", *BIT_EXACT, "-map_metadata", "1", "-map_chapters", "1", "-c", "copy"]
        # The scale of the text track, too. ffmpeg's own scale has 28,224,000 steps a second, and a chapter of more than
        # 152 s (2^32 steps) would leave the file without its text track.
        arguments += ["-movie_timescale", str(streams[0].sampling_rate)]
        arguments += ["-movflags", "+faststart", "-brand", "M4B ", "-f", "ipod", file_url(part)]
        try:
            ffmpeg = FfmpegProcess(arguments)
            try:
                for stream in streams:
                    with write_errors(stream.path):
                        for piece in stream.pieces():
                            ffmpeg.write(piece)
                ffmpeg.close()
            finally:
                ffmpeg.kill()
        except FfmpegError as error:
            raise MachineError(f"{path}: ffmpeg failed: {error}") from error


def _tag(path: Path, part: Path, tags: TrackTags) -> None:
    from mutagen import MutagenError

    try:
        write_mp4(part, tags)
    except MutagenError as error:
        raise MachineError(f"{path}: the tags cannot be written; is the disk full? ({error})") from error
