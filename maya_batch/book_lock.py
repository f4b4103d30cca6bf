"""One run a book: the file `.maya/lock`, held by the operating system for as long as the process lives."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from maya_batch.errors import BusyError, MachineError


@contextmanager
def hold_book(folder: Path) -> Iterator[None]:
    """Hold the book whose `.maya` folder this is; a process that dies lets go of it by dying.

    Raises:
        BusyError: another run holds it; the message says who.
        MachineError: the folder cannot be written, or the disk is full.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another run"
            raise BusyError(f"{folder.parent} is being rendered by {holder}; wait for it, or stop it") from error
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {socket.gethostname()} since {started}\n"
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.encode(), 0)
        except OSError as error:
            raise MachineError(f"{path}: cannot be written ({error.strerror})") from error
        yield
    finally:
        os.close(descriptor)
