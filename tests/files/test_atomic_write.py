"""A file is there whole or as it was, whatever goes wrong while it is written."""

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import part_of, write_atomic, write_errors, write_synced


def test_a_file_is_replaced_whole_and_a_part_of_a_killed_run_is_not_written_through(tmp_path: Path) -> None:
    path, precious = tmp_path / "a.json", tmp_path / "precious"
    precious.write_text("mine")
    path.write_text("old")
    part_of(path).symlink_to(precious)
    write_atomic(path, b"new")
    assert (path.read_text(), precious.read_text()) == ("new", "mine")
    assert sorted(tmp_path.iterdir()) == [path, precious]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("odd"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_what_fails_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(step, fails)
        with pytest.raises(MachineError if isinstance(error, OSError) else KeyboardInterrupt) as raised:
            write_atomic(path, b"new")
    if isinstance(error, OSError):
        why = "the disk is full" if error.errno == 28 else "odd"
        assert str(raised.value) == f"{path}: cannot be written: {why}"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_a_files_place_is_told_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a.json"
    folder.mkdir()
    with pytest.raises(MachineError) as raised:
        write_atomic(folder, b"new")
    assert str(raised.value) == f"{folder}: cannot be written: there is a folder of this name; move it"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_part_is_on_the_disk_when_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))

    def write(file: BinaryIO) -> None:
        file.write(b"a" * 1000)

    write_synced(tmp_path / "part", write)
    assert sizes == [1000]


def test_only_errors_of_the_system_become_errors_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), write_errors(tmp_path):
        raise ValueError("mine")
