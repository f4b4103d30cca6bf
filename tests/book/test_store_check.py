"""`master: store` passes the check of each store, and each planted fault is named by its own line."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.ffmpeg import file_url, run
from maya_batch.audio.file_sound import file_sound
from maya_batch.audio.mastering import ChapterMaster
from maya_batch.audio.stitch import Clip, segments
from maya_batch.book.store_check import Delivery, check_store, table
from maya_batch.book.store_rules import STORES, StoreName
from maya_batch.manifest import Master
from maya_batch.manifest.picture_size import PictureSize, picture_size
from tests.audio.test_loudness import speech

RATE = 24000
COVER = PictureSize(3000, 3000, 3)
Wave = NDArray[np.float64]


@cache
def sound() -> Wave:
    """A mastered chapter with pauses inside."""
    wave = (speech(6.0) / 32768).astype(np.float32)
    master = ChapterMaster(Master.model_validate({"preset": "store", "room_tone": True}), RATE, 1, io.BytesIO())
    joined = segments((Clip(wave, 0.6, "anna", str(i)) for i in range(3)), start=0.75, end=3.0)
    master.read(joined)
    return np.frombuffer(b"".join(master.pcm()), "<i2") / 32768


def mp3(path: Path, wave: Wave, *encoding: str, channels: int = 1, rate: int = 44100) -> Path:
    pcm = (np.clip(np.repeat(wave, channels), -1, 1) * 32767).astype("<i2").tobytes()
    source = ["-f", "s16le", "-ar", str(RATE), "-ac", str(channels), "-i", "pipe:0"]
    run(["-y", *source, "-ar", str(rate), *(encoding or ("-b:a", "192k")), file_url(path)], pcm)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    path = mp3(tmp_path_factory.mktemp("whole") / "01.mp3", sound())
    return Delivery(
        {path: file_sound(path)},
        cover=True,
        cover_size=COVER,
        credits=True,
        sample=180.0,
        isbn="9783161484100",
        narrator="A synthesized voice",
    )


def failed(delivery: Delivery, store: StoreName = "acx-form") -> list[str]:
    return [row.what for row in check_store(delivery, STORES[store]) if not row.passed]


@pytest.mark.parametrize("store", ["acx-form", "inaudio", "spotify"])
def test_a_chapter_of_the_preset_store_passes(store: StoreName, whole: Delivery) -> None:
    rows = check_store(whole, STORES[store])
    assert [row for row in rows if not row.passed] == []
    assert not any(row.mend for row in rows)
    assert len(rows) >= 2


def louder(decibels: float) -> Wave:
    return sound() * 10 ** (decibels / 20)


def cut(head: float, tail: float) -> Wave:
    """The chapter with other silences at its ends, in seconds."""
    inside = sound()[int(0.75 * RATE) : -3 * RATE]
    return np.concatenate((np.zeros(int(head * RATE)), inside, np.zeros(int(tail * RATE))))


def click() -> Wave:
    wave = sound().copy()
    wave[5 * RATE : 5 * RATE + 12] = np.hanning(12) * 0.95
    return wave


def hiss(decibels: float) -> Wave:
    return sound() + np.random.default_rng(1).standard_normal(len(sound())) * 10 ** (decibels / 20)


def hiss_in_pauses() -> Wave:
    """Noise after the speech alone, with digital silence before it."""
    wave = sound().copy()
    wave[: int(0.7 * RATE)] = 0
    wave[-2 * RATE :] += np.random.default_rng(1).standard_normal(2 * RATE) * 10 ** (-52 / 20)
    return wave


FAULTS: dict[str, tuple[Callable[[], Wave], dict[str, object], list[str]]] = {
    "too soft": (lambda: louder(-5), {}, ["RMS"]),
    "too loud": (lambda: louder(3.5), {}, ["RMS", "true peak"]),
    "a click": (click, {}, ["true peak"]),
    "hiss": (lambda: hiss(-50), {}, ["noise floor"]),
    "hiss in a pause": (hiss_in_pauses, {}, ["noise floor"]),
    "no head": (lambda: cut(0.1, 3), {}, ["head"]),
    "a long head": (lambda: cut(2, 3), {}, ["head"]),
    "no tail": (lambda: cut(0.75, 0.3), {}, ["tail"]),
    "a long tail": (lambda: cut(0.75, 7), {}, ["tail"]),
    "a small bitrate": (sound, {"encoding": ("-b:a", "128k")}, ["bitrate"]),
    "a variable bitrate": (sound, {"encoding": ("-q:a", "0")}, ["bitrate mode"]),
    "another sample rate": (sound, {"encoding": ("-b:a", "192k"), "rate": 48000}, ["sample rate"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_sound_is_named(fault: str, whole: Delivery, tmp_path: Path) -> None:
    wave, more, expected = FAULTS[fault]
    encoding = more.get("encoding", ())
    rate = more.get("rate", 44100)
    assert isinstance(encoding, tuple)
    assert isinstance(rate, int)
    path = mp3(tmp_path / "02.mp3", wave(), *encoding, rate=rate)
    assert set(expected) <= set(failed(replace(whole, files={path: file_sound(path)})))
    others = set(failed(replace(whole, files={path: file_sound(path)}))) - set(expected)
    assert others <= ({"bitrate"} if fault == "a variable bitrate" else {"RMS"} if "head" in fault else set())


def test_a_wav_is_no_file_for_acx(whole: Delivery, tmp_path: Path) -> None:
    path = mp3(tmp_path / "02.wav", sound(), "-c:a", "pcm_s16le")
    assert failed(replace(whole, files={path: file_sound(path)})) == ["format"]


def test_files_of_one_and_of_two_channels_are_named(whole: Delivery, tmp_path: Path) -> None:
    path = mp3(tmp_path / "02.mp3", sound(), channels=2)
    assert failed(replace(whole, files={**whole.files, path: file_sound(path)})) == ["channels"]


@pytest.mark.parametrize(
    ("store", "change", "expected"),
    [
        ("acx-form", {"cover": False, "cover_size": None}, "cover"),
        ("acx-form", {"cover_size": PictureSize(2400, 3000, 3)}, "cover"),
        ("acx-form", {"cover_size": PictureSize(1400, 1400, 3)}, "cover"),
        ("acx-form", {"cover_size": PictureSize(3000, 3000, 4)}, "cover"),
        ("acx-form", {"credits": False}, "credits"),
        ("acx-form", {"sample": None}, "sample"),
        ("acx-form", {"sample": 45.0}, "sample"),
        ("acx-form", {"sample": 400.0}, "sample"),
        ("google", {"isbn": ""}, "ISBN"),
        ("spotify", {"narrator": "Maya"}, "narrator"),
    ],
)
def test_a_fault_of_the_book_is_named(
    store: StoreName, change: dict[str, object], expected: str, whole: Delivery
) -> None:
    long_enough = {path: replace(sound, seconds=3600) for path, sound in whole.files.items() if sound is not None}
    delivery = replace(whole, files=long_enough)
    assert failed(delivery, store) == []
    assert failed(replace(delivery, **change), store) == [expected]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("narrator", "is_named"),
    [
        ("Synthesised voice", True),
        ("Maya (synthetic)", True),
        ("AI voice", True),
        ("an ai-generated voice", True),
        ("Digital narration", True),
        ("Text to Speech", True),
        ("Maya TTS", True),
        ("Annie Potts", False),
        ("Kai Smith", False),
        ("Mai Lee", False),
        ("Ai Tanaka", False),
        ("Digitally Ann", False),
    ],
)
def test_a_narrator_is_named_as_synthesized_in_whole_words(narrator: str, is_named: bool, whole: Delivery) -> None:
    assert ("narrator" not in failed(replace(whole, narrator=narrator), "spotify")) is is_named


def test_a_file_that_is_missing_or_too_long_and_a_book_that_is_too_short_are_named(whole: Delivery) -> None:
    assert failed(replace(whole, files={Path("02.mp3"): None})) == ["file"]
    [(path, measured)] = whole.files.items()
    assert measured is not None
    assert failed(replace(whole, files={path: replace(measured, seconds=7201)})) == ["length"]
    assert failed(whole, "google") == ["book length"]


def test_the_table_says_how_to_correct_what_fails(whole: Delivery) -> None:
    lines = table(check_store(replace(whole, credits=False), STORES["acx-form"]))
    assert [line for line in lines if line.startswith("FAIL")] == [
        line for line in lines if line.endswith("; set `credits` to `true`, or to texts for `opening` and `closing`")
    ]
    assert sum(line.startswith("pass") for line in lines) == len(lines) - 1


def test_acx_says_that_it_takes_humans_only() -> None:
    assert "humans only" in STORES["acx-form"].note


def test_the_size_of_a_cover_is_read_from_its_header() -> None:
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", 640, 480, 8, 2)
    jpeg = b"\xff\xd8\xff\xe0" + struct.pack(">H", 4) + b"ab\xff\xc0" + struct.pack(">HBHHB", 17, 8, 480, 640, 1)
    assert picture_size(png) == PictureSize(640, 480, 3)
    assert picture_size(jpeg) == PictureSize(640, 480, 1)
    for broken in (png[:20], jpeg[:8], b"\xff\xd8\xff", b"", b"\xff\xd8" + b"\0" * 50):
        assert picture_size(broken) is None


@pytest.mark.parametrize(
    ("name", "encoding", "mend"),
    [
        ("01.mp3", ("-b:a", "64k"), "set `bitrate: 128k` in `output.formats`"),
        ("01.mp3", ("-b:a", "64k", "-abr", "1"), "set `bitrate: 128k` and `mode: cbr` in `output.formats`"),
        ("01.m4a", ("-b:a", "128k"), "put `{type: mp3, bitrate: 128k}` first in `output.formats`"),
    ],
)
def test_what_is_said_of_a_small_bitrate_mends_it(
    name: str, encoding: tuple[str, ...], mend: str, whole: Delivery, tmp_path: Path
) -> None:
    path = mp3(tmp_path / name, sound(), *encoding)
    rows = check_store(replace(whole, files={path: file_sound(path)}), STORES["google"])
    [said] = [row.mend for row in rows if row.what == "bitrate"]
    assert said.split(";")[0] == mend
