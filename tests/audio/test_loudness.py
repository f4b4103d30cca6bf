"""The loudness of chapter files, with pyloudnorm as the judge."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.loudness import file_loudness
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
from maya_batch.errors import MachineError
from tests.audio.test_chapter_file import decoded

RATE = 24000
FORMATS = ["wav", "mp3"]


def speech(seconds: float, rate: int = RATE, level: float = 0.2) -> NDArray[np.int16]:
    """Noise that swells and falls like syllables, with loud and soft phrases, and pauses between them."""
    at = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(7).standard_normal(len(at)) * 0.3
    voice = np.sin(2 * np.pi * 140 * at) + 0.5 * np.sin(2 * np.pi * 1100 * at) + noise
    phrase = np.where(np.sin(at * 0.9) > -0.4, 0.2 + 0.8 * np.sin(at * 0.31) ** 2, 0.0)
    wave = np.clip(level * voice * phrase * np.sin(np.pi * 3 * at) ** 2, -1, 1)
    pcm: NDArray[np.int16] = (wave * 32767).astype("<i2")
    return pcm


def written(path: Path, pcm: NDArray[np.int16], title: str = "a") -> Path:
    write_chapter([pcm.tobytes()], [Target(path, path.suffix[1:])], TrackTags(title, "b", "c", 1, 1, "d"))
    return path


def measured(folder: Path, pcm: NDArray[np.int16]) -> float | None:
    return file_loudness(written(folder / "a.wav", pcm))


def reference(pcm: NDArray[np.int16], rate: int = RATE) -> float:
    import pyloudnorm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Its own filters are those of the standard at 48 kHz only; these are at any rate.
        return float(pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(pcm / 32768))


@pytest.mark.slow
@pytest.mark.parametrize(
    "seconds",
    [0.4, 1.0, 10.0, 61.03, pytest.param(600.0, marks=pytest.mark.soak)],  # a minute has as many blocks as it takes
)
def test_it_is_pyloudnorms_at_any_length(tmp_path: Path, seconds: float) -> None:
    pcm = speech(seconds)
    assert measured(tmp_path, pcm) == pytest.approx(reference(pcm), abs=0.1)


@pytest.mark.parametrize("level", [0.003, 0.02, 0.5, 2.0])
def test_it_is_pyloudnorms_of_soft_and_loud_speech(tmp_path: Path, level: float) -> None:
    pcm = speech(20.0, level=level)
    assert measured(tmp_path, pcm) == pytest.approx(reference(pcm), abs=0.1)


def test_pauses_and_soft_passages_are_gated(tmp_path: Path) -> None:
    pcm = np.concatenate([speech(10.0), np.zeros(RATE * 20, "<i2"), speech(10.0, level=0.002)])
    lufs = measured(tmp_path, pcm)
    assert lufs == pytest.approx(reference(pcm), abs=0.1)
    mean_of_all = 10 * np.log10(np.mean(np.square(pcm / 32768)))
    assert lufs is not None
    assert lufs > mean_of_all + 3


def test_ten_decibels_are_ten_units(tmp_path: Path) -> None:
    pcm = speech(5.0)
    loud, soft = measured(tmp_path, pcm), measured(tmp_path, (pcm * 10**-0.5).astype("<i2"))
    assert loud is not None
    assert soft == pytest.approx(loud - 10, abs=0.1)


def test_ffmpeg_is_not_started_for_a_whole_wav_and_measures_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = speech(30.0)
    soundfile.write(tmp_path / "a.w64", pcm, RATE)  # the same samples in a format that only ffmpeg reads
    by_ffmpeg = file_loudness(tmp_path / "a.w64")
    monkeypatch.setattr("maya_batch.audio.loudness.read_blocks", None)
    assert measured(tmp_path, pcm) == by_ffmpeg


@pytest.mark.parametrize("samples", [1, 9599])
def test_too_short_a_sound_has_no_loudness(tmp_path: Path, samples: int) -> None:
    assert measured(tmp_path, (speech(5.0)[-samples:] // 2 + 3000).astype("<i2")) is None


@pytest.mark.parametrize("kind", FORMATS)
def test_silence_has_no_loudness(kind: str, tmp_path: Path) -> None:
    assert file_loudness(written(tmp_path / f"a.{kind}", np.zeros(2 * RATE, "<i2"))) is None


def test_a_file_without_a_sample_has_no_loudness(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    assert file_loudness(tmp_path / "a.wav") is None


@pytest.mark.parametrize("kind", FORMATS)
def test_a_chapter_file_is_as_loud_as_its_sound_whatever_its_tags_say(kind: str, tmp_path: Path) -> None:
    title = "a\n    I:         -3.0 LUFS\n  Stream #0:0: Audio: pcm_s16le, 24000 Hz, stereo, s16"
    path = written(tmp_path / f"a: b.{kind}", speech(6.0), title)
    # MP3 takes some of the noise away: what counts is the sound that is in the file, here at the file's own rate.
    assert file_loudness(path) == pytest.approx(reference(decoded(path)), abs=0.1)


def test_a_flac_is_read(tmp_path: Path) -> None:
    pcm = speech(2.0)
    soundfile.write(tmp_path / "a.flac", pcm, RATE)
    assert file_loudness(tmp_path / "a.flac") == pytest.approx(reference(pcm), abs=0.1)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_no_sound_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    with pytest.raises(MachineError, match=rf"a\.{kind}: cannot be read: .*No such file or directory"):
        file_loudness(path)
    path.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(MachineError, match=rf"a\.{kind}: cannot be read: .*Invalid data"):
        file_loudness(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_told_in_one_clear_line(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"a.{kind}", speech(20.0))
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + {"wav": b"", "mp3": bytes(5000) + whole[half + 5000 :]}[kind])
    with pytest.raises(MachineError) as raised:
        file_loudness(path)
    assert str(raised.value).startswith(f"{path}: cannot be read: ")
    assert "Invalid data found" in str(raised.value)
    assert not {"\n", "[", "@"} & set(str(raised.value))


def test_a_file_of_two_channels_is_no_chapter(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((RATE, 2)), RATE)
    with pytest.raises(MachineError, match="2 channels of sound, but chapters are mono"):
        file_loudness(tmp_path / "a.wav")


def test_importing_it_loads_no_heavy_library() -> None:

    modules = "maya_batch.audio.loudness, maya_batch.report.audio_clip"
    check = f"import sys, {modules}; print({{'scipy', 'pyloudnorm'}} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("set()\n", "")
