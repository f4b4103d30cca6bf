import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.admission import _STRIDE as STRIDE
from maya_batch.engine.admission import BlockForecast

LONGEST = 300
BLOCK_SIZE = 16

lengths = st.tuples(st.integers(1, 300), st.integers(1, LONGEST))
"""Tokens of a prompt, and the expected frames of its sequence."""

running = st.tuples(st.integers(1, 300), st.integers(1, LONGEST), st.integers(0, LONGEST))
"""The same of a sequence that has decoded some frames."""


def forecast_of(
    blocks: int,
    sequences: list[tuple[int, int, int]] | None = None,
    block_size: int = BLOCK_SIZE,
    ended: tuple[int, int] = (1, 1),
) -> BlockForecast:
    """A forecast that has seen 100 sequences end, expected and actual frames in `ended`, with running sequences."""
    forecast = BlockForecast(blocks, block_size)
    for _ in range(100):
        forecast.record_end(*ended)
    forecast.reset(LONGEST)
    for prompt, expected, frames in sequences or []:
        forecast.add(prompt + frames * SLOTS, expected, frames)
    return forecast


def blocks_needed(sequences: list[tuple[int, int, int]], sequence: tuple[int, int]) -> int:
    """The fewest blocks in which one more sequence has room."""
    low, high = 0, 100_000
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if forecast_of(middle, sequences).fits(*sequence) else (middle + 1, high)
    return low


@given(sequence=lengths)
def test_a_sequence_alone_takes_about_what_it_will_be_when_it_ends(sequence: tuple[int, int]) -> None:
    prompt, expected = sequence
    least = -(-(prompt + expected * SLOTS) // BLOCK_SIZE)
    assert least <= blocks_needed([], sequence) <= least + -(-3 * STRIDE * SLOTS // BLOCK_SIZE)


@given(sequences=st.lists(running, min_size=1, max_size=6), sequence=lengths)
def test_room_for_what_is_there_already_is_asked_for(
    sequences: list[tuple[int, int, int]], sequence: tuple[int, int]
) -> None:
    now = sum(-(-(prompt + frames * SLOTS) // BLOCK_SIZE) for prompt, _, frames in sequences)
    assert blocks_needed(sequences, sequence) >= now + -(-sequence[0] // BLOCK_SIZE)


def test_sequences_that_end_make_room_for_those_that_grow() -> None:
    """Sequences that started one after the other are never all at their longest together."""
    fresh = (10, 100)
    together = blocks_needed([(10, 100, 0)] * 10, fresh)
    assert together == 11 * blocks_needed([], fresh)
    assert blocks_needed([(10, 100, 10 * number) for number in range(10)], fresh) < 0.75 * together


def curve(prompt: int, expected: int, frames: int, block_size: int) -> list[int]:
    """Blocks of a sequence, point by point from now until its end."""
    tokens, left = prompt + frames * SLOTS, max(expected - frames, STRIDE)
    return [-(-(tokens + SLOTS + point * STRIDE * SLOTS) // block_size) for point in range(left // STRIDE + 2)]


@given(sequences=st.lists(running, max_size=6), sequence=lengths, block_size=st.sampled_from([1, 16, 64, 5000]))
def test_what_is_needed_is_the_highest_sum_of_all_sequences(
    sequences: list[tuple[int, int, int]], sequence: tuple[int, int], block_size: int
) -> None:
    total = np.zeros(LONGEST, dtype=np.int64)
    fresh = curve(*sequence, 0, block_size)
    for blocks in (*(curve(*other, block_size) for other in sequences), fresh):
        total[: len(blocks)] += blocks
    needed = int(total[: len(fresh)].max())
    assert forecast_of(needed, sequences, block_size).fits(*sequence)
    assert not forecast_of(needed - 1, sequences, block_size).fits(*sequence)


@given(sequences=st.lists(running, max_size=6), sequence=lengths, blocks=st.integers(0, 1500))
def test_less_is_easier_to_fit(sequences: list[tuple[int, int, int]], sequence: tuple[int, int], blocks: int) -> None:
    prompt, expected = sequence
    if not forecast_of(blocks, sequences).fits(*sequence):
        return
    assert forecast_of(blocks + 1, sequences).fits(*sequence)
    assert forecast_of(blocks, sequences).fits(max(prompt - 1, 1), expected)
    assert forecast_of(blocks, sequences).fits(prompt, max(expected - 1, 1))
    for left_out in range(len(sequences)):
        assert forecast_of(blocks, sequences[:left_out] + sequences[left_out + 1 :]).fits(*sequence)


def test_a_sequence_past_its_expectation_is_expected_to_end_soon_but_not_at_once() -> None:
    sequence = (10, 50)
    for frames in (50, 80, 200):
        needed = blocks_needed([(10, 50, frames)], sequence)
        tokens = 10 + frames * SLOTS
        assert needed > -(-tokens // BLOCK_SIZE) + -(-sequence[0] // BLOCK_SIZE)
        assert needed == blocks_needed([(10, 1, frames)], sequence)
        ended = blocks_needed([], sequence)
        assert needed < ended + -(-(tokens + 3 * STRIDE * SLOTS) // BLOCK_SIZE)


@pytest.mark.parametrize(("actual", "factor"), [(100, 1.0), (130, 1.3), (90, 0.9), (50, 0.8), (1000, 2.0)])
def test_sequences_that_became_longer_than_expected_correct_the_others(actual: int, factor: float) -> None:
    forecast = BlockForecast(1000, BLOCK_SIZE)
    for _ in range(31):
        forecast.record_end(100, actual)
        assert forecast.correction == 1.0
    forecast.record_end(100, actual)
    assert forecast.correction == pytest.approx(factor)
    forecast.reset(LONGEST)
    corrected, plain = BlockForecast(1000, BLOCK_SIZE), BlockForecast(1000, BLOCK_SIZE)
    for _ in range(100):
        corrected.record_end(100, actual)
    corrected.reset(LONGEST)
    plain.reset(LONGEST)
    sequences = 0
    while corrected.fits(20, 100):
        assert plain.fits(20, round(100 * factor))
        corrected.add(20, 100)
        plain.add(20, round(100 * factor))
        sequences += 1
    assert not plain.fits(20, round(100 * factor))
    assert sequences > 5


@given(sequence=lengths, sequences=st.lists(running, max_size=4))
def test_a_new_beginning_forgets_the_sequences_but_not_what_was_learned(
    sequence: tuple[int, int], sequences: list[tuple[int, int, int]]
) -> None:
    used = forecast_of(200, sequences, ended=(100, 140))
    used.reset(LONGEST)
    assert used.correction == pytest.approx(1.4)
    assert used.fits(*sequence) == forecast_of(200, ended=(100, 140)).fits(*sequence)


def test_sequences_of_one_block_each_fit_by_their_number() -> None:
    """A cache without paging, as on a CPU."""
    forecast = BlockForecast(3, 5000)
    forecast.reset(LONGEST)
    for frames in (0, 40, 299):
        assert forecast.fits(100, LONGEST)
        forecast.add(100 + frames * SLOTS, LONGEST, frames)
    assert not forecast.fits(100, LONGEST)
    assert not forecast.fits(1, 1)
