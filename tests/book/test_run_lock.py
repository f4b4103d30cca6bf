import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maya_batch.book.run_lock import lock_book
from maya_batch.errors import BusyError, MachineError
from tests.support.fakes import TinyBook

HOLD = """
import sys
from pathlib import Path
from maya_batch.book.run_lock import lock_book
with lock_book(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the book until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_book_is_held_and_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_book(tmp_path / "book" / ".maya"):
            said = (tmp_path / "book" / ".maya" / "lock").read_text()
            assert said.startswith(f"process {os.getpid()} on ")
            assert said.count("\n") == 1


def test_nothing_of_an_earlier_holder_is_left(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 1 on a machine with a very long name\n" * 9)
    with lock_book(tmp_path):
        assert (tmp_path / "lock").read_text().count("\n") == 1


def test_records_that_a_killed_run_was_writing_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".sound.json.part").write_text('{"one": ')
    (tmp_path / "sound.json").write_text("{}")
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / ".model.lock.part").symlink_to("elsewhere")
    (tmp_path / ".chapters.json.part").mkdir()
    (tmp_path / ".notes.part").write_text("mine")
    with lock_book(tmp_path):
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {"lock", "sound.json", "elsewhere", ".chapters.json.part", ".notes.part"}
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_records_that_another_run_is_writing_stay(tmp_path: Path) -> None:
    with another_run(tmp_path):
        (tmp_path / ".sound.json.part").touch()
        with pytest.raises(BusyError), lock_book(tmp_path):
            pass
        assert (tmp_path / ".sound.json.part").exists()


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lock_book(tmp_path):
        raise KeyboardInterrupt
    with lock_book(tmp_path):
        pass


def test_a_second_run_is_told_who_holds_the_book(tmp_path: Path) -> None:
    hidden = tmp_path / "book" / ".maya"
    with another_run(hidden) as holder:
        with pytest.raises(BusyError) as caught, lock_book(hidden):
            pass
        assert caught.value.exit_code == 75
        said = str(caught.value)
        assert said.startswith(f"{tmp_path / 'book'} is being rendered by process {holder.pid} on ")
        assert said.endswith("; wait for it, or stop it")
        assert (hidden / "lock").read_text().startswith(f"process {holder.pid} ")


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    with another_run(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with lock_book(tmp_path):
            assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} ")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["render", "clean"])
def test_the_command_ends_with_75(command: str, tiny: TinyBook) -> None:
    tiny.write({"One": ["Yes."]})
    with another_run(tiny.output / ".maya") as holder:
        second = subprocess.run(
            [sys.executable, "-m", "maya_batch", command, tiny.path], capture_output=True, text=True
        )
    assert second.returncode == 75
    assert second.stdout == ""
    assert second.stderr.startswith(f"{tiny.output} is being rendered by process {holder.pid} on ")
    assert second.stderr.count("\n") == 1


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "book").write_text("in the way")
    message = r"lock: cannot be written \(.*\); choose another --output"
    with pytest.raises(MachineError, match=message), lock_book(tmp_path / "book"):
        pass


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(MachineError, match="cannot be written"), lock_book(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "precious"
