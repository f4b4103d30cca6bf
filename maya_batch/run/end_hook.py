"""The command of --notify, which runs when a render has ended."""

import logging
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from maya_batch.errors import EXIT_WHOLE, BusyError, UsageError, exit_code_of

log = logging.getLogger(__name__)

#: Seconds that the command may take; less than the 90 that systemd gives a service to end.
_PATIENCE = 60.0

#: Bytes read from the end of what the command printed, and characters shown of its last line.
_TAIL, _LINE = 4096, 300


@dataclass
class Notice:
    """What the command is told about the run."""

    exit_code: int = EXIT_WHOLE
    page: Path | None = None
    """The path of report.html; None while it is not known."""


def check_command(command: str | None) -> None:
    """Raise a UsageError if the command cannot be run. None is no command."""
    if command is not None:
        _words(command)


@contextmanager
def notifying(command: str | None) -> Iterator[Notice]:
    """Run `command` when the run inside has ended, with or without an error, unless another run has locked the book.

    Its last argument and MAYA_BATCH_REPORT are the path of report.html, empty if the run ended before the path was
    known (a book with mistakes). MAYA_BATCH_EXIT_CODE is the run's exit code. A failure of the command is a warning.
    """
    notice = Notice()
    try:
        yield notice
    except BusyError:
        raise
    except BaseException as error:
        _notify(command, notice.page, exit_code_of(error))
        raise
    _notify(command, notice.page, notice.exit_code)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--notify {command}: cannot be read as a command ({str(error).lower()})") from error
    if not words:
        raise UsageError("--notify: empty command; give a program and its arguments")
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(f"--notify {command}: program {words[0]} not found; give its full path")
    return [str(Path(program).absolute()), *words[1:]]


def _notify(command: str | None, page: Path | None, exit_code: int) -> None:
    if command is None:
        return
    report = "" if page is None else str(page.absolute())
    told = {"MAYA_BATCH_EXIT_CODE": str(exit_code), "MAYA_BATCH_REPORT": report}
    # No pipes: a process that the command leaves running could hold them open for ever.
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                [*_words(command), report],
                env={**os.environ, **told},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        except (OSError, UsageError) as error:
            log.warning("--notify %s: %s", command, error)
            return
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            _kill(process)
            log.warning("--notify %s: killed after %.0f s", command, _PATIENCE)
            return
        except BaseException:
            _kill(process)
            raise
        if status != 0:
            said.seek(max(said.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = said.read().decode(errors="replace").strip().splitlines()
            log.warning(
                "--notify %s: failed with exit code %d%s", command, status, f" ({lines[-1][-_LINE:]})" if lines else ""
            )


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the command and all processes it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
