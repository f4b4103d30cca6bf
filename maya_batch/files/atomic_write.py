"""A small file that is there whole or as it was before."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from maya_batch.errors import MachineError
from maya_batch.files.safe_open import sync_folder


def part_of(path: Path) -> Path:
    """The name under which `path` grows, in the same folder."""
    return path.with_name(f".{path.name}.part")


def write_atomic(path: Path, content: bytes) -> None:
    """Write the file beside its place, through to the disk, and rename it.

    Raises:
        MachineError: it cannot be written; what was there is as it was.
    """
    part = part_of(path)
    try:
        part.unlink(missing_ok=True)  # of a killed run
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise  # a signal
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full" if full else error.strerror or str(error)
        raise MachineError(f"{path}: cannot be written: {why}") from error
    sync_folder(path.parent)
