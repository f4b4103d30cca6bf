"""Allows one run per book: the file `.maya/lock` is locked by the operating system while the process lives."""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from maya_batch.errors import BusyError, MachineError, UsageError
from maya_batch.files.atomic_write import part_of, remove_part
from maya_batch.files.safe_open import safe_folder, safe_open

log = logging.getLogger(__name__)

#: The errors of drives without locks: NFS without its lock service, SMB, FUSE.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}

#: What a run writes into `.maya` under another name first.
_RECORDS = (
    *("book.yaml", "model.lock", "choices.yaml"),
    *("chapters.json", "sound.json", "subtitles.json", "companions.json", "unclaimed.json"),
)

#: The start of the file, which names the process that has the lock.
_BEGINS = "process "


@contextmanager
def lock_book(folder: Path) -> Iterator[None]:
    """Lock the book whose `.maya` folder this is; the lock ends with the process.

    What a killed run left there unfinished is removed: a record that was being replaced, and is whole.

    Raises:
        BusyError: another run has locked it; the message names the process.
        UsageError: a file in the lock's place was not written by this program.
        MachineError: the folder cannot be written, or the disk is full.
    """
    path = folder / "lock"
    try:
        descriptor = safe_open(safe_folder(folder.parent, folder.name) / path.name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
    try:
        said = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        if said and not said.startswith(_BEGINS):
            raise UsageError(f"{path} exists and was not written by maya-batch; move it, or choose another --output")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"{folder.parent} is being rendered by {said or 'another run'}; wait for it, or stop it"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise MachineError(f"{path}: cannot be locked ({error.strerror})") from error
            log.warning(
                "%s: this drive has no locks (%s), so a second run of this book is not refused; start only one run",
                *(folder.parent, error.strerror),
            )
        else:
            for record in _RECORDS:
                if (part := part_of(folder / record)).is_file():
                    remove_part(part)
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        holder = f"{_BEGINS}{os.getpid()} on {socket.gethostname()} since {started}\n"
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.encode(), 0)
        except OSError as error:
            raise MachineError(f"{path}: cannot be written ({error.strerror})") from error
        yield
    finally:
        os.close(descriptor)
