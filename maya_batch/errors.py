"""Errors that are shown to a person as they are, without a traceback, and the exit codes they carry."""

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

#: Findings that a message lists, and characters that each may have in what it says, how to mend it and its file's name:
#: what is wrong may be as long as the file.
_MOST_LISTED, _LONGEST_WORDS, _LONGEST_PATH = 50, 500, 4096


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a file a person wrote.

    `line` and `column` count from 1, in characters. `what` says what is wrong, `mend` how to put it right.
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
    """The first of many mistakes, a line each, and a line that counts the rest."""
    more = len(mistakes) - _MOST_LISTED
    lines = [str(mistake) for mistake in mistakes[:_MOST_LISTED]]
    return [*lines, f"… and {more:,} more mistake{'s' if more > 1 else ''}"] if more > 0 else lines


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


class MayaBatchError(Exception):
    """The root of all errors a person is meant to read; ends the program with `exit_code`."""

    exit_code = EXIT_UNEXPECTED

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """What there is to read, line by line."""
        return [str(line) for line in self.args]


class UsageError(MayaBatchError):
    """What was asked for cannot be done as it was asked."""

    exit_code = EXIT_USAGE


class ManifestError(UsageError):
    """A book has mistakes; the first ones are listed, one a line, in the order of the file; `findings` has them all."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = sorted(set(findings), key=lambda f: (f.file, f.line, f.column, f.what))
        super().__init__()

    def lines(self) -> list[str]:
        """One for each of the first mistakes, and one that counts the others."""
        return listed_lines(self.findings)

    def __reduce__(self) -> tuple[type["ManifestError"], tuple[list[Finding]]]:
        """Exceptions are made anew from their message, when one comes from another process; this one is not."""
        return ManifestError, (self.findings,)


class MachineError(MayaBatchError):
    """The machine lacks something: a model, a GPU, memory, disk space, ffmpeg."""

    exit_code = EXIT_ENVIRONMENT


class GpuLostError(MachineError):
    """The GPU failed in mid-run, and nothing in this process can use it any more; a new process may."""


class BusyError(MayaBatchError):
    """Another run holds the book."""

    exit_code = EXIT_BUSY


class StoppedError(MayaBatchError):
    """The run was told to stop before its end; what is stored stays and the next run goes on."""

    exit_code = EXIT_STOPPED


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its name: for those of other libraries, within a message of one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def exit_code_of(error: BaseException) -> int:
    """How a program ends that this error ends."""
    if is_of_a_signal(error):
        return EXIT_STOPPED
    if isinstance(error, MayaBatchError):
        return error.exit_code
    if isinstance(error, OSError):  # a disk that is full, a folder that cannot be read: the machine, not the program
        return EXIT_ENVIRONMENT
    return EXIT_UNEXPECTED if isinstance(error, Exception) else EXIT_STOPPED  # a signal is no Exception


def is_of_a_signal(error: BaseException | None) -> bool:
    """Whether an error is there only because an Interruption was raised in the midst of other people's code.

    Python 3.11 makes a RuntimeError of all that is raised within `__set_name__`, and what tidies up there may stumble
    over what was not done. That a disk is full is the case whatever came before it.
    """
    while error is not None and not isinstance(error, Interruption):
        known = isinstance(error, MayaBatchError | OSError)
        error = error.__cause__ or (None if known else error.__context__)
    return error is not None
