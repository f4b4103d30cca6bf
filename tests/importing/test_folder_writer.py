"""Writing a book folder that is killed, or whose disk is full, is read-only or has something in the way."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

import pytest

from maya_batch.errors import MachineError, UsageError
from maya_batch.files import atomic_write
from maya_batch.importing import folder_writer
from tests.importing.test_book_folder import FIRST, book, do_import, edit, files, story

CHANGED = story(("The Ferry", "The night was bright."), ("The Mill", "It stood still."), ("The Hill", "He fell."))
LATER = story(("The Ferry", "The night was loud."), ("The Mill", "It stood there."), ("The Hill", "He rose."))


class KilledError(BaseException):
    """Nothing is tidied up after it."""


def kill_at(patch: pytest.MonkeyPatch, moment: int) -> Callable[[], bool]:
    """Let the writing of the file with this number end in the middle; returns whether it came to that."""
    numbers = count()
    killed = []

    def write_atomic(path: Path, content: bytes) -> None:
        if next(numbers) == moment:
            killed.append(path)
            atomic_write.part_of(path).write_bytes(content[:3])
            raise KilledError
        atomic_write.write_atomic(path, content)

    patch.setattr(folder_writer, "write_atomic", write_atomic)
    return lambda: bool(killed)


def prepared(folder: Path) -> None:
    """A book whose second chapter and voice a person edited."""
    folder.mkdir()
    do_import(folder, FIRST)
    edit(folder / "book/book.yaml", "Realistic female", "Old male")
    edit(folder / "book/chapters/03-the-hill.txt", "climbed", "<sigh> climbed")


def without_parts(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files(folder).items() if not name.endswith(".part")}


@pytest.mark.parametrize("next_one", [CHANGED, LATER])
def test_an_import_that_was_killed_is_made_good_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, next_one: str
) -> None:
    prepared(tmp_path / "whole")
    plan = do_import(tmp_path / "whole", next_one)
    assert [line.partition(":")[0] for line in plan.conflicts] == ["chapters/03-the-hill.txt"]
    assert "new: chapters/04-the-mill.txt (The Mill)" in plan.news
    for moment in count():
        folder = tmp_path / f"killed {moment}"
        prepared(folder)
        with monkeypatch.context() as patch:
            came = kill_at(patch, moment)
            with suppress(KilledError):
                do_import(folder, CHANGED)
            if not came():
                break
        do_import(folder, next_one)
        made, expected = without_parts(folder / "book"), without_parts(tmp_path / "whole/book")
        if next_one is LATER:  # the version of the killed import may be there, too
            assert made.keys() - expected.keys() <= {"chapters/03-the-hill.new-2.txt", "book.new.yaml"}
            news = {name for name in made if ".new" in name}
            made, expected = ({n: c for n, c in each.items() if n not in news} for each in (made, expected))
        assert made == expected
    assert moment == 6  # the record of what begins, two chapters, a new version, book.yaml, the record


def test_the_folder_that_a_killed_first_import_leaves_is_used_up_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        patch.setattr(folder_writer, "sync_folder", lambda _: killed())
        with pytest.raises(KilledError):
            do_import(tmp_path, FIRST)
    left = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert [path.name.startswith(".import-") for path in left] == [True]
    do_import(tmp_path, FIRST)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["book"]


def killed() -> None:
    raise KilledError


@pytest.mark.parametrize(
    ("number", "why"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "Read-only file system")]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_full_or_read_only_disk_gets_a_line_with_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, why: str, is_first: bool
) -> None:
    if not is_first:
        do_import(tmp_path, FIRST)
    before = files(tmp_path / "book")

    def fail(part: Path, write: Callable[[BinaryIO], object]) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(folder_writer, "write_synced", fail)
        patch.setattr(atomic_write, "write_synced", fail)
        with pytest.raises(MachineError) as raised:
            do_import(tmp_path, CHANGED)
    name = "chapters/01-the-lamp.txt" if is_first else "import.json"
    assert str(raised.value) == f"{tmp_path / 'book' / name}: cannot be written: {why}"
    assert files(tmp_path / "book") == before
    assert {path.name for path in tmp_path.iterdir()} == ({"lamp.md"} if is_first else {"lamp.md", "book"})


@pytest.mark.parametrize("name", ["book.yaml", "chapters/02-the-ferry.txt"])
def test_a_folder_in_the_place_of_a_file_gets_a_line(tmp_path: Path, name: str) -> None:
    do_import(tmp_path, FIRST)
    (tmp_path / "book" / name).unlink()
    (tmp_path / "book" / name).mkdir()
    before = files(tmp_path / "book")
    with pytest.raises(UsageError, match=rf"{name}: is not a regular file; move it away$"):
        do_import(tmp_path, CHANGED)
    assert files(tmp_path / "book") == before


def test_links_in_the_place_of_the_folder_of_chapters_are_not_followed(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    (tmp_path / "book/chapters").rename(tmp_path / "elsewhere")
    (tmp_path / "book/chapters").symlink_to(tmp_path / "elsewhere")
    before = files(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match=r"chapters: is a link$"):
        do_import(tmp_path, CHANGED)
    assert files(tmp_path / "elsewhere") == before


def test_many_changes_of_a_large_book_are_made_in_one_go(tmp_path: Path) -> None:
    def of(name: str, many: int = 150) -> str:
        return story(*((f"{name} {number}", f"{name} is {number}.") for number in range(many)))

    do_import(tmp_path, of("Tale"))
    edit(tmp_path / "book/book.yaml", "Realistic female", "Old male")
    plan = do_import(tmp_path, of("Story"))
    assert len(plan.news) == 2 * 150 + 1
    assert plan.conflicts == []
    chapters = book(tmp_path)["chapters"]
    assert [chapter["title"] for chapter in chapters[1:]] == [f"Story {number}" for number in range(150)]
    assert "Old male" in book(tmp_path)["voices"]["narrator"]
