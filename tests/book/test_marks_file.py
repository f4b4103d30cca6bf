"""The CSV of marks: what is read, and that whatever else is in the file is refused in one line."""

from pathlib import Path

import pytest

from maya_batch.book.marks_file import LARGEST_FILE, LONGEST_NOTE, Mark, read_marks
from maya_batch.errors import UsageError

HEAD = "ref,action,note\n"


def marks(path: Path, content: str | bytes) -> list[Mark]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_marks(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "marks.csv"


def test_each_row_is_a_mark(path: Path) -> None:
    found = marks(path, HEAD + '3:17@a1b2,again,"wrong, and ""loud"""\n3:18@b2c3,keep 2,\n4:1@c3d4,note,ask Ann\n')
    assert [(mark.ref, mark.action, mark.attempt, mark.note) for mark in found] == [
        ("3:17@a1b2", "again", None, 'wrong, and "loud"'),
        ("3:18@b2c3", "keep", 2, ""),
        ("4:1@c3d4", "note", None, "ask Ann"),
    ]
    assert [mark.place for mark in found] == [(str(path), line, 1) for line in (2, 3, 4)]


@pytest.mark.parametrize(
    "content",
    [
        "ref,action\n3:17@a1b2,again\n",
        "action,ref\nagain,3:17@a1b2\n",
        "\ufeffref,action,note\r\n3:17@a1b2,AGAIN,\r\n",
        'ref,action,note\n\n"3:17@a1b2" , again ,\n\n',
        "ref,action,note\n3:17@a1b2,again",
    ],
)
def test_a_spreadsheet_may_have_written_it(content: str, path: Path) -> None:
    [mark] = marks(path, content)
    assert (mark.ref, mark.action, mark.note) == ("3:17@a1b2", "again", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1:1: the file has no marks; write `ref,action,note` in the first line"),
        ("ref;action;note\n", ":1:1: unknown column 'ref;action;note'; write `ref,action,note` in the first line"),
        ("ref,note\n", ":1:1: the column `action` is missing; write `ref,action,note` in the first line"),
        ("ref,action,ref\n", ":1:1: a column is repeated; write `ref,action,note` in the first line"),
        (HEAD + "3:17,drop,\n", ":2:1: 'drop' is not an action; write `again`, `keep` with the number of a take, or"),
        (HEAD + "3:17,keep,\n", ":2:1: 'keep' is not an action; "),
        (HEAD + "3:17,keep 0,\n", ":2:1: 'keep 0' is not an action; "),
        (HEAD + "3:17,keep ²,\n", ":2:1: 'keep ²' is not an action; "),
        (HEAD + "3:17\n", ":2:1: '' is not an action; "),
        (HEAD + ",again,\n", ":2:1: the line names no chunk; write one as reports name it, like 3:17@a1b2"),
        (HEAD + "3:17,again,one,two\n", ":2:16: the line has more fields than the first line, which names 3; put "),
        (HEAD + '3:17,again,"one\n', ":2:12: this quote is not closed; "),
        (HEAD + f"3:17,note,{'x' * (LONGEST_NOTE + 1)}\n", ":2:1: the note has 2,001 characters; the limit is 2,000; "),
        (HEAD + "3:17,note,\x1b[31m\n", ":2:11: the control character U+001B is not allowed in a text; delete it"),
        (b"ref,action\n3:17,again\xff\n", ":2:11: not UTF-8: the byte 0xFF is not valid here; save the file as UTF-8"),
        ("ref,action\n".encode("utf-16"), ":1:1: not UTF-8: "),
    ],
)
def test_a_mistake_is_told_with_its_place(content: str | bytes, message: str, path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        marks(path, content)
    [line] = refused.value.lines()
    assert line.startswith(str(path) + message)


def test_all_mistakes_are_told_at_once(path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        marks(path, HEAD + "3:17,drop,\n3:18,again,\n,again,\n")
    assert [line.split(":")[1] for line in refused.value.lines()] == ["2", "4"]


def test_what_is_no_file_of_bounded_size_is_refused(tmp_path: Path) -> None:
    for name, message in {"gone.csv": "does not exist", ".": "is a folder"}.items():
        with pytest.raises(UsageError, match=f"^--from .* {message}$"):
            read_marks(tmp_path / name)
    (tmp_path / "large.csv").write_bytes(b"," * (LARGEST_FILE + 1))
    with pytest.raises(UsageError, match=r"is larger than 1 MB$"):
        read_marks(tmp_path / "large.csv")
