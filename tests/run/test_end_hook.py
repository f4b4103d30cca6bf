import logging
import time
from pathlib import Path

import pytest

from maya_batch.errors import BusyError, MachineError, StoppedError, UsageError
from maya_batch.interrupt import Interruption
from maya_batch.run.end_hook import check_command, notifying
from tests.book.test_run_lock import another_run
from tests.conftest import Said
from tests.e2e.test_cli import Cli
from tests.support.fakes import FakeEngine, TinyBook


def script(folder: Path, body: str) -> str:
    """A program that does this; its name has a space in it."""
    path = folder / "tell me"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return f"'{path}'"


def noting(folder: Path) -> tuple[str, Path]:
    """A command that notes its arguments and what its environment says; and where."""
    note = folder / "note"
    body = f'printf "%s|" "$@" "$MAYA_BATCH_EXIT_CODE" "$MAYA_BATCH_REPORT" >>"{note}"'
    return f"{script(folder, body)} --subject 'The night'", note


def test_the_command_gets_the_report_and_the_exit_code(tmp_path: Path) -> None:
    command, note = noting(tmp_path)
    page = tmp_path / "a book" / "report.html"
    with notifying(command) as notice:
        notice.page, notice.exit_code = page, 3
    assert note.read_text() == f"--subject|The night|{page}|3|{page}|"


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoppedError("x"), 4), (Interruption(), 4), (MachineError("x"), 5), (OSError("x"), 5), (ValueError("x"), 1)],
)
def test_it_is_run_however_the_run_ends(error: BaseException, code: int, tmp_path: Path) -> None:
    command, note = noting(tmp_path)
    with pytest.raises(type(error)), notifying(command):
        raise error
    assert note.read_text().split("|")[2:5] == ["", str(code), ""]


def test_a_book_that_another_run_holds_is_that_runs_to_tell_of(tmp_path: Path) -> None:
    command, note = noting(tmp_path)
    with pytest.raises(BusyError), notifying(command):
        raise BusyError("another run")
    assert not note.exists()


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    command, note = noting(tmp_path)
    with notifying(f"{command} '; rm -r' '$HOME' '*'"):
        pass
    assert note.read_text().split("|")[2:5] == ["; rm -r", "$HOME", "*"]


def test_a_command_that_fails_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = script(tmp_path, "echo no mail today >&2; exit 9")
    with caplog.at_level(logging.WARNING), notifying(command):
        pass
    assert caplog.messages == [f"--notify {command}: failed with exit code 9 (no mail today)"]


def test_of_what_a_command_prints_the_end_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = script(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x; exit 1")
    with caplog.at_level(logging.WARNING), notifying(command):
        pass
    assert caplog.messages == [f"--notify {command}: failed with exit code 1 ({'x' * 300})"]


def test_a_command_that_went_away_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = script(tmp_path, "exit 0")
    with caplog.at_level(logging.WARNING), notifying(command):
        (tmp_path / "tell me").unlink()
    assert len(caplog.messages) == 1
    assert "not found" in caplog.messages[0]


@pytest.mark.slow
def test_a_command_that_does_not_end_is_killed_with_all_it_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maya_batch.run.end_hook._PATIENCE", 0.3)
    command = script(tmp_path, f"(sleep 2; touch '{tmp_path}/late') & wait")
    with caplog.at_level(logging.WARNING), notifying(command):
        pass
    assert caplog.messages == [f"--notify {command}: killed after 0 s"]
    time.sleep(2)
    assert not (tmp_path / "late").exists()


def test_what_the_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    command = script(tmp_path, f"(sleep 1; touch '{tmp_path}/late') & touch '{tmp_path}/early'")
    with notifying(command):
        pass
    assert (tmp_path / "early").exists()
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "--notify: empty command"),
        ("mail 'me", r"--notify mail 'me: cannot be read as a command \(no closing quotation\)"),
        ("no-such-program-here -x", "--notify no-such-program-here -x: program no-such-program-here not found"),
        ("/etc/passwd", "program /etc/passwd not found"),
    ],
)
def test_a_command_that_cannot_be_run_is_a_mistake(command: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_command(command)


def test_no_command_is_none() -> None:
    check_command(None)
    with notifying(None):
        pass


# --- on the command line -----------------------------------------------------------------------------------------


def test_a_mistake_is_found_before_the_run(cli: Cli, tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write({"One": ["The night was dark."]})
    said: Said = cli("render", tiny.path, "--notify", "no-such-program-here")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert not tiny.output.exists()


@pytest.mark.parametrize(
    ("wrong", "code"), [(["--config", "none"], 2), (["--until", "noon"], 2), (["--device", "tpu"], 2), ([], 2)]
)
def test_the_likeliest_failures_of_a_night_are_told(
    wrong: list[str], code: int, cli: Cli, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write({"One": ["The night was dark." if wrong else "An <unknown> tag."]})
    command, note = noting(tiny.folder)
    assert cli("render", tiny.path, "--notify", command, *wrong).code == code
    arguments = note.read_text().split("|")[2:]
    assert arguments[1] == str(code)
    assert bool(arguments[0]) == bool(arguments[2])


@pytest.mark.parametrize(("text", "code"), [("The night was dark.", 0), ("Broken words.", 3)])
def test_the_report_is_there_when_the_command_is_run(
    text: str, code: int, cli: Cli, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write({"One": [text]})
    command = script(tiny.folder, f'test -s "$1" && echo "$MAYA_BATCH_EXIT_CODE" >"{tiny.folder}/note"')
    assert cli("render", tiny.path, "--notify", command).code == code
    assert (tiny.folder / "note").read_text() == f"{code}\n"


def test_it_does_not_change_the_exit_code(cli: Cli, tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write({"One": ["The night was dark."]})
    said = cli("render", tiny.path, "--quiet", "--notify", "false")
    assert said.code == 0
    assert said.err.strip() == "--notify false: failed with exit code 1"


def test_a_run_that_finds_the_book_held_tells_nobody(cli: Cli, tiny: TinyBook) -> None:
    tiny.write({"One": ["The night was dark."]})
    command, note = noting(tiny.folder)
    with another_run(tiny.output / ".maya"):
        assert cli("render", tiny.path, "--notify", command).code == 75
    assert not note.exists()
