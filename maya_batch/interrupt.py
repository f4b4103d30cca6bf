"""Signals: they end a run between two frames while the model generates, and at once everywhere else.

This module is loaded first and imports little: a signal that comes before `install` cannot be caught.
"""

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from maya_batch.exit_codes import EXIT_STOPPED
from maya_batch.wording import STOPPED

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: Seconds until a signal that was lost is raised again.
_SOON = 0.01


class Interruption(BaseException):
    """A signal to stop. Not a KeyboardInterrupt, for which Typer has its own exit code, and not an Exception, which
    an error handler could swallow.
    """

    def __init__(self, line: str = STOPPED) -> None:
        super().__init__(line)


class Stop:
    """Whether this process was told to stop. Without `install`, no signal is noticed."""

    def __init__(self) -> None:
        self.requested = self._later = False
        self._line: str | None = None
        self._exit_code: int | None = None

    def install(self) -> None:
        """From now on SIGTERM, SIGINT and SIGHUP end the process at once with one line, or are raised inside
        `interrupts`. A second SIGTERM or SIGINT ends the process at once in any case.

        A SIGHUP that was ignored when the process started stays ignored, as nohup needs it.
        """
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # after a restart, see `signals_blocked`

    def request(self) -> None:
        """Tell the run to stop; any thread may do that."""
        self.requested = True

    @contextmanager
    def interrupts(self, line: str = STOPPED) -> Iterator[None]:
        """Inside, a signal is raised as an Interruption with the message `line`, so that open work is cleaned up."""
        before, printed = self._line, sys.unraisablehook

        def unraisable(lost: "sys.UnraisableHookArgs") -> None:
            if isinstance(lost.exc_value, Interruption):
                self._raise_soon()
            else:
                printed(lost)

        self._line, sys.unraisablehook = line, unraisable
        try:
            yield
        finally:
            self._line, sys.unraisablehook = before, printed

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal is only noted; `check` raises it, at the latest at the end."""
        with self._set(True):
            yield
        if not self._later:
            self.check()

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Inside, a signal is raised when it comes, even inside a `deferred`."""
        with self._set(False):
            self.check()
            yield

    def check(self) -> None:
        """Raise an Interruption if a signal was noted."""
        if self.requested:
            raise Interruption(self._line or STOPPED)

    def finished(self, exit_code: int) -> None:
        """The exit code is settled and all is printed: from now on signals change nothing."""
        self._exit_code = exit_code
        # At exit Python restores the default signal handlers, so signals are ignored from there on.
        atexit.register(_ignore)

    @contextmanager
    def _set(self, later: bool) -> Iterator[None]:
        before, self._later = self._later, later
        try:
            yield
        finally:
            self._later = before

    def _hear(self, number: int, _frame: object) -> None:
        if self._exit_code is not None:
            os._exit(self._exit_code)
        if self.requested:
            # A closing terminal may send SIGHUP twice; only a person or a service sends the others again.
            if number != signal.SIGHUP:
                os._exit(EXIT_STOPPED)
            return
        self.requested = True
        if self._later:
            return
        if self._line is not None:
            raise Interruption(self._line)
        # Nothing is open that an exception would clean up, and an exception inside an import may be lost.
        with suppress(OSError):
            os.write(2, f"{STOPPED}\n".encode())
        os._exit(EXIT_STOPPED)

    def _raise_soon(self) -> None:
        """Raise an Interruption again that was raised where Python only prints it, for example in a finalizer."""
        signal.signal(signal.SIGALRM, self._remind)
        signal.setitimer(signal.ITIMER_REAL, _SOON)

    def _remind(self, _number: int, _frame: object) -> None:
        if self._line is not None and not self._later:
            raise Interruption(self._line)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Inside, signals are blocked; a process started inside never gets them, unless it unblocks them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
