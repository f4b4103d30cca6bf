import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.stitch import FADE_IN_MS, FADE_OUT_MS, MARGIN_MS, STEP_MS, Clip, stitch

RATE = 24000
Wave = NDArray[np.float32]


def tone(seconds: float, *, level: float = 0.5, hertz: float = 220.0) -> Wave:
    at = np.arange(round(seconds * RATE)) / RATE
    return (level * np.cos(2 * np.pi * hertz * at)).astype(np.float32)  # cos: loud from the first sample on


def hush(seconds: float) -> Wave:
    return np.zeros(round(seconds * RATE), np.float32)


def joined(*clips: Clip, start: float = 0.0, end: float = 0.0) -> NDArray[np.int16]:
    return np.frombuffer(b"".join(stitch(clips, start=start, end=end)), "<i2")


def silences(pcm: NDArray[np.int16]) -> list[float]:
    """Seconds of each stretch below -50 dBFS that lasts 20 ms or more, in order."""
    loud = np.flatnonzero(np.abs(pcm.astype(int)) > 104)
    edges = np.concatenate(([-1], loud, [len(pcm)]))
    gaps = np.diff(edges) - 1
    return [gap / RATE for gap in gaps if gap >= 0.02 * RATE]


def test_length_is_the_exact_sum_of_clips_and_pauses() -> None:
    clips = [Clip(tone(1.234), 0.35), Clip(tone(0.5), 0.7001), Clip(tone(2.0), 0.0)]
    pcm = joined(*clips, start=0.5, end=1.5)
    assert len(pcm) == sum(round(s * RATE) for s in (1.234, 0.35, 0.5, 0.7001, 2.0, 0.5, 1.5))


@pytest.mark.parametrize("samples", [2048, 2048 * 7, 24001, 24011, 24012, 24023])
def test_no_sample_is_lost_at_odd_lengths(samples: int) -> None:
    wave = tone(2.0)[:samples]
    pcm = joined(Clip(wave, 0.0))
    assert 0 <= len(pcm) - samples < RATE // 1000
    inner = slice(FADE_IN_MS * 24, samples - FADE_OUT_MS * 24)
    assert np.array_equal(pcm[inner], np.rint(wave[inner] * 32767).astype(int))


@pytest.mark.parametrize("edge", [0.0, 0.02, 0.05, 0.31, 1.0])
@pytest.mark.parametrize("pause", [0.06, 0.35, 0.7, 2.0])
def test_pause_is_as_asked_whatever_silence_the_clips_bring(edge: float, pause: float) -> None:
    wave = np.concatenate((hush(edge), tone(0.6), hush(edge)))
    pcm = joined(Clip(wave, pause), Clip(wave, 0.0), start=pause, end=pause)
    found = silences(pcm)
    assert len(found) == 3
    assert found == pytest.approx([pause] * 3, abs=2 * STEP_MS / 1000)


def test_pause_shorter_than_the_margins_adds_nothing() -> None:
    wave = np.concatenate((hush(0.3), tone(0.5), hush(0.3)))
    pcm = joined(Clip(wave, 0.01), Clip(wave, 0.0))
    assert max(silences(pcm)) <= 2 * (MARGIN_MS + STEP_MS) / 1000


def test_nothing_is_trimmed_inside() -> None:
    wave = np.concatenate((tone(0.3), hush(1.5), tone(0.3, level=0.01), hush(0.8), tone(0.3)))
    pcm = joined(Clip(wave, 0.0))
    assert len(pcm) == len(wave)
    inner = slice(FADE_IN_MS * 24, -FADE_OUT_MS * 24)
    assert np.array_equal(pcm[inner], np.rint(wave * 32767).astype(int)[inner])


def test_soft_onset_within_the_margin_survives() -> None:
    breath = tone(0.02, level=0.003, hertz=900)  # about -53 dBFS: below the threshold, yet part of the word
    wave = np.concatenate((hush(0.5), breath, tone(0.5), breath, hush(0.5)))
    pcm = joined(Clip(wave, 0.0))
    body = np.flatnonzero(np.abs(pcm.astype(int)) > 104)
    assert np.abs(pcm[body[0] - 480 : body[0] - 100]).max() > 60
    assert np.abs(pcm[body[-1] + 100 : body[-1] + 480]).max() > 60


