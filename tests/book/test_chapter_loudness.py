"""Length and loudness are kept by a chapter's mark; what cannot be read is measured anew, and never believed."""

from pathlib import Path

import pytest

from maya_batch.book.chapter_loudness import ChapterStats
from maya_batch.errors import MachineError


def test_what_was_put_is_there_for_the_next_run(tmp_path: Path) -> None:
    ChapterStats(tmp_path).put("one", 12.5, -19.3)
    ChapterStats(tmp_path).put("two", 3.0, None)
    stats = ChapterStats(tmp_path)
    assert (stats.get("one"), stats.get("two"), stats.get("three")) == (
        (12.5, -19.3),
        (3.0, None),
        None,
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"one": 5}', b'{"one": [1, "x"]}', b'{"one": [NaN, 1]}', b'{"one": []}', b"\xff"]
)
def test_a_file_that_is_none_counts_as_empty_and_is_written_anew(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "chapters.json").write_bytes(content)
    assert ChapterStats(tmp_path).get("one") is None
    ChapterStats(tmp_path).put("one", 1.0, -20.0)
    assert ChapterStats(tmp_path).get("one") == (1.0, -20.0)


def test_a_disk_that_does_not_take_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "chapters.json").mkdir()
    with pytest.raises(MachineError, match=r"chapters.json: cannot be written"):
        ChapterStats(tmp_path).put("one", 1.0, -20.0)


def test_marks_that_no_file_has_are_forgotten(tmp_path: Path) -> None:
    stats = ChapterStats(tmp_path)
    stats.put("old", 1.0, None)
    stats.put("new", 2.0, -20.0)
    stats.keep({"new", "other"})
    assert (stats.get("old"), stats.get("new")) == (None, (2.0, -20.0))
