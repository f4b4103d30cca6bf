"""Standard output and standard error that go away: a run goes on without, and what was to be read is an error."""

import errno
import io
import os
import random
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maya_batch.messages.standard_streams import Stream
from maya_batch.wording import problems_recorded
from tests.support.fakes import TinyBook
from tests.support.forked_run import launch, start

ROOT = Path(__file__).parents[2]
TEXT = {"One": [f"The night was dark {number}." for number in range(9)], "Two": ["The rain was gone.", "Endless talk."]}


def shell(line: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A line of a shell in which `$MAYA` is the program with stand-ins; its exit code is that of the program."""
    program = shlex.join([sys.executable, "-B", "-m", "tests.support.fake_run"])
    script = f"set -o pipefail; {line.replace('$MAYA', program)}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", script, "-", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


def content(folder: Path) -> dict[str, bytes]:
    """All files of a book that a listener has, and its takes."""
    files = [*folder.glob("*.wav"), *(folder / ".maya" / "takes").rglob("*.npz")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def whole(tiny: TinyBook) -> dict[str, bytes]:
    """What an unbroken run makes of the book, which is gone again."""
    tiny.write(TEXT)
    assert start(tiny.path).end() == 3
    made = content(tiny.output)
    assert len(made) == 2 + 13  # the endless one has three takes
    tiny.output.rename(tiny.folder / "unbroken")
    return made


# --- a stream ----------------------------------------------------------------------------------------------------


class Full(io.StringIO):
    """A stream on a disk that is full, from some moment on."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_what_a_stream_does_not_take_is_dropped_and_the_first_reason_kept() -> None:
    below = Full()
    stream = Stream(below)
    print("one", file=stream)
    assert stream.error is None
    below.full = True
    print("two", file=stream)
    below.full = False
    print("three", file=stream)
    below.close()
    print("four", file=stream)
    stream.flush()
    assert stream.error is not None
    assert stream.error.errno == errno.ENOSPC


def test_a_stream_that_never_was_loses_what_is_written_only() -> None:
    stream = Stream(None)
    stream.flush()
    assert (stream.error, stream.isatty()) == (None, False)
    stream.write("x")
    assert stream.error is not None
    assert stream.error.errno == errno.EBADF


# --- a run without its terminal ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ['$MAYA render "$1" 2>&1 | head -1', '$MAYA render "$1" 2>/dev/full', '$MAYA render "$1" --quiet 2>&- >&- <&-'],
)
def test_a_run_does_not_need_its_terminal(line: str, tiny: TinyBook, whole: dict[str, bytes]) -> None:
    said = shell(line, tiny.path)
    assert (said.returncode, said.stderr) == (3, "")
    assert content(tiny.output) == whole
    assert problems_recorded("problem") in (tiny.output / ".maya" / "render.log").read_text()


def lose_terminal() -> None:
    """In the new process: standard error is the pipe that FAKE_TERMINAL names."""
    descriptor = os.open(os.environ["FAKE_TERMINAL"], os.O_WRONLY)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


@pytest.mark.parametrize("times", [6, pytest.param(20, marks=pytest.mark.soak)])
def test_a_terminal_that_is_lost_at_any_moment_changes_nothing(
    times: int, tiny: TinyBook, whole: dict[str, bytes]
) -> None:
    drawn, terminal, lost = random.Random(15), tiny.folder / "terminal", 0
    os.mkfifo(terminal)
    for _ in range(times):
        run = start(tiny.path, prepare=lose_terminal, FAKE_BATCH=0.02, FAKE_CLIP=0.002, FAKE_TERMINAL=terminal)
        with terminal.open("rb") as reader:
            time.sleep(drawn.uniform(0, 0.4))
            os.set_blocking(reader.fileno(), False)
            lost += b"report: " not in (reader.read() or b"")
        assert run.end() == 3
        assert content(tiny.output) == whole
        assert "report: " in (tiny.output / ".maya" / "render.log").read_text()
        tiny.output.rename(tiny.folder / f"lost-{time.monotonic_ns()}")
    assert lost >= times // 4  # in the midst of the run, that is