def test_joins_do_not_click() -> None:
    wave = tone(0.5, level=0.9, hertz=50)  # one period is 480 samples: slow, so that a click stands out
    largest_inside = int(np.abs(np.diff(np.rint(wave * 32767))).max())
    for pause in (0.0, 0.3):
        # The last one ends at full height, and an odd 17 samples past a whole millisecond.
        pcm = joined(Clip(wave, pause), Clip(wave[100:], pause), Clip(wave[200:11521], 0.0))
        whole = np.concatenate(([0], pcm.astype(int), [0]))
        assert np.abs(np.diff(whole)).max() <= largest_inside
        assert abs(whole[1]) <= 150  # the edges themselves: a 240th of the level
        assert abs(whole[-2]) <= 150


def test_silent_clip_is_kept_whole() -> None:
    faint = tone(1.0, level=0.001)
    pcm = joined(Clip(tone(0.5), 0.2), Clip(faint, 0.2), Clip(tone(0.5), 0.0))
    assert len(pcm) == round(2.4 * RATE)


@pytest.mark.parametrize("samples", [0, 1, 23, 24, 47, 100, 300])
def test_tiny_clips_pass(samples: int) -> None:
    pcm = joined(Clip(tone(1.0)[:samples], 0.1), Clip(tone(0.2), 0.0))
    assert len(pcm) == -(-samples // 24) * 24 + round(0.3 * RATE)


def test_no_clips_is_the_silence_asked_for() -> None:
    assert len(joined(start=0.5, end=0.25)) == round(0.75 * RATE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.0001, -2.0])
def test_samples_out_of_range_are_refused_by_name(bad: float) -> None:
    wave = tone(0.1)
    wave[7] = bad
    clips = [Clip(tone(0.1), 0.0), Clip(wave, 0.0)]
    with pytest.raises(ValueError, match=r"clip 1: .*sample 7: "):
        list(stitch(clips, start=0.0, end=0.0))


def test_full_scale_is_allowed() -> None:
    wave = np.tile(np.array([1.0, -1.0], np.float32), 2400)
    pcm = joined(Clip(wave, 0.0))
    assert (pcm.max(), pcm.min()) == (32767, -32767)


@pytest.mark.parametrize("wave", [np.zeros((1, 240), np.float32), np.zeros(240, np.int16)])
def test_other_shapes_are_refused(wave: Wave) -> None:
    with pytest.raises(ValueError, match="clip 0"):
        joined(Clip(wave, 0.0))


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_pauses_must_be_lengths(seconds: float) -> None:
    with pytest.raises(ValueError, match="pause"):
        joined(Clip(tone(0.1), seconds))
    with pytest.raises(ValueError, match="start"):
        joined(start=seconds)
    with pytest.raises(ValueError, match="end"):
        joined(end=seconds)


def test_sampling_rate_must_be_whole_khz() -> None:
    with pytest.raises(ValueError, match="22050"):
        list(stitch([], start=0.0, end=0.0, sampling_rate=22050))


def test_clips_are_taken_one_at_a_time() -> None:
    taken = 0

    def clips() -> Iterator[Clip]:
        nonlocal taken
        for _ in range(10):
            taken += 1
            yield Clip(tone(0.1), 0.1)

    pieces = stitch(clips(), start=0.0, end=0.0)
    assert taken == 0
    next(pieces)
    next(pieces)
    assert taken == 1


def test_the_same_clips_give_the_same_bytes_and_stay_as_they_were() -> None:
    wave = tone(0.3)
    before = wave.copy()
    assert np.array_equal(joined(Clip(wave, 0.1)), joined(Clip(wave, 0.1)))
    assert np.array_equal(wave, before)


def test_pydub_comes_without_warnings_and_leaves_the_filters() -> None:
    program = """
import warnings
import numpy as np
from maya_batch.audio.stitch import Clip, stitch
import sys
assert "pydub" not in sys.modules
before = list(warnings.filters)
list(stitch([Clip(np.ones(2400, np.float32), 0.1)], start=0.0, end=0.0))
assert warnings.filters == before
"""
    # -B: pydub is compiled afresh where nobody has, and its source has warnings of its own.
    ran = subprocess.run(
        [sys.executable, "-B", "-X", "pycache_prefix=/nowhere", "-W", "error", "-c", program],
        env={"PATH": ""},
        cwd=__file__.rsplit("/", 3)[0],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
