"""Signals: they end a run between two frames while the model speaks, and at once everywhere else.

This is loaded before all else, and imports little: a signal that comes before `install` cannot be caught.
"""

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from maya_batch.exit_codes import EXIT_STOPPED

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: What a command says that was interrupted, and what one says that goes on where it was.
STOPPED = "stopped"
GOES_ON = f"{STOPPED}; what is stored stays, and the same command goes on from there"

#: Seconds until a signal that was lost is raised once more.
_SOON = 0.01


class Interruption(BaseException):
    """A signal to stop. Not a KeyboardInterrupt, which Typer would end with an exit code of its own, and no
    Exception, which a handler of errors might take for one.
    """

    def __init__(self, line: str = STOPPED) -> None:
        super().__init__(line)


class Stop:
    """Whether this process was told to stop. Without `install`, it never is."""

    def __init__(self) -> None:
        self.requested = self._later = False
        self._line: str | None = None
        self._exit_code: int | None = None

    def install(self) -> None:
        """From now on SIGTERM, SIGINT and SIGHUP end the process at once, with one line, or are raised inside
        `interrupts`. A second SIGTERM or SIGINT ends the process wherever it is.

        A SIGHUP that was ignored when the process began stays so: nohup wants it.
        """
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # `signals_blocked` of a run that began anew

    @contextmanager
    def interrupts(self, line: str = STOPPED) -> Iterator[None]:
        """Inside, a signal is raised as an Interruption that says `line`: what was begun is put away."""
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
        """Inside, a signal is only noted, for `check` to raise; at the latest it is raised at the end."""
        with self._set(True):
            yield
        if not self._later:
            self.check()

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Inside, a signal is raised when it comes, even if all this is inside a `deferred`."""
        with self._set(False):
            self.check()
            yield

    def check(self) -> None:
        """Do nothing as long as no signal was noted.

        Raises:
            Interruption: one was.
        """
        if self.requested:
            raise Interruption(self._line or STOPPED)

    def finished(self, exit_code: int) -> None:
        """All is done and printed, and the exit code is settled: a signal changes nothing any more."""
        self._exit_code = exit_code
        # What is left after this are modules' ends, in which Python takes back its handlers of signals.
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
            # A terminal that closes may tell a process twice by itself; only a person or a service asks again.
            if number != signal.SIGHUP:
                os._exit(EXIT_STOPPED)
            return
        self.requested = True
        if self._later:
            return
        if self._line is not None:
            raise Interruption(self._line)
        # Nothing is begun that an exception would put away, and one that is raised within an import may be lost.
        with suppress(OSError):
            os.write(2, f"{STOPPED}\n".encode())
        os._exit(EXIT_STOPPED)

    def _raise_soon(self) -> None:
        """An Interruption came up in a finalizer, say, where Python can only print it: raise it outside of that."""
        signal.signal(signal.SIGALRM, self._remind)
        signal.setitimer(signal.ITIMER_REAL, _SOON)

    def _remind(self, _number: int, _frame: object) -> None:
        if self._line is not None and not self._later:
            raise Interruption(self._line)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Inside, signals wait; a process or program that is started inside never hears them, unless it listens."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
