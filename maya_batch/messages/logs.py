"""Sends messages to standard error as plain lines, and to files with the time."""

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from maya_batch.errors import MachineError, UsageError
from maya_batch.files.safe_open import make_folders, safe_folder, safe_open
from maya_batch.messages.printable import printable

_TIME = "%Y-%m-%d %H:%M:%S"

#: The log in a book's folder `.maya`.
_BOOK_LOG = "render.log"

#: The start of a line of a log.
_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+ ")


@dataclass(frozen=True)
class LoggedBook:
    """A book of a run over several, and its folder `.maya`."""

    title: str
    folder: Path


#: The book that messages are about; none in a run over one book, and in what concerns all.
_BOOK: ContextVar[LoggedBook | None] = ContextVar("book", default=None)


@contextmanager
def about(book: LoggedBook) -> Iterator[None]:
    """Inside, on this thread, messages begin with the book's title, and go to no other book's log."""
    token = _BOOK.set(book)
    try:
        yield
    finally:
        _BOOK.reset(token)


class _AboveBar(logging.Handler):
    """Writes plain lines to standard error, above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if "tqdm" not in sys.modules:  # no bar was ever shown
            print(line, file=sys.stderr)
            return
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)


class _LogFile(logging.FileHandler):
    """A log file; a write error does not stop the run."""

    _failed = False

    def __init__(self, path: Path, ours: bool) -> None:
        """`ours`: the path is this program's own, so it must be a regular file, and no link is followed."""
        self._ours = ours
        super().__init__(path, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        path = Path(self.baseFilename)
        descriptor = safe_open(path, flags) if self._ours else os.open(path, flags, 0o644)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Report once on standard error that lines are missing in the file."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            why = error.strerror or str(error)
            line = f"{self.baseFilename}: cannot be written ({why}); messages are lost there"
            print(printable(line), file=sys.stderr)


class _OneLine(logging.Formatter):
    """The message in one line; tracebacks are only in files."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(_titled(record.getMessage()))


class _Dated(logging.Formatter):
    """A line that starts with the time; a traceback and further lines of libraries follow indented, so that only
    messages start at the margin.
    """

    titled = True
    """Whether a message that is about a book begins with its title."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        first, *more = [message] if record.name.startswith("maya_batch") else message.splitlines() or [""]
        first = _titled(first) if self.titled else first
        if record.exc_info:
            more += self.formatException(record.exc_info).splitlines()
        lines = [f"{self.formatTime(record, _TIME)} {record.levelname} {printable(first)}"]
        return "\n".join([*lines, *(f"    {printable(line)}" for line in more)])


class _Undivided(_Dated):
    """As `_Dated`, for the log of one book."""

    titled = False


def _titled(message: str) -> str:
    book = _BOOK.get()
    return message if book is None else f"{book.title}: {message}"


def log_to_terminal(quiet: bool, verbose: bool) -> None:
    """Show this program's messages: only warnings if quiet, details if verbose.

    Messages of libraries go to files only.
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
    """Append all messages, those of libraries too, to the file of --log-file.

    Raises:
        UsageError: the file exists and is not a log of this program.
        MachineError: it cannot be written.
    """
    if path.is_file() and not _is_log(path):
        raise UsageError(f"--log-file {path} exists and is not a log of maya-batch; choose another name")
    _log_to(path, ours=False)


def log_to_book(folder: Path) -> None:
    """Append all messages, but for those about other books, to `render.log` in a book's folder `.maya`.

    The folder is created if missing.

    Raises:
        MachineError: it cannot be written.
    """
    handler = _log_to(folder / _BOOK_LOG, ours=True)
    handler.set_name(str(folder))
    handler.addFilter(lambda _: (_BOOK.get() or LoggedBook("", folder)).folder == folder)


def close_book_log(folder: Path) -> None:
    """End what `log_to_book` began, if it did."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if one.get_name() == str(folder)]:
        root.removeHandler(handler)
        handler.close()


def _is_log(path: Path) -> bool:
    """Whether a file is empty or starts like a log."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror})") from error
    return not head or _LINE.match(head) is not None


def _log_to(path: Path, ours: bool) -> logging.Handler:
    try:
        if ours:
            safe_folder(path.parent.parent, path.parent.name)
        else:
            make_folders(path.parent)
        handler = _LogFile(path, ours)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror})") from error
    handler.setFormatter(_Undivided() if ours else _Dated())
    logging.getLogger().addHandler(handler)
    return handler
