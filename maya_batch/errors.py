"""Errors that are shown to a person without a traceback, and their exit codes."""

from collections.abc import Sequence
from dataclasses import dataclass

from maya_batch.exit_codes import EXIT_BUSY as EXIT_BUSY
from maya_batch.exit_codes import EXIT_ENVIRONMENT as EXIT_ENVIRONMENT
from maya_batch.exit_codes import EXIT_PROBLEMS as EXIT_PROBLEMS
from maya_batch.exit_codes import EXIT_STOPPED as EXIT_STOPPED
from maya_batch.exit_codes import EXIT_UNEXPECTED as EXIT_UNEXPECTED
from maya_batch.exit_codes import EXIT_USAGE as EXIT_USAGE
from maya_batch.exit_codes import EXIT_WHOLE as EXIT_WHOLE
from maya_batch.interrupt import Interruption

#: Findings listed in a message, and characters of each text and each file name in it: a wrong text may be as long as
#: the file.
_MOST_LISTED, _LONGEST_WORDS, _LONGEST_PATH = 50, 500, 4096


@dataclass(frozen=True)
class Finding:
    """A mistake in a file that a person wrote.

    `line` and `column` count from 1, in characters. `what` says what is wrong, `mend` how to correct it.
    """

    file: str
    line: int
    column: int
    what: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f"; {_cut(self.mend, _LONGEST_WORDS)}" if self.mend else ""
        what = _cut(self.what, _LONGEST_WORDS)
        return f"{_cut(self.file, _LONGEST_PATH)}:{self.line}:{self.column}: {what}{mend}"


def listed_lines(mistakes: Sequence[object]) -> list[str]:
    """The first mistakes, one a line, and a line that counts the rest."""
    more = len(mistakes) - _MOST_LISTED
    lines = [str(mistake) for mistake in mistakes[:_MOST_LISTED]]
    return [*lines, f"… and {more:,} more mistake{'s' if more > 1 else ''}"] if more > 0 else lines


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


class MayaBatchError(Exception):
    """The base of all errors that a person is meant to read; the program ends with `exit_code`."""

    exit_code = EXIT_UNEXPECTED

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The message, line by line."""
        return [str(line) for line in self.args]


class UsageError(MayaBatchError):
    """The command line or a setting asks for something impossible."""

    exit_code = EXIT_USAGE


class ManifestError(UsageError):
    """A book has mistakes. The message lists the first ones in the order of the file; `findings` has them all."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = sorted(set(findings), key=lambda f: (f.file, f.line, f.column, f.what))
        super().__init__()

    def lines(self) -> list[str]:
        """One line for each of the first mistakes, and one that counts the others."""
        return listed_lines(self.findings)

    def __reduce__(self) -> tuple[type["ManifestError"], tuple[list[Finding]]]:
        """Pickle the findings: by default an exception is pickled with its message only."""
        return ManifestError, (self.findings,)


class MachineError(MayaBatchError):
    """Something is missing or broken on the machine: a model, a GPU, memory, disk space, ffmpeg."""

    exit_code = EXIT_ENVIRONMENT


class GpuLostError(MachineError):
    """The GPU failed, and only a new process can use it again."""


class BusyError(MayaBatchError):
    """Another run has locked the book."""

    exit_code = EXIT_BUSY


class StoppedError(MayaBatchError):
    """The run was told to stop before its end; finished takes are saved, and the next run continues."""

    exit_code = EXIT_STOPPED


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type: to quote errors of libraries in a message of one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def exit_code_of(error: BaseException) -> int:
    """The exit code of a program that this error ends."""
    if is_of_a_signal(error):
        return EXIT_STOPPED
    if isinstance(error, MayaBatchError):
        return error.exit_code
    if isinstance(error, OSError):  # a full disk, an unreadable folder: the machine, not the program
        return EXIT_ENVIRONMENT
    return EXIT_UNEXPECTED if isinstance(error, Exception) else EXIT_STOPPED  # a signal is not an Exception


def is_of_a_signal(error: BaseException | None) -> bool:
    """Whether an Interruption caused an error, because it was raised inside the code of a library.

    Python 3.11 turns everything raised within `__set_name__` into a RuntimeError, and clean-up code may fail on work
    that was not finished. A full disk is an error by itself, whatever came before it.
    """
    while error is not None and not isinstance(error, Interruption):
        known = isinstance(error, MayaBatchError | OSError)
        error = error.__cause__ or (None if known else error.__context__)
    return error is not None