def test_files_of_a_book_do_not_get_the_numbers_of_streams_that_are_closed(tmp_path: Path) -> None:
    script = "import os; from maya_batch.messages.standard_streams import hold_descriptors; hold_descriptors(); "
    script += f"number = os.open({str(tmp_path / 'take')!r}, os.O_CREAT | os.O_WRONLY); os._exit(number)"
    said = subprocess.run(["bash", "-c", f"exec {sys.executable} -c {shlex.quote(script)} <&- >&- 2>&-"], cwd=ROOT)
    assert said.returncode == 3


# --- what was to be read -----------------------------------------------------------------------------------------


@pytest.fixture
def book(tiny: TinyBook) -> Path:
    tiny.write(TEXT)
    return tiny.path


@pytest.mark.parametrize("command", ["plan", "status"])
@pytest.mark.parametrize(("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_a_command_whose_output_is_lost_says_so(command: str, where: str, why: str, book: Path) -> None:
    said = shell(f'$MAYA {command} "$1" {where}', book)
    assert said.returncode == 5
    lines = [line for line in said.stderr.splitlines() if "bench" not in line]
    assert lines == [f"standard output cannot be written ({why}); what was printed is lost"]


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_has_had_enough_is_no_error(reader: str, book: Path) -> None:
    said = shell(f'$MAYA status "$1" | {reader}', book)
    assert (said.returncode, said.stderr) == (0, "")


def test_nothing_is_removed_that_could_not_be_shown(tiny: TinyBook, whole: dict[str, bytes]) -> None:
    (tiny.folder / "unbroken").rename(tiny.output)
    tiny.write({"One": TEXT["One"]})
    for where in (">/dev/full", ">&-"):
        said = shell(f'$MAYA clean "$1" --yes {where}', tiny.path)
        assert said.returncode == 5
        assert said.stderr.startswith("standard output: ")
        assert content(tiny.output) == whole
    assert shell('$MAYA clean "$1" --yes', tiny.path).returncode == 0
    assert content(tiny.output) != whole


def test_a_question_to_nobody_removes_nothing(tiny: TinyBook, whole: dict[str, bytes]) -> None:
    (tiny.folder / "unbroken").rename(tiny.output)
    tiny.write({"One": TEXT["One"]})
    for where in ("<&-", "</dev/null"):
        said = shell(f'$MAYA clean "$1" {where}', tiny.path)
        assert (said.returncode, said.stderr) == (2, "nothing was removed\n")
    assert content(tiny.output) == whole


# --- what is shown -----------------------------------------------------------------------------------------------


def test_nothing_of_others_moves_the_cursor_or_forges_a_line(tiny: TinyBook, tmp_path: Path) -> None:
    evil = "\x1b[2Jall is well\n2026-01-01 00:00:00 ERROR forged\r\u202e"
    tiny.write(TEXT)
    folder = tmp_path / f"out{evil}"
    runs = [
        launch(tmp_path, "render", tiny.path, "--output", folder, "--notify", f"/bin/echo '{evil}'"),
        launch(tmp_path, "render", tiny.path, "--config", evil),
        launch(tmp_path, "plan", tmp_path / evil),
        launch(tmp_path, "plan", tiny.path, f"--no-such-{evil}"),
        launch(tmp_path, evil),
        launch(tmp_path, "status", tiny.path, "--output", folder, "--json"),
        launch(tmp_path, "audition", tiny.path, "--voice", evil),
    ]
    assert [run.end() for run in runs[1:5]] == [2, 2, 2, 2]
    assert [runs[0].end(), runs[5].end(), runs[6].end()] == [3, 0, 2]
    logs = [run.said() for run in runs] + [(folder / ".maya" / "render.log").read_text()]
    for text in logs:
        assert not set(text) & {"\x1b", "\r", "\u202e", "\x07", "\x9b"}
        assert not any(line.startswith("2026-01-01") for line in text.splitlines())
