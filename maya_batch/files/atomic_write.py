"""Writes a file whole or not at all: under another name, synced to the disk, then renamed."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from maya_batch.errors import MachineError


def part_of(path: Path) -> Path:
    """The name under which `path` is written, in the same folder."""
    return path.with_name(f".{path.name}.part")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a small file.

    Raises:
        MachineError: it cannot be written; the old file stays.
    """
    part = part_of(path)
    with write_errors(path):
        try:
            write_synced(part, lambda file: file.write(content))
            part.replace(path)
        except BaseException:  # a signal, too
            remove_part(part)
            raise
    sync_folder(path.parent)


def write_synced(part: Path, write: Callable[[BinaryIO], object]) -> None:
    """Create the file `part`, let `write` fill it, and sync it to the disk; it is removed if that fails.

    Raises:
        OSError: it cannot be written.
    """
    part.unlink(missing_ok=True)  # left by a killed run; not overwritten, because it may be a link
    try:
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        remove_part(part)
        raise


def remove_part(part: Path) -> None:
    """Remove an unfinished file if possible."""
    with suppress(OSError):
        part.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Sync a file that another writer closed to the disk.

    Raises:
        OSError: that fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames and new files in this folder survive a power cut, if the drive can.

    Some network drives cannot; the files are in place anyway.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Convert an OSError inside to a MachineError that names the file `path`."""
    try:
        yield
    except OSError as error:
        known = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk is full",
            errno.EISDIR: "there is a folder of this name; move it",
        }
        why = known.get(error.errno or 0) or error.strerror or str(error)
        raise MachineError(f"{path}: cannot be written: {why}") from error
