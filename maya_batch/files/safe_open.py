"""Opens the program's files in an output folder: follows no link out of it, and never blocks on a pipe."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from maya_batch.files.atomic_write import sync_folder

#: Bytes of one read, for a file that grows while it is read or that a network drive returns in parts.
_PART = 2**20


def safe_read(path: Path | str, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it is a link, a folder, a pipe or a device, it is larger, or it cannot be read; `strerror` says which.
    """
    descriptor = safe_open(path, os.O_RDONLY)
    try:
        # Not through a file object, which is slower: a book of a million words has 28,000 takes.
        content = part = os.read(descriptor, min(os.fstat(descriptor).st_size, limit) + 1)
        while part and len(content) <= limit:
            part = os.read(descriptor, min(limit + 1 - len(content), _PART))
            content += part
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit} bytes", str(path))
    return content


def safe_open(path: Path | str, flags: int) -> int:
    """The descriptor of a regular file, opened with these flags of `os.open`, which may create it.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it is a link, a folder, a pipe or a device, or it cannot be opened; `strerror` says which.
    """
    try:
        # With O_NONBLOCK, opening a pipe for writing is an error if it has no reader; without it, it would wait.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        what = {errno.ELOOP: "is a link", errno.ENXIO: "is not a regular file", errno.EISDIR: "is a folder"}
        if error.errno in what:
            raise OSError(error.errno, what[error.errno], str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return descriptor


def safe_folder(root: Path, *names: str) -> Path:
    """The folder of these names below `root`, created if missing and synced to the disk.

    Raises:
        OSError: one of them is a link or is not a folder, or cannot be created; `strerror` says which.
    """
    make_folders(root)
    folder = root
    for name in names:
        folder /= name
        _make(folder)
        if not stat.S_ISDIR(mode := folder.lstat().st_mode):
            what = "is a link" if stat.S_ISLNK(mode) else "is not a folder"
            raise OSError(errno.ENOTDIR, what, str(folder))
    return folder


def make_folders(folder: Path) -> None:
    """Create a folder and its missing parents; links in the path are followed.

    Raises:
        OSError: it cannot be created.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder == folder.parent:
            break
        folder = folder.parent
    for folder in reversed(missing):
        _make(folder)


def is_inside(folder: Path, root: Path) -> bool:
    """Whether a folder below `root` exists, without a link between the two."""
    while folder != root:
        try:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                return False
        except OSError:
            return False
        folder = folder.parent
    return True


def _make(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir()
        sync_folder(folder.parent)
