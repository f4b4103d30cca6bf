"""What was measured of chapters is kept by their fingerprints; what cannot be read counts as unknown."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maya_batch.book.chapter_records import ChapterRecords
from maya_batch.book.chapter_sound import ChapterSound, ClipSound
from maya_batch.book.chapter_stats import ChapterStats
from maya_batch.errors import MachineError


def stats(folder: Path) -> ChapterRecords[ChapterStats]:
    return ChapterRecords(folder / "chapters.json", dict[str, ChapterStats])


def sounds(folder: Path) -> ChapterRecords[ChapterSound]:
    return ChapterRecords(folder / "sound.json", dict[str, ChapterSound])


def test_what_was_put_is_there_for_the_next_run(tmp_path: Path) -> None:
    sound = ChapterSound({"0": ClipSound(-20.1, spoken=(10, 900), quiet=((300, 400),))}, -1.5, {"anna": 0.5})
    sounds(tmp_path).put("one", sound)
    assert sounds(tmp_path).all() == {"one": sound}
    stats(tmp_path).put("one", ChapterStats(12.5, -19.3))
    stats(tmp_path).put("two", ChapterStats(3.0, None))
    known = stats(tmp_path)
    assert (known.get("one"), known.get("two"), known.get("three")) == ((12.5, -19.3), (3.0, None), None)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b'{"one": 5}', b'{"one": [1, "x"]}', b'{"one": [NaN, 1]}', b'{"one": []}', b"\xff"),
        *(
            b'{"one": [-1, 1]}',
            b'{"one": [1e308, 1]}',
            b'{"one": [1, 1e999]}',
            b'{"one": [1, -Infinity]}',
            b"[" * 100_000,
        ),
    ],
)
def test_a_file_that_is_not_valid_counts_as_empty_and_is_replaced(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "chapters.json").write_bytes(content)
    assert stats(tmp_path).get("one") is None
    stats(tmp_path).put("one", ChapterStats(1.0, -20.0))
    assert stats(tmp_path).get("one") == (1.0, -20.0)


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b"-Infinity"])
def test_a_sound_that_is_no_number_counts_as_unknown(number: bytes, tmp_path: Path) -> None:
    (tmp_path / "sound.json").write_bytes(b'{"one": {"clips": {}, "gain": %s}}' % number)
    assert sounds(tmp_path).all() == {}
    sounds(tmp_path).put("two", ChapterSound({}))
    assert sounds(tmp_path).all() == {"two": ChapterSound({})}


@pytest.mark.parametrize("end", [10**13, 10**400], ids=["years", "no number"])
def test_times_that_no_chapter_has_count_as_unknown(end: int, tmp_path: Path) -> None:
    (tmp_path / "sound.json").write_bytes(b'{"one": {"clips": {"1": {"lufs": -20, "spoken": [0, %d]}}}}' % end)
    assert sounds(tmp_path).all() == {}


def test_a_pause_without_a_length_counts_as_unknown(tmp_path: Path) -> None:
    clip = b'{"lufs": -20, "spoken": [0, 900], "quiet": [[500, 500]]}'
    (tmp_path / "sound.json").write_bytes(b'{"one": {"clips": {"1": %s}}}' % clip)
    assert sounds(tmp_path).all() == {}


def test_threads_that_store_at_a_time_lose_nothing(tmp_path: Path) -> None:
    known = stats(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: known.put(str(at), ChapterStats(at, None)), range(50)))
    assert stats(tmp_path).all() == {str(at): (at, None) for at in range(50)}


def test_a_disk_that_does_not_take_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "chapters.json").mkdir()
    with pytest.raises(MachineError, match=r"chapters.json: cannot be written"):
        stats(tmp_path).put("one", ChapterStats(1.0, -20.0))


def test_fingerprints_that_no_file_has_are_removed(tmp_path: Path) -> None:
    known = stats(tmp_path)
    known.put("old", ChapterStats(1.0, None))
    known.put("new", ChapterStats(2.0, -20.0))
    known.keep({"new", "other"})
    assert known.all() == {"new": (2.0, -20.0)}
