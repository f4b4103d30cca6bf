"""A file appears whole or not at all: written under another name, synced to the disk, then renamed."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from maya_batch.errors import MachineError


def part_of(path: Path) -> Path:
    """The name under which `path` grows, in the same folder."""
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
    """Make the file `part`, have `write` fill it, and return when it is on the disk; it is removed if that fails.

    Raises:
        OSError: it cannot be written.
    """
    part.unlink(missing_ok=True)  # of a killed run; never written through, for it may be a link
    try:
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        remove_part(part)
        raise


def remove_part(part: Path) -> None:
    """Remove a file that did not become whole, as far as that is possible."""
    with suppress(OSError):
        part.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Return when a file that another writer closed is on the disk.

    Raises:
        OSError: that fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make what was renamed or made in this folder survive a power cut, where the drive can do that.

    Some network drives cannot; what was written is in place all the same.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """An OSError inside becomes a MachineError that names the file `path`."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full" if full else error.strerror or str(error)
        raise MachineError(f"{path}: cannot be written: {why}") from error
