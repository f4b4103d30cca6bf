import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from maya_batch.quality.noise import longest_noise, longest_run
from tests.support.signals import RATE, hiss, noise, pink_noise, tones


@pytest.mark.parametrize("made", [noise, pink_noise, hiss])
def test_noise_is_found_where_it_is(made: object) -> None:
    assert callable(made)
    wave = np.concatenate((tones(2.0), made(1.0), tones(1.0)))
    start, seconds = longest_noise(wave, RATE, -50.0)
    assert start == pytest.approx(2.0, abs=0.1)
    assert seconds == pytest.approx(1.0, abs=0.1)


def test_a_voice_is_no_noise_and_neither_is_silence_or_a_hiss_that_nobody_hears() -> None:
    assert longest_noise(tones(2.0, 83.0), RATE, -50.0)[1] <= 0.1
    assert longest_noise(tones(2.0, 172.0), RATE, -50.0)[1] <= 0.1
    assert longest_noise(np.zeros(RATE, dtype=np.float32), RATE, -50.0) == (0.0, 0.0)
    assert longest_noise(noise(1.0) * np.float32(0.001), RATE, -50.0) == (0.0, 0.0)
    assert longest_noise(np.zeros(0, dtype=np.float32), RATE, -50.0) == (0.0, 0.0)


@given(st.lists(st.booleans(), max_size=40))
def test_the_longest_run_is_the_longest(marks: list[bool]) -> None:
    array: NDArray[np.bool_] = np.array(marks, dtype=bool)
    start, length = longest_run(array)
    assert array[start : start + length].all()
    assert not any(array[at : at + length + 1].all() for at in range(len(array) - length))
