"""A command of the listener's own that is run when a run has ended."""

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

#: Seconds that the command may take. systemd gives a service 90 to end by default.
_PATIENCE = 60.0

#: Bytes of what the command printed that are looked at, and characters of its last line that are shown.
_TAIL, _LINE = 4096, 300


@dataclass
class Notice:
    """What the command is told."""

    exit_code: int = EXIT_WHOLE
    page: Path | None = None
    """The report's page; None as long as it is not known where that will be."""


def check_command(command: str | None) -> None:
    """Do nothing for a command that can be run, or none.

    Raises:
        UsageError: it cannot.
    """
    if command is not None:
        _words(command)


@contextmanager
def notifying(command: str | None) -> Iterator[Notice]:
    """Run `command` at the end, however the run inside ends, unless another run holds the book.

    Its last argument is the path of the report's page, empty where the run ended before it was known where that is: a
    book with mistakes, say. MAYA_BATCH_REPORT is the same, and MAYA_BATCH_EXIT_CODE how the
    run ends: as an error says, or as the notice was told. The command's own failure is a warning.
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
        raise UsageError(f"--notify {command}: not a command line ({str(error).lower()})") from error
    if not words:
        raise UsageError("--notify: an empty command; name a program, and its arguments")
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(f"--notify {command}: there is no program {words[0]}; give its whole path")
    return [str(Path(program).absolute()), *words[1:]]


def _notify(command: str | None, page: Path | None, exit_code: int) -> None:
    if command is None:
        return
    report = "" if page is None else str(page.absolute())
    told = {"MAYA_BATCH_EXIT_CODE": str(exit_code), "MAYA_BATCH_REPORT": report}
    # Not pipes: what the command leaves running may hold them for ever.
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
            log.warning("--notify %s: not done after %.0f s, and killed", command, _PATIENCE)
            return
        except BaseException:
            _kill(process)
            raise
        if status != 0:
            said.seek(max(said.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = said.read().decode(errors="replace").strip().splitlines()
            log.warning("--notify %s: ended with %d%s", command, status, f" ({lines[-1][-_LINE:]})" if lines else "")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the command and all it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
