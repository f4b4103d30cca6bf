"""Loudness while sound passes by, against pyloudnorm's of the whole."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.chapter_file import Target, TrackTags, write_chapter
from maya_batch.audio.loudness import Loudness, file_loudness
from maya_batch.errors import MachineError
from tests.audio.test_chapter_file import decoded

RATES = [16000, 22050, 24000, 44100, 48000]


def speech(seconds: float, rate: int = 24000, level: float = 0.2) -> NDArray[np.int16]:
    """Noise that swells and falls like syllables, with loud and soft phrases, and pauses between them."""
    at = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(7).standard_normal(len(at)) * 0.3
    voice = np.sin(2 * np.pi * 140 * at) + 0.5 * np.sin(2 * np.pi * 1100 * at) + noise
    phrase = np.where(np.sin(at * 0.9) > -0.4, 0.2 + 0.8 * np.sin(at * 0.31) ** 2, 0.0)
    pcm: NDArray[np.int16] = (np.clip(level * voice * phrase * np.sin(np.pi * 3 * at) ** 2, -1, 1) * 32767).astype(
        "<i2"
    )
    return pcm


def pieces(pcm: NDArray[np.int16], *sizes: int) -> Iterator[bytes]:
    at = 0
    while at < len(pcm):
        for size in sizes:
            yield pcm[at : at + size].tobytes()
            at += size


def measured(pcm: NDArray[np.int16], rate: int, *sizes: int) -> float | None:
    loudness = Loudness(rate)
    for piece in pieces(pcm, *sizes):
        loudness.add(np.frombuffer(piece, "<i2"), 1 << 15)
    return loudness.lufs


def reference(pcm: NDArray[np.int16], rate: int) -> float:
    import pyloudnorm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(pyloudnorm.Meter(rate).integrated_loudness(pcm / 32768))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seconds", [0.4, 0.449, 0.451, 3.77, 61.03])
def test_it_is_pyloudnorms_at_any_rate_and_length(seconds: float, rate: int) -> None:
    pcm = speech(seconds, rate)
    lufs = measured(pcm, rate, 7919)
    assert lufs == pytest.approx(reference(pcm, rate), abs=0.05)


def test_the_pieces_do_not_matter() -> None:
    pcm = speech(5.0)
    whole = measured(pcm, 24000, len(pcm))
    assert measured(pcm, 24000, 1, 0, 2400, 2399, 31) == pytest.approx(whole, abs=1e-6)


def test_pauses_and_soft_passages_are_gated() -> None:
    loud, soft = speech(10.0), speech(10.0, level=0.002)
    pcm = np.concatenate([loud, np.zeros(24000 * 20, "<i2"), soft])
    lufs = measured(pcm, 24000, 4800)
    assert lufs == pytest.approx(reference(pcm, 24000), abs=0.05)
    mean_of_all = 10 * np.log10(np.mean(np.square(pcm / 32768)))
    assert lufs is not None
    assert lufs > mean_of_all + 3


def test_ten_decibels_are_ten_units() -> None:
    pcm = speech(5.0)
    loud, soft = measured(pcm, 24000, 5000), measured((pcm * 10**-0.5).astype("<i2"), 24000, 5000)
    assert loud is not None
    assert soft == pytest.approx(loud - 10, abs=0.05)


@pytest.mark.parametrize("samples", [0, 1, 9599])
def test_too_short_a_sound_has_no_loudness(samples: int) -> None:
    assert measured(speech(1.0)[:samples], 24000, 1000) is None


def test_silence_has_no_loudness() -> None:
    assert measured(np.zeros(50000, "<i2"), 24000, 1000) is None


def test_an_hour_is_held_in_a_few_hundred_kilobytes() -> None:
    loudness = Loudness(24000)
    minute = speech(60.0)
    for _ in range(10):
        loudness.add(minute, 1 << 15)
    assert len(loudness._powers) * loudness._powers.itemsize * 6 < 300_000


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_a_chapter_file_is_as_loud_as_its_sound(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a: b.{kind}"
    write_chapter(pieces(speech(6.0), 5000), [Target(path, kind)], TrackTags("a", "b", "c", 1, 1, "d"))
    # MP3 takes some of the noise away: what counts is the sound that is in the file, here at the file's own rate.
    assert file_loudness(path) == pytest.approx(reference(decoded(path), 24000), abs=0.1)


def test_a_flac_is_read(tmp_path: Path) -> None:
    import soundfile

    pcm = speech(2.0)
    soundfile.write(tmp_path / "a.flac", pcm, 24000)
    assert file_loudness(tmp_path / "a.flac") == pytest.approx(reference(pcm, 24000), abs=0.05)


def test_a_silent_file_has_no_loudness(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(24000), 24000)
    assert file_loudness(tmp_path / "a.wav") is None


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_what_is_no_sound_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=name):
        file_loudness(tmp_path / name)
    (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(MachineError, match=name):
        file_loudness(tmp_path / name)


def test_a_file_of_two_channels_is_no_chapter(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros((24000, 2)), 24000)
    with pytest.raises(MachineError, match="2 channels"):
        file_loudness(tmp_path / "a.wav")


def test_importing_it_loads_no_heavy_library() -> None:

    modules = "maya_batch.audio.loudness, maya_batch.report.audio_clip"
    check = f"import sys, {modules}; print({{'scipy', 'pyloudnorm'}} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("set()\n", "")
