"""Standard output and standard error as they are when they go away: a run does not need its terminal."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from maya_batch.errors import EXIT_ENVIRONMENT, EXIT_WHOLE


class Stream(io.TextIOBase):
    """A standard stream; what it does not take is dropped, and why is kept."""

    def __init__(self, stream: TextIO | None) -> None:
        """`stream` is None where the process was started without one."""
        self._stream = stream
        self.error: OSError | None = None
        """Why something that was written did not arrive."""
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):  # broken already, or closed
                stream.reconfigure(errors="backslashreplace")  # a title or file name that it has no letters for

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream beneath."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        """It always is, as far as who writes needs to know."""
        return True

    def isatty(self) -> bool:
        """Whether a person is looking on."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream beneath."""
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write as far as that is possible."""
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._stream.write(text)
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Have it written what was kept back."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def _lose(self, error: OSError | ValueError) -> None:
        if self.error is None:
            self.error = error if isinstance(error, OSError) else OSError(errno.EBADF, os.strerror(errno.EBADF))


def hold_descriptors() -> None:
    """Open /dev/null in the place of standard streams that are closed, before a file of a book gets their numbers, into
    which libraries would write their messages.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(descriptor, True)


def keep_going() -> None:
    """From now on printing never fails, and a question gets no answer where standard input is closed."""
    sys.stdout, sys.stderr = Stream(sys.stdout), Stream(sys.stderr)
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  (for as long as the process)


def check_shown() -> None:
    """Do nothing if all that was printed has arrived.

    Raises:
        OSError: it has not.
    """
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    if error is not None:
        raise OSError(error.errno, error.strerror, "standard output")


def close(exit_code: int) -> int:
    """Print what is left; the exit code, of `exit_code` and that standard output was not all written.

    A reader that has gone away, like `head`, wants no more: that is no error.
    """
    try:
        check_shown()
    except OSError as error:
        if error.errno != errno.EPIPE:
            print(f"standard output cannot be written ({error.strerror}); what was printed is lost", file=sys.stderr)
            exit_code = EXIT_ENVIRONMENT if exit_code == EXIT_WHOLE else exit_code
    sys.stderr.flush()
    return exit_code
