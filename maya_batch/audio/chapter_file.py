"""Writes chapter files: one stream of PCM in several formats; each file is complete or absent.

A file is written as `.NAME.part` next to its final name, and renamed when it is complete, on disk and readable; a
program that has the old file open keeps the old one. The same PCM and tags give the same bytes.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import COMMENTS, EPUB, FORMATS, STREAM, Target
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import part_of, remove_part, sync_file, sync_folder, write_errors
from maya_batch.files.safe_open import make_folders
from maya_batch.manifest.audio_formats import SUBTITLES

_SAMPLE_BYTES = 2

#: The names of unfinished chapters and reports; other programs write files that end in `.part`, too.
_PART = re.compile(rf"\.(.+\.({'|'.join((*FORMATS, STREAM, EPUB, *SUBTITLES))})|report\.(html|json))\.part")


def write_chapter(
    pcm: Iterable[bytes], targets: Sequence[Target], tags: TrackTags, sampling_rate: int = 24000
) -> float:
    """Write `pcm` as `complete_chapter` does, and return its length in seconds."""
    with complete_chapter(pcm, targets, tags, sampling_rate) as seconds:
        return seconds


@contextmanager
def complete_chapter(
    pcm: Iterable[bytes], targets: Sequence[Target], tags: TrackTags, sampling_rate: int = 24000
) -> Iterator[float]:
    """Write `pcm` (pieces of s16le mono) to all `targets` in one pass; yields its length in seconds.

    Meanwhile all files are complete, each as `part_of(target.path)`; they get their final names after the block. After
    an error, including one raised by `pcm` or in the block and KeyboardInterrupt, the old files are unchanged and
    nothing of the new ones is left.

    Raises:
        MachineError: the disk is full, ffmpeg failed, or a file cannot be written or read back.
        ValueError: no target, an unknown type, two targets with the same name, no sound, half a sample in a piece.
    """
    unknown = sorted({target.type for target in targets} - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)}; known: {', '.join(FORMATS)}")
    if not targets or len({target.path for target in targets}) < len(targets):
        raise ValueError(f"one or more targets with different names are needed, not {targets}")
    with ExitStack() as undo:
        writers = []
        for target in targets:
            part = part_of(target.path)
            with write_errors(target.path):
                make_folders(part.parent)
                part.unlink(missing_ok=True)  # from a killed run, whose ffmpeg may still have it open
                undo.callback(remove_part, part)
                own = replace(tags, comment=_comment_of(target, tags))
                writer = FORMATS[target.type].open(part, target, own, sampling_rate)
            undo.callback(writer.abort)
            writers.append((target, writer))

        written = 0
        for piece in pcm:
            if len(piece) % _SAMPLE_BYTES:
                raise ValueError(f"a piece of {len(piece)} bytes holds half a sample")
            written += len(piece)
            for target, writer in writers:
                with write_errors(target.path):
                    writer.write(piece)
        if not written:
            raise ValueError("no sound to write")

        for target, writer in writers:
            with write_errors(target.path):
                writer.close()
            _check_part(target, _comment_of(target, tags))
        yield written / _SAMPLE_BYTES / sampling_rate
        for target in targets:
            with write_errors(target.path):
                part_of(target.path).replace(target.path)
        for folder in {target.path.parent for target in targets}:
            sync_folder(folder)


def rewrite_tags(target: Target, tags: TrackTags) -> None:
    """Give a whole file at `target` other tags without encoding it again; it is complete or the old file stays.

    Its bytes are those that `write_chapter` writes with these tags.

    Raises:
        MachineError: the disk is full, or the file cannot be read, written or read back.
    """
    own, part = replace(tags, comment=_comment_of(target, tags)), part_of(target.path)
    with ExitStack() as undo:
        with write_errors(target.path):
            part.unlink(missing_ok=True)
            undo.callback(remove_part, part)
            FORMATS[target.type].retag(target, part, own)
        _check_part(target, own.comment)
        with write_errors(target.path):
            part.replace(target.path)
        sync_folder(target.path.parent)


def _check_part(target: Target, comment: str) -> None:
    with write_errors(target.path):
        sync_file(part_of(target.path))
    if read_comment(part_of(target.path)) != comment:
        raise MachineError(f"{target.path}: the new file cannot be read back and was not kept; check the disk")


def _comment_of(target: Target, tags: TrackTags) -> str:
    return tags.comment if target.comment is None else target.comment


@contextmanager
def published(path: Path, comment: str) -> Iterator[Path]:
    """The name of an unfinished file to write, which becomes `path` if it then has this comment, and else is removed.

    Raises:
        MachineError: it cannot be written or read back.
    """
    part = part_of(path)
    with write_errors(path):
        make_folders(path.parent)
        part.unlink(missing_ok=True)
    try:
        yield part
        with write_errors(path):
            sync_file(part)
        if read_comment(part) != comment:
            raise MachineError(f"{path}: the new file cannot be read back and was not kept; check the disk")
        with write_errors(path):
            part.replace(path)
    except BaseException:  # a signal, too
        remove_part(part)
        raise
    sync_folder(path.parent)


def read_comment(path: Path) -> str | None:
    """The comment of a chapter file of any name; None unless it is complete and written by maya-batch.

    Never raises and never blocks, whatever is at `path`; does not follow symbolic links.
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
    """As `read_comment`; read again when the file has changed. A run needs each four times."""
    try:
        # The flags are for a file replaced since `lstat`: opening a FIFO would wait for a writer.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(file, "rb") as opened:
            start = opened.read(max(len(magic) for magic, _ in COMMENTS))
            for magic, comment in COMMENTS:
                if not start.startswith(magic):
                    continue
                opened.seek(0)
                # The parsers read untrusted bytes; any failure means that the file was not written here.
                with suppress(Exception):
                    if (found := comment(opened, os.fstat(file).st_size)) is not None:
                        return found
    except OSError:
        return None
    return None


def part_files(folder: Path) -> list[Path]:
    """The unfinished files of killed runs in `folder`, sorted. They are safe to remove while no run writes there."""
    return sorted(path for path in folder.glob(".*.part") if is_part(path) and path.is_file() and not path.is_symlink())


def is_part(path: Path) -> bool:
    """Whether a path has the name of an unfinished chapter or report."""
    return _PART.fullmatch(path.name) is not None
