"""Marks lead to chunks: those that repeat are named, those that cannot be done are refused before anything is done."""

from pathlib import Path

import pytest

from maya_batch.book.chunk import Chunk
from maya_batch.book.marked_chunks import MarkedChunks, marked_chunks
from maya_batch.book.marks_file import read_marks
from maya_batch.errors import UsageError
from tests.support.fakes import TinyBook

TEXT = {"One": ["A first line.", "A second line."], "Two": ["The end."]}
KEYS = {"A first line.": "aaaa1", "A second line.": "bbbb2", "The end.": "cccc3"}


def key_of(chunk: Chunk) -> str:
    return KEYS[chunk.text]


def marked(tiny: TinyBook, *rows: str) -> MarkedChunks:
    """What these rows come to, where each chunk has takes 1 and 2."""
    tiny.write(TEXT)
    path = tiny.folder / "m.csv"
    path.write_text("\n".join(["ref,action,note", *rows]), encoding="utf-8")
    return marked_chunks(read_marks(path), tiny.plan(), key_of, lambda chunk: [1, 2])


def test_marks_are_sorted_by_what_they_ask_for(tiny: TinyBook, tmp_path: Path) -> None:
    found = marked(tiny, "2:1@cccc,again,too fast", "1:1@aaaa,keep 2,", "1:2@bbbb,note,ask Ann", "1:2@bbbb,again,")
    assert [chunk.ref for chunk in found.again] == ["2:1", "1:2"]
    assert [(chunk.ref, attempt) for chunk, attempt in found.keep] == [("1:1", 2)]
    assert found.notes == [("2:1@cccc", "too fast"), ("1:2@bbbb", "ask Ann")]
    assert found.repeated == []


def test_a_mark_that_is_repeated_is_told_and_done_once(tiny: TinyBook) -> None:
    found = marked(tiny, "2:1@cccc,again,", "2:1@cccc,again,", "1:1,keep 1,", "1:1@aaaa,keep 1,")
    assert [chunk.ref for chunk in found.again] == ["2:1"]
    assert [(chunk.ref, attempt) for chunk, attempt in found.keep] == [("1:1", 1)]
    path = tiny.folder / "m.csv"
    assert found.repeated == [
        f"{path}:3:1: 2:1@cccc is marked `again` in line 2, too; it is done only once",
        f"{path}:5:1: 1:1@aaaa is marked `keep 1` in line 4, too; it is done only once",
    ]


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        (["1:1@cccc,again,"], ["2:1: 1:1@cccc is now 2:1; 1:1 now reads 'A first line.'; delete the line"]),
        (
            ["1:1@dddd,again,"],
            [
                "2:1: 1:1@dddd: this chunk was edited, or its settings changed; 1:1 now reads 'A first line.'; "
                "delete the line"
            ],
        ),
        (["9:1@aaaa,note,x"], ["2:1: 9:1@aaaa: there is no chapter 9; the book has chapters 1 to 2; delete the line"]),
        (["one,again,"], ["2:1: 'one' is not a chunk; write 3:17 (chapter 3, chunk 17), 3:20-25, or 3:17@a1b2"]),
        (["1:1@aaaa,keep 3,"], ["2:1: chunk 1:1@aaaa has no take 3; existing takes: 1, 2"]),
        (
            ["1:1@aaaa,again,", "1:1@aaaa,keep 1,"],
            ["3:1: 1:1@aaaa is marked `keep 1` here and `again` in line 2; delete one of the two lines"],
        ),
        (
            ["1:1@aaaa,keep 1,", "2:1@cccc,again,", "1:1@aaaa,keep 2,", "1:9,again,"],
            [
                "4:1: 1:1@aaaa is marked `keep 2` here and `keep 1` in line 2; delete one of the two lines",
                "5:1: 1:9: there is no chunk 1:9; chapter 1 has chunks 1 to 2",
            ],
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_line(tiny: TinyBook, rows: list[str], messages: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        marked(tiny, *rows)
    assert refused.value.lines() == [f"{tiny.folder / 'm.csv'}:{message}" for message in messages]
