"""Runs the ffmpeg that imageio-ffmpeg ships: once over some data, or fed while it runs.

Each process gets its own session, so that Ctrl-C reaches only this program and ffmpeg can finish.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

from maya_batch.errors import MachineError

BIT_EXACT = ("-fflags", "+bitexact", "-flags:a", "+bitexact")
"""Output options that keep ffmpeg's version and the time out of the file."""

REPRODUCIBLE = ("-map_metadata", "-1", *BIT_EXACT)
"""Output options that keep tags and all of these out of the file: the same sound gives the same bytes."""

_EXIT_TIMEOUT = 10
"""Seconds that ffmpeg has to exit after it closed its input."""

_ERROR = re.compile(r"(\[[^]]*\] )*\[(error|fatal|panic)\] ")
"""The beginning of a log line with an error: the parts of ffmpeg that print it, and the level."""


class FfmpegError(Exception):
    """ffmpeg failed. The message is the last error in its log, or its exit status."""


def ffmpeg_program() -> str:
    """The path of ffmpeg.

    Raises:
        MachineError: it is missing.
    """
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MachineError(f"no ffmpeg found: {error}") from error


def file_url(path: Path) -> str:
    """A path as an argument of ffmpeg. After `file:`, a colon in the name does not start a protocol."""
    return f"file:{path.absolute()}"


def run(arguments: Sequence[str], data: bytes = b"") -> bytes:
    """Run ffmpeg with `data` as its standard input; return its standard output.

    Raises:
        FfmpegError: ffmpeg failed.
        MachineError: ffmpeg is missing or does not start.
    """
    return _run("error", arguments, data).stdout


def run_for_log(arguments: Sequence[str]) -> str:
    """Run ffmpeg; return its log, with the summaries that some filters print.

    Raises:
        FfmpegError: ffmpeg failed.
        MachineError: ffmpeg is missing or does not start.
    """
    return _run("info", arguments, b"").stderr.decode(errors="replace")


def read_blocks(arguments: Sequence[str], block_bytes: int) -> Iterator[bytes]:
    """Run ffmpeg; its standard output in blocks, of which only the last one may be shorter.

    Raises:
        FfmpegError: ffmpeg failed.
        MachineError: ffmpeg is missing or does not start.
    """
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                _command("error", arguments), stdin=subprocess.DEVNULL, stdout=PIPE, stderr=log, start_new_session=True
            )
        except OSError as error:
            raise MachineError(f"ffmpeg does not start: {error}") from error
        try:
            assert process.stdout is not None  # a pipe
            while block := process.stdout.read(block_bytes):
                yield block
            if process.wait() != 0:
                log.seek(0)
                raise FfmpegError(_reason(log.read(), process.returncode))
        finally:
            process.kill()  # does nothing if it has exited
            process.communicate()


class FfmpegProcess:
    """A running ffmpeg that reads what this program writes to its standard input."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Start it.

        Raises:
            MachineError: ffmpeg is missing or does not start.
        """
        command = _command("error", arguments)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # not a pipe: it would fill up while data is written
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise MachineError(f"ffmpeg does not start: {error}") from error

    def write(self, data: bytes) -> None:
        """Write to its standard input.

        Raises:
            FfmpegError: it closed its input.
        """
        assert self._process.stdin is not None  # a pipe, see above
        try:
            self._process.stdin.write(data)
        except BrokenPipeError as error:
            raise self._failure() from error

    def close(self) -> None:
        """Close its input and wait until it exits.

        Raises:
            FfmpegError: it failed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError as error:
            raise self._failure() from error
        if self._process.wait() != 0:
            raise self._failure()
        self._log.close()

    def kill(self) -> None:
        """Kill it. Never raises; does nothing after `close`, or the second time."""
        self._process.kill()  # does nothing if the process has exited
        if self._process.stdin is not None:
            with suppress(OSError):  # closing flushes the buffer, which nothing reads
                self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def _failure(self) -> FfmpegError:
        try:
            status: int | None = self._process.wait(timeout=_EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            status = None
        self._log.seek(0)
        return FfmpegError(_reason(self._log.read(), status))


def _command(loglevel: str, arguments: Sequence[str]) -> list[str]:
    return [ffmpeg_program(), "-hide_banner", "-nostdin", "-loglevel", f"level+{loglevel}", *arguments]


def _run(loglevel: str, arguments: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    command = _command(loglevel, arguments)
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, start_new_session=True)
    except OSError as error:
        raise MachineError(f"ffmpeg does not start: {error}") from error
    if done.returncode:
        raise FfmpegError(_reason(done.stderr, done.returncode))
    return done


def _reason(log: bytes, status: int | None) -> str:
    """The reason of a failure, in one line."""
    lines = [line for line in log.decode(errors="replace").split("\n") if _ERROR.match(line)]
    if any("No space left" in line for line in lines):
        return "the disk is full"
    return _ERROR.sub("", lines[-1]).strip() if lines else f"it exited with status {status}"
