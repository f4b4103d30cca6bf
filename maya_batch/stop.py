"""Signals that end a run: between two frames while the model speaks, at once everywhere else."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from maya_batch.errors import EXIT_STOPPED

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interruption(BaseException):
    """A signal to stop. Not a KeyboardInterrupt, which Typer would end with an exit code of its own, and no
    Exception, which a handler of errors might take for one.
    """

    def __init__(self) -> None:
        super().__init__("stopped; what is stored stays, and the same command goes on from there")


class Stop:
    """Whether this process was told to stop. Without `listen`, it never is."""

    def __init__(self) -> None:
        self._told = self._later = False

    def listen(self) -> None:
        """From now on SIGTERM, SIGINT and SIGHUP stop the run, and a second SIGTERM or SIGINT ends the process at once.

        A SIGHUP that was ignored when the process began stays so: nohup wants it.
        """
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # `hold_back` of a run that began anew

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Inside, a signal is only noted, for `check` to raise; at the latest it is raised at the end."""
        with self._set(True):
            yield
        if not self._later:
            self.check()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a signal is raised when it comes, even if all this is inside a `put_off`."""
        with self._set(False):
            self.check()
            yield

    def check(self) -> None:
        """Do nothing as long as no signal was noted.

        Raises:
            Interruption: one was.
        """
        if self._told:
            raise Interruption

    @contextmanager
    def _set(self, later: bool) -> Iterator[None]:
        before, self._later = self._later, later
        try:
            yield
        finally:
            self._later = before

    def _hear(self, number: int, _frame: object) -> None:
        if self._told:
            # A terminal that closes may tell a process twice by itself; only a person or a service asks again.
            if number != signal.SIGHUP:
                os._exit(EXIT_STOPPED)
            return
        self._told = True
        if not self._later:
            raise Interruption


def hold_back() -> None:
    """Have signals wait until `listen`: the process is about to run its program anew."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
