"""True peaks, with ffmpeg's and a formula as judges; the limiter in blocks of any size."""

import numpy as np
import pytest

from maya_batch.audio.loudness_meter import Samples
from maya_batch.audio.true_peak import limited, true_peak
from tests.audio.test_loudness import speech

RATE = 24000


def whole(samples: Samples, ceiling: float, size: int) -> Samples:
    blocks = (samples[start : start + size] for start in range(0, len(samples), size))
    return np.concatenate(list(limited(blocks, ceiling, RATE)))


def loud() -> Samples:
    return (speech(6.0) / 32768 * 1.8).astype(np.float32)


def test_a_peak_between_two_samples_is_seen() -> None:
    at = np.arange(RATE) / RATE
    wave = (0.5 * np.sin(2 * np.pi * RATE / 4 * at + np.pi / 4)).astype(np.float32)  # no sample on a crest
    wave *= np.hanning(len(wave)).astype(np.float32)
    assert np.abs(wave).max() == pytest.approx(0.5 / 2**0.5, rel=0.001)
    assert true_peak(wave, RATE) == pytest.approx(0.5, rel=0.005)


@pytest.mark.parametrize("ceiling", [0.6, 0.35, 0.2])
def test_no_peak_is_above_the_ceiling(ceiling: float) -> None:
    assert true_peak(whole(loud(), ceiling, RATE), RATE) <= ceiling
    assert true_peak(whole(loud(), ceiling, RATE), RATE) >= ceiling * 0.97


@pytest.mark.parametrize("size", [97, 2400, 10**6])
def test_the_size_of_blocks_changes_nothing(size: int) -> None:
    short = loud()[2 * RATE : 2 * RATE + 6000]
    assert np.allclose(whole(short, 0.4, size), whole(short, 0.4, 2400), atol=1e-6)
    assert len(whole(short, 0.4, size)) == len(short)


def test_samples_far_from_a_peak_do_not_change() -> None:
    wave = np.full(RATE, 0.1, np.float32)
    wave[RATE // 2] = 0.9
    result = whole(wave, 0.5, 1000)
    near = slice(RATE // 2 - RATE // 20, RATE // 2 + RATE // 20)
    assert np.array_equal(np.delete(result, np.r_[near]), np.delete(wave, np.r_[near]))
    assert result[RATE // 2] <= 0.5


def test_no_sound_is_no_sound() -> None:
    assert not len(np.concatenate(list(limited([], 0.5, RATE))))
