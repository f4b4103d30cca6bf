"""An M4B is made of the chapters' streams: its marks are where the sound is, and players find its tags."""

import logging
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.adts import AacStream, read_stream
from maya_batch.audio.chapter_file import read_comment, write_chapter
from maya_batch.audio.m4b import chapter_starts, divided, write_m4b
from maya_batch.audio.metadata import Picture, TrackTags
from maya_batch.audio.writers import Target
from maya_batch.errors import MachineError
from tests.audio.test_chapter_file import ROOT, decoded
from tests.support.ffprobe import lower_tags, needs_ffprobe, probe

TAGS = TrackTags("The Book", "The Book", "Zoë", 1, 1, "key=é")
RATE = 24000


def chapter(seconds: float) -> NDArray[np.int16]:
    """A tenth of a second of noise, and silence."""
    pcm = np.zeros(round(seconds * RATE), np.int16)
    loud = np.random.default_rng(round(seconds * 1000)).integers(-9000, 9000, RATE // 10, np.int16)
    pcm[: len(loud)] = loud
    return pcm


def streams(folder: Path, lengths: list[float], sample_rate: int | None = None) -> list[AacStream]:
    found = []
    for index, seconds in enumerate(lengths):
        target = Target(folder / f"{index}.aac", "m4b", sample_rate=sample_rate)
        write_chapter([chapter(seconds).tobytes()], [target], TAGS)
        found.append(read_stream(target.path))
    return found


def png(size: int) -> bytes:
    """A black square, as a PNG."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1 + size) * size)),
        (b"IEND", b""),
    ]
    content = b"\x89PNG\r\n\x1a\n"
    for name, body in parts:
        content += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return content


def found_near(sound: NDArray[np.int16], rate: int, seconds: float, mark: float) -> float:
    """Where the noise of a chapter is within 0.2 s of its mark, by correlation: a coder smears where it begins."""
    noise = chapter(seconds)[: RATE // 10].astype(float)
    at = np.arange(len(noise) * rate // RATE) * RATE / rate
    noise = np.interp(at, np.arange(len(noise)), noise)
    first = max(0, round((mark - 0.2) * rate))
    window = sound[first : round((mark + 0.4) * rate)].astype(float)
    return float(first + np.argmax(np.correlate(window, noise))) / rate


@pytest.mark.parametrize("sample_rate", [None, 44100])
def test_the_sound_of_each_chapter_is_at_its_mark(tmp_path: Path, sample_rate: int | None) -> None:
    lengths = [1.0, 0.731, 1.379, 0.5, 0.9]
    parts = streams(tmp_path, lengths, sample_rate)
    path = tmp_path / "book.m4b"
    write_m4b(path, parts, [f"Chapter {n}" for n in range(5)], TAGS)
    rate = sample_rate or RATE
    starts = [start / rate for start in chapter_starts(parts)]
    sound = decoded(path)
    found = [found_near(sound, rate, *each) for each in zip(lengths, starts, strict=False)]
    assert found[1:] == pytest.approx(starts[1:-1], abs=0.002)
    assert found[0] == pytest.approx(1024 / rate, abs=0.002)
    for stream, seconds in zip(parts, lengths, strict=True):
        assert 0 <= stream.samples - seconds * rate <= 2 * 1024
    assert sorted(file.name for file in tmp_path.iterdir()) == [*(f"{n}.aac" for n in range(5)), "book.m4b"]


@needs_ffprobe
def test_ffprobe_and_mutagen_read_every_title_and_start(tmp_path: Path) -> None:
    from mutagen.mp4 import MP4

    titles = ["Café = “x”; #1 \\ end", "日本語", "[CHAPTER]", "One, two\u2028three"]
    parts = streams(tmp_path, [0.6, 0.7, 0.8, 0.9])
    write_m4b(tmp_path / "book.m4b", parts, titles, TAGS)
    starts = [start / RATE for start in chapter_starts(parts)]
    told = probe(tmp_path / "book.m4b")
    assert [mark["tags"]["title"] for mark in told["chapters"]] == titles
    assert [float(mark["start_time"]) for mark in told["chapters"]] == pytest.approx(starts[:-1], abs=0.02)
    assert float(told["format"]["duration"]) == pytest.approx(starts[-1], abs=0.02)
    file = MP4(tmp_path / "book.m4b")
    assert [mark.title for mark in file.chapters] == titles
    assert [mark.start for mark in file.chapters] == pytest.approx(starts[:-1], abs=0.02)


@needs_ffprobe
def test_audiobookshelf_finds_every_tag_under_the_name_that_it_reads(tmp_path: Path) -> None:
    from mutagen.mp4 import MP4

    picture = Picture(png(64), "image/png")
    tags = replace(
        TAGS,
        narrator="A synthesized voice",
        publisher="A House",
        date="1895-05",
        series="Lamps",
        series_number="2.5",
        cover=picture,
        subtitle="A Tale",
        description="Two lines,\nof some kind.",
        isbn="9783161484100",
        language="en-GB",
    )
    write_m4b(tmp_path / "book.m4b", streams(tmp_path, [0.5]), ["One"], tags)
    found = lower_tags(probe(tmp_path / "book.m4b"))
    wanted = {
        "artist": "Zoë",
        "album_artist": "Zoë",
        "album": "The Book",
        "title": "The Book",
        "composer": "A synthesized voice",
        "date": "1895-05",
        "genre": "Audiobook",
        "description": "Two lines,\nof some kind.",
        "series": "Lamps",
        "series-part": "2.5",
        "subtitle": "A Tale",
        "publisher": "A House",
        "isbn": "9783161484100",
        "language": "en-GB",
        "media_type": "2",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    [cover] = MP4(tmp_path / "book.m4b")["covr"]
    assert bytes(cover) == picture.content
    assert read_comment(tmp_path / "book.m4b") == TAGS.comment


@needs_ffprobe
@pytest.mark.slow
def test_255_chapters_are_read_by_both(tmp_path: Path) -> None:
    from mutagen.mp4 import MP4

    [one] = streams(tmp_path, [0.5])
    write_m4b(tmp_path / "book.m4b", [one] * 255, [f"Chapter {n}" for n in range(255)], TAGS)
    assert len(MP4(tmp_path / "book.m4b").chapters) == len(probe(tmp_path / "book.m4b")["chapters"]) == 255
    with pytest.raises(ValueError, match="256 chapters"):
        write_m4b(tmp_path / "book.m4b", [one] * 256, ["x"] * 256, TAGS)


@needs_ffprobe
@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 700])
def test_more_chapters_than_a_file_may_have_are_divided_and_all_are_read(tmp_path: Path, count: int) -> None:
    from mutagen.mp4 import MP4

    kinds = streams(tmp_path, [0.31, 0.5, 0.77])
    parts = [kinds[number % 3] for number in range(count)]
    titles = [f"Chapter {number}" for number in range(count)]
    found: list[str] = []
    for first, last in divided(parts):
        path = tmp_path / f"{first}.m4b"
        write_m4b(path, parts[first:last], titles[first:last], TAGS)
        starts = [start / RATE for start in chapter_starts(parts[first:last])]
        marks = probe(path)["chapters"]
        assert [float(mark["start_time"]) for mark in marks] == pytest.approx(starts[:-1], abs=0.02)
        assert [mark["tags"]["title"] for mark in marks] == [mark.title for mark in MP4(path).chapters]
        found += [mark["tags"]["title"] for mark in marks]
    assert found == titles


@needs_ffprobe
@pytest.mark.slow
def test_thirty_hours_become_two_files(tmp_path: Path) -> None:
    target = Target(tmp_path / "hour.aac", "m4b", "32k")
    write_chapter((bytes(2 * RATE * 60) for _ in range(60)), [target], TAGS)
    hours = [read_stream(target.path)] * 30
    parts = list(divided(hours))
    assert parts == [(0, 23), (23, 30)]  # an hour with its two silent frames is longer than an hour
    for first, last in parts:
        write_m4b(tmp_path / "part.m4b", hours[first:last], [f"{n}" for n in range(first, last)], TAGS)
        told = probe(tmp_path / "part.m4b")
        starts = [start / RATE for start in chapter_starts(hours[first:last])]
        assert [float(mark["start_time"]) for mark in told["chapters"]] == pytest.approx(starts[:-1], abs=0.02)
        assert float(told["format"]["duration"]) == pytest.approx(starts[-1], abs=0.02)


@needs_ffprobe
def test_a_chapter_of_some_minutes_has_its_mark_in_the_text_track(tmp_path: Path) -> None:
    parts = streams(tmp_path, [200.0, 0.5])
    write_m4b(tmp_path / "book.m4b", parts, ["One", "Two"], TAGS)
    told = probe(tmp_path / "book.m4b")  # which would say that the track is not there
    assert [stream["codec_tag_string"] for stream in told["streams"]] == ["mp4a", "text"]
    assert float(told["chapters"][1]["start_time"]) == pytest.approx(chapter_starts(parts)[1] / RATE, abs=0.001)


def test_a_title_too_long_for_a_mark_is_shortened_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from mutagen.mp4 import MP4

    with caplog.at_level(logging.WARNING):
        write_m4b(tmp_path / "book.m4b", streams(tmp_path, [0.5]), ["é" * 300], TAGS)
    assert [mark.title for mark in MP4(tmp_path / "book.m4b").chapters] == ["é" * 126 + "…"]
    assert "has at most 255 bytes" in caplog.text


def test_the_same_streams_and_tags_give_the_same_bytes(tmp_path: Path) -> None:
    parts = streams(tmp_path, [0.5, 0.7])
    for name in ("a.m4b", "b.m4b"):
        write_m4b(tmp_path / name, parts, ["One", "Two"], TAGS)
    assert (tmp_path / "a.m4b").read_bytes() == (tmp_path / "b.m4b").read_bytes()


def test_a_stream_that_was_cut_is_told_and_the_old_file_stays(tmp_path: Path) -> None:
    parts = streams(tmp_path, [0.5, 0.7])
    parts[1].path.write_bytes(parts[1].path.read_bytes()[:-1])
    with pytest.raises(MachineError, match=r"1\.aac: cannot be read: it is not whole; remove it"):
        read_stream(parts[1].path)
    parts[1].path.unlink()
    (tmp_path / "book.m4b").write_bytes(b"old")
    with pytest.raises(MachineError, match=r"1\.aac: cannot be written|No such file"):
        write_m4b(tmp_path / "book.m4b", parts, ["One", "Two"], TAGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.aac", "book.m4b"]
    assert (tmp_path / "book.m4b").read_bytes() == b"old"


@pytest.mark.parametrize("room", [2_000, 20_000, 60_000])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, room: int) -> None:
    # While ffmpeg writes, while it moves the index to the front, and while mutagen adds the cover.
    streams(tmp_path, [3.0] * 3)
    program = f"""
import resource
from pathlib import Path
from maya_batch.audio.adts import read_stream
from maya_batch.audio.m4b import write_m4b
from maya_batch.audio.metadata import Picture, TrackTags
from maya_batch.errors import MachineError
folder = Path({str(tmp_path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
tags = TrackTags("a", "b", "c", 1, 1, "d", cover=Picture(bytes(100_000), "image/png"))
try:
    write_m4b(folder / "book.m4b", [read_stream(folder / f"{{n}}.aac") for n in range(3)], ["x"] * 3, tags)
except MachineError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"{tmp_path}/book.m4b: ")
    assert ran.stdout.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.aac", "1.aac", "2.aac"]
