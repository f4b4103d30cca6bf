"""Mastering: the loudness and true peak of each preset, judged by pyloudnorm and by ffmpeg."""

import io
import re
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.clip_levels import ClipLevel, steps
from maya_batch.audio.ffmpeg import file_url, run_for_log
from maya_batch.audio.mastering import MOST_EVENED, ChapterMaster, clip_gains
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.quiet import Sounding
from maya_batch.audio.stitch import Clip, segments
from maya_batch.audio.writers import Target
from maya_batch.manifest import Master
from tests.audio.test_loudness import speech

RATE = 24000
TAGS = TrackTags("a", "b", "c", 1, 1, "d")
STORE, PODCAST = Master.model_validate("store"), Master.model_validate("podcast")


@lru_cache
def voice(seconds: float, level: float) -> NDArray[np.float32]:
    return (speech(seconds, level=level) / 32768).astype(np.float32)


def dialogue() -> Iterator[Clip]:
    """Half a minute of a voice, and a softer one that answers."""
    for number in range(3):
        yield Clip(voice(5.0 + number, 0.25), 0.5, "anna", f"{2 * number + 1}")
        yield Clip(voice(4.0, 0.05), 0.5, "ben", f"{2 * number + 2}")


def mastered(settings: Master, clips: Iterator[Clip] | None = None, seed: int = 1) -> tuple[bytes, ChapterMaster]:
    master = ChapterMaster(settings, RATE, seed, io.BytesIO())
    joined = segments(clips or dialogue(), start=0.5, end=1.5)
    master.read(joined)
    return b"".join(master.pcm()), master


def samples(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2") / 32768


def lufs(wave: NDArray[np.float64]) -> float:
    import pyloudnorm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(wave))


def rms(wave: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.mean(np.square(wave))))


def by_ffmpeg(path: Path) -> tuple[float, float]:
    """LUFS and true peak of a file."""
    filters = "aresample=48000,ebur128=framelog=quiet:peak=true"
    log = run_for_log(["-nostats", "-i", file_url(path), "-af", filters, "-f", "null", "-"])
    [*_, level] = re.findall(r"^ *I: +(-?[\d.]+) LUFS$", log, re.MULTILINE)
    [*_, peak] = re.findall(r"^ *Peak: +(-?[\d.]+) dBFS$", log, re.MULTILINE)
    return float(level), float(peak)


def test_a_podcast_has_its_loudness_and_true_peak(tmp_path: Path) -> None:
    pcm, master = mastered(PODCAST)
    assert lufs(samples(pcm)) == pytest.approx(-19, abs=0.3)
    write_chapter([pcm], [Target(tmp_path / "a.wav", "wav")], TAGS)
    level, peak = by_ffmpeg(tmp_path / "a.wav")
    assert level == pytest.approx(-19, abs=0.3)
    assert peak <= -1.5 + 0.2
    assert master.done is not None
    assert master.done.missed == pytest.approx(0, abs=0.1)


def test_a_store_file_has_its_level_and_true_peak_after_encoding(tmp_path: Path) -> None:
    pcm, _ = mastered(STORE)
    assert rms(samples(pcm)) == pytest.approx(-20, abs=0.1)
    write_chapter([pcm], [Target(tmp_path / "a.mp3", "mp3", "160k")], TAGS)
    _, peak = by_ffmpeg(tmp_path / "a.mp3")
    assert peak <= -3.0  # what stores accept; the encoder raises peaks of noise by up to 0.4 dB


@pytest.mark.parametrize("true_peak", [-1.5, -6.0, -12.0])
def test_peaks_of_loud_speech_stay_below_the_ceiling(true_peak: float, tmp_path: Path) -> None:
    pcm, _ = mastered(Master(lufs=-16, true_peak=true_peak))
    write_chapter([pcm], [Target(tmp_path / "a.wav", "wav")], TAGS)
    assert by_ffmpeg(tmp_path / "a.wav")[1] <= true_peak + 0.1


def test_a_target_that_the_ceiling_does_not_allow_is_recorded() -> None:
    pcm, master = mastered(Master(lufs=-8, true_peak=-20))
    assert master.done is not None
    assert master.done.missed == pytest.approx(-8 - lufs(samples(pcm)), abs=0.2)
    assert master.done.missed > 3


def test_voices_are_evened_with_one_gain_each() -> None:
    pcm, master = mastered(PODCAST)
    done, clips = master.done, master.levels.clips
    assert done is not None
    assert done.voice_gains["anna"] == 0
    assert done.voice_gains["ben"] == pytest.approx(15, abs=3)  # a fifth as loud
    wave = samples(pcm)
    anna, ben = (
        lufs(np.concatenate([wave[clip.start : clip.end] for clip in clips if clip.voice == name]))
        for name in ("anna", "ben")
    )
    assert ben == pytest.approx(anna, abs=0.3)


def test_a_voice_of_a_few_words_is_evened_in_proportion() -> None:
    def few() -> Iterator[Clip]:
        yield Clip(voice(20.0, 0.25), 0.5, "anna", "1")
        yield Clip(voice(2.0, 0.05), 0.0, "ben", "2")

    _, master = mastered(PODCAST, few())
    assert master.done is not None
    assert 1 < master.done.voice_gains["ben"] < 5


