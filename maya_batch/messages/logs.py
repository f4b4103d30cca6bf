"""Where messages go: plain lines to standard error, and with the time to files."""

import logging
import os
import re
import sys
from io import TextIOWrapper
from pathlib import Path

from tqdm import tqdm

from maya_batch.errors import MachineError, UsageError
from maya_batch.files.safe_open import make_folders, safe_folder, safe_open
from maya_batch.messages.printable import printable

_TIME = "%Y-%m-%d %H:%M:%S"

#: How a line of a log begins.
_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+ ")


class _AboveBar(logging.Handler):
    """Plain lines to standard error, above a bar that is drawn there."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


class _LogFile(logging.FileHandler):
    """A file that grows as long as the disk takes it: the book does not end for want of its log."""

    _failed = False

    def __init__(self, path: Path, ours: bool) -> None:
        """`ours` says that the path is this program's own: then it is a file, and no link is followed."""
        self._ours = ours
        super().__init__(path, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        path = Path(self.baseFilename)
        descriptor = safe_open(path, flags) if self._ours else os.open(path, flags, 0o644)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Say once on standard error that the file lacks lines."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            why = error.strerror or str(error)
            line = f"{self.baseFilename}: cannot be written ({why}); messages are lost there"
            print(printable(line), file=sys.stderr)


class _OneLine(logging.Formatter):
    """What is said, without the traceback that files have of it."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(record.getMessage())


class _Dated(logging.Formatter):
    """A line that begins with the time; a traceback and what libraries say in several lines follow it, indented, so
    that nothing but a message begins as one does.
    """

    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        first, *more = [said] if record.name.startswith("maya_batch") else said.splitlines() or [""]
        if record.exc_info:
            more += self.formatException(record.exc_info).splitlines()
        lines = [f"{self.formatTime(record, _TIME)} {record.levelname} {printable(first)}"]
        return "\n".join([*lines, *(f"    {printable(line)}" for line in more)])


def log_to_terminal(quiet: bool, verbose: bool) -> None:
    """Show this program's messages: warnings alone when quiet, details when verbose.

    Messages of libraries are not a person's business; they go to files.
    """
    root = logging.getLogger()
    root.handlers.clear()
    root.addHandler(logging.NullHandler())
    root.setLevel(logging.WARNING)
    ours = logging.getLogger("maya_batch")
    ours.handlers.clear()
    handler = _AboveBar()
    handler.setFormatter(_OneLine())
    handler.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)


def log_to_file(path: Path) -> None:
    """Append all messages, those of libraries too, to a file that a person named.

    Raises:
        UsageError: it is there, and is no log of this program's.
        MachineError: it cannot be written.
    """
    if path.is_file() and not _is_log(path):
        raise UsageError(f"--log-file {path}: it was not written by maya-batch; choose another name")
    _log_to(path, ours=False)


def log_to_book(folder: Path) -> None:
    """Append all messages to `render.log` in a book's folder `.maya`, which is made.

    Raises:
        MachineError: it cannot be written.
    """
    _log_to(folder / "render.log", ours=True)


def _is_log(path: Path) -> bool:
    """Whether a file is empty, or begins as a log does."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror})") from error
    return not head or _LINE.match(head) is not None


def _log_to(path: Path, ours: bool) -> None:
    try:
        if ours:
            safe_folder(path.parent.parent, path.parent.name)
        else:
            make_folders(path.parent)
        handler = _LogFile(path, ours)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror})") from error
    handler.setFormatter(_Dated())
    logging.getLogger().addHandler(handler)
