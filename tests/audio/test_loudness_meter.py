"""The meter that measures while sound passes, with pyloudnorm as the judge."""

import numpy as np
import pytest

from maya_batch.audio.loudness_meter import LoudnessMeter, loudness
from tests.audio.test_loudness import speech


@pytest.mark.parametrize("rate", [24000, 44100, 48000])
@pytest.mark.parametrize("size", [977, 10**7])
def test_it_is_pyloudnorms(rate: int, size: int) -> None:
    import pyloudnorm

    wave = np.concatenate([speech(8.0, rate), np.zeros(rate), speech(4.0, rate, level=0.01)]) / 32768
    meter = LoudnessMeter(rate)
    for start in range(0, len(wave), size):
        meter.add(wave[start : start + size].astype(np.float32))
    judge = pyloudnorm.Meter(rate, filter_class="DeMan")  # the standard's filters at any rate
    assert loudness([meter.powers()]) == pytest.approx(judge.integrated_loudness(wave), abs=0.02)


def test_a_sine_of_full_scale_is_what_the_standard_says() -> None:
    meter = LoudnessMeter(48000)
    meter.add(np.sin(2 * np.pi * 997 * np.arange(48000 * 5) / 48000).astype(np.float32))
    assert loudness([meter.powers()]) == pytest.approx(-3.01, abs=0.02)


def test_silence_and_less_than_a_block_have_no_loudness() -> None:
    for samples in (np.zeros(24000), np.ones(9599)):
        meter = LoudnessMeter(24000)
        meter.add(samples.astype(np.float32))
        assert loudness([meter.powers()]) is None
    assert loudness([]) is None


def test_blocks_do_not_reach_from_one_piece_into_the_next() -> None:
    assert loudness([np.full(3, 0.1), np.full(3, 0.1)]) is None
    assert loudness([np.full(4, 0.1), np.full(3, 0.1)]) == pytest.approx(-10.691)