def test_a_chapter_is_raised_by_one_gain_where_no_peak_is_near() -> None:
    settings = Master(lufs=-30, true_peak=-1.5, even_voices=False)
    pcm, master = mastered(settings)
    assert master.done is not None
    plain = samples(b"".join(segment for segment, _ in segments(dialogue(), start=0.5, end=1.5)))
    expected = plain * 10 ** (master.done.gain / 20)
    assert np.abs(samples(pcm) - expected).max() <= 1.01 / 32768


def test_the_length_is_that_of_the_joined_clips() -> None:
    plain = b"".join(segment for segment, _ in segments(dialogue(), start=0.5, end=1.5))
    for settings in (STORE, Master(lufs=-19, room_tone=True)):
        assert len(mastered(settings)[0]) == len(plain)


def test_the_same_takes_give_the_same_bytes_and_the_seed_changes_the_tone_alone() -> None:
    settings = Master(lufs=-19, room_tone=True, even_chunks=True)
    first, second = mastered(settings)[0], mastered(settings)[0]
    assert first == second
    other = samples(mastered(settings, seed=2)[0])
    assert np.abs(other - samples(first)).max() < 10 ** (-45 / 20)
    assert other.tobytes() != samples(first).tobytes()


def test_silence_is_digital_unless_room_tone_is_asked_for() -> None:
    pause = slice(0, RATE // 4)
    assert not samples(mastered(PODCAST)[0])[pause].any()
    tone = samples(mastered(Master(lufs=-19, room_tone=True))[0])[pause]
    assert -76 < rms(tone[RATE // 50 :]) < -64


def test_room_tone_has_the_spectrum_of_the_voices_pauses() -> None:
    def hissing() -> Iterator[Clip]:
        from scipy.signal import butter, sosfilt

        noise = np.random.default_rng(3).standard_normal(20 * RATE)
        hiss = sosfilt(butter(4, [3000, 5000], "bandpass", fs=RATE, output="sos"), noise) * 0.001
        wave = voice(20.0, 0.2)
        wave[5 * RATE : 7 * RATE] = 0  # a pause of the voice, with its noise alone
        yield Clip((wave + hiss).astype(np.float32), 2.0, "anna", "1")

    pcm, _ = mastered(Master(lufs=-19, room_tone=True), hissing())
    tail = samples(pcm)[-RATE:-300]
    power = np.abs(np.fft.rfft(tail)) ** 2
    hertz = np.fft.rfftfreq(len(tail), 1 / RATE)
    inside = power[(hertz > 2800) & (hertz < 5200)].sum()
    assert inside > 0.8 * power.sum()


def test_a_silent_chapter_stays_silent() -> None:
    pcm, master = mastered(STORE, iter([Clip(np.zeros(RATE, np.float32), 0.0, "anna", "1")]))
    assert not samples(pcm).any()
    assert master.done is not None
    assert master.done.gain == 0


@pytest.mark.parametrize("around", [[], [Clip(voice(5.0, 0.25), 0.5, "anna", "2")]], ids=["alone", "before another"])
def test_a_clip_without_samples_is_joined_as_others(around: list[Clip]) -> None:
    settings = Master.model_validate({"preset": "podcast", "room_tone": True, "even_chunks": True})
    empty = Clip(np.zeros(0, dtype=np.float32), 0.5, "anna", "1")
    pcm, master = mastered(settings, iter([empty, *around]))
    assert len(pcm) == 2 * master.levels.samples >= 2 * RATE * 2.5
    assert [clip.lufs is None for clip in master.levels.clips] == [True, *(False for _ in around)]


def test_clips_are_evened_by_two_decibels_at_most() -> None:
    levels = [level("1", -20), level("2", -21), level("3", -30), level("4", None)]
    assert clip_gains(levels) == [-1, 0, MOST_EVENED, 0]


def test_steps_are_between_neighbours_of_a_voice() -> None:
    levels = [level("1", -20), level("2", -30, "ben"), level("3", -22), level("4", None), level("5", -20)]
    assert steps(levels, [0, 0, 1, 0, 0]) == [None, None, -1, None, None]


def level(name: str, loudness: float | None, speaker: str = "anna") -> ClipLevel:
    return ClipLevel(name, speaker, 0, 1, np.zeros(0), loudness, Sounding(0, 1))


def test_memory_does_not_grow_with_the_chapter(tmp_path: Path) -> None:
    def clips(count: int) -> Iterator[Clip]:
        for number in range(count):
            yield Clip(wave, 0.5, "anna", str(number))

    wave = voice(12.0, 0.1)

    def peak(count: int) -> int:
        with (tmp_path / "spool").open("w+b") as spool:
            master = ChapterMaster(STORE, RATE, 1, spool)
            tracemalloc.start()
            master.read(segments(clips(count), start=0.5, end=1.5))
            for _ in master.pcm():
                pass
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

    short = peak(3)
    assert peak(9) < short * 1.2


def test_importing_it_loads_no_heavy_library() -> None:
    modules = "maya_batch.audio.mastering, maya_batch.audio.clip_levels"
    check = f"import sys, {modules}; print({{'scipy', 'pyloudnorm'}} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("set()\n", "")
