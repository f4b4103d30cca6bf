"""Standard output and standard error that may be closed during a run: a run does not need its terminal."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from maya_batch.errors import EXIT_ENVIRONMENT, EXIT_WHOLE


class Stream(io.TextIOBase):
    """A standard stream that drops text which it cannot write, and keeps the error."""

    def __init__(self, stream: TextIO | None) -> None:
        """`stream` is None if the process was started without it."""
        self._stream = stream
        self.error: OSError | None = None
        """Why text was lost; None if none was."""
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):  # broken already, or closed
                stream.reconfigure(errors="backslashreplace")  # for titles that its encoding lacks letters for

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the underlying stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        """Always true: writing never fails."""
        return True

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the underlying stream."""
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write if possible."""
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._stream.write(text)
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Write out the buffer if possible."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def _lose(self, error: OSError | ValueError) -> None:
        if self.error is None:
            self.error = error if isinstance(error, OSError) else OSError(errno.EBADF, os.strerror(errno.EBADF))


def hold_descriptors() -> None:
    """Open /dev/null in place of closed standard streams: a file of the book must not get their descriptors, which
    libraries write their messages to.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(descriptor, True)


def keep_going() -> None:
    """From now on printing never fails, and a closed standard input reads as empty."""
    sys.stdout, sys.stderr = Stream(sys.stdout), Stream(sys.stderr)
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  (for as long as the process)


def check_shown() -> None:
    """Check that all printed text was written.

    Raises:
        OSError: some was not.
    """
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    if error is not None:
        raise OSError(error.errno, error.strerror, "standard output")


def close(exit_code: int) -> int:
    """Flush both streams; return `exit_code`, or `EXIT_ENVIRONMENT` instead of 0 if standard output lost text.

    A reader that closed the pipe, like `head`, is not an error.
    """
    try:
        check_shown()
    except OSError as error:
        if error.errno != errno.EPIPE:
            print(f"standard output cannot be written ({error.strerror}); what was printed is lost", file=sys.stderr)
            exit_code = EXIT_ENVIRONMENT if exit_code == EXIT_WHOLE else exit_code
    sys.stderr.flush()
    return exit_code
