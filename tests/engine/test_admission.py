import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.admission import _STRIDE as STRIDE
from maya_batch.engine.admission import Forecast

LONGEST = 300
PAGE = 16

lengths = st.tuples(st.integers(1, 300), st.integers(1, LONGEST))
"""Tokens of a prompt, and the frames that its row is expected to have."""

spoken = st.tuples(st.integers(1, 300), st.integers(1, LONGEST), st.integers(0, LONGEST))
"""The same of a row that has spoken some frames."""


def forecast_of(
    pages: int, rows: list[tuple[int, int, int]] | None = None, page_size: int = PAGE, ended: tuple[int, int] = (1, 1)
) -> Forecast:
    """One that has seen 100 rows end, expected and actual frames in `ended`, with rows that are being spoken."""
    forecast = Forecast(pages, page_size)
    for _ in range(100):
        forecast.ended(*ended)
    forecast.begin(LONGEST)
    for prompt, expected, frames in rows or []:
        forecast.add(prompt + frames * SLOTS, expected, frames)
    return forecast


def pages_needed(rows: list[tuple[int, int, int]], row: tuple[int, int]) -> int:
    """The fewest pages with which a row more has room."""
    low, high = 0, 100_000
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if forecast_of(middle, rows).fits(*row) else (middle + 1, high)
    return low


@given(row=lengths)
def test_a_row_alone_takes_about_what_it_will_be_when_it_ends(row: tuple[int, int]) -> None:
    prompt, expected = row
    least = -(-(prompt + expected * SLOTS) // PAGE)
    assert least <= pages_needed([], row) <= least + -(-3 * STRIDE * SLOTS // PAGE)


@given(rows=st.lists(spoken, min_size=1, max_size=6), row=lengths)
def test_room_for_what_is_there_already_is_asked_for(rows: list[tuple[int, int, int]], row: tuple[int, int]) -> None:
    now = sum(-(-(prompt + frames * SLOTS) // PAGE) for prompt, _, frames in rows)
    assert pages_needed(rows, row) >= now + -(-row[0] // PAGE)


def test_rows_that_end_make_room_for_those_that_grow() -> None:
    """Rows that began one after the other are never all at their longest together."""
    fresh = (10, 100)
    together = pages_needed([(10, 100, 0)] * 10, fresh)
    assert together == 11 * pages_needed([], fresh)
    assert pages_needed([(10, 100, 10 * number) for number in range(10)], fresh) < 0.75 * together


def curve(prompt: int, expected: int, frames: int, page_size: int) -> list[int]:
    """Pages of a row, point by point from now until it is over."""
    tokens, left = prompt + frames * SLOTS, max(expected - frames, STRIDE)
    return [-(-(tokens + SLOTS + point * STRIDE * SLOTS) // page_size) for point in range(left // STRIDE + 2)]


@given(rows=st.lists(spoken, max_size=6), row=lengths, page_size=st.sampled_from([1, 16, 64, 5000]))
def test_what_is_needed_is_the_highest_sum_of_all_rows(
    rows: list[tuple[int, int, int]], row: tuple[int, int], page_size: int
) -> None:
    total = np.zeros(LONGEST, dtype=np.int64)
    fresh = curve(*row, 0, page_size)
    for pages in (*(curve(*other, page_size) for other in rows), fresh):
        total[: len(pages)] += pages
    needed = int(total[: len(fresh)].max())
    assert forecast_of(needed, rows, page_size).fits(*row)
    assert not forecast_of(needed - 1, rows, page_size).fits(*row)


@given(rows=st.lists(spoken, max_size=6), row=lengths, pages=st.integers(0, 1500))
def test_less_is_easier_to_fit(rows: list[tuple[int, int, int]], row: tuple[int, int], pages: int) -> None:
    prompt, expected = row
    if not forecast_of(pages, rows).fits(*row):
        return
    assert forecast_of(pages + 1, rows).fits(*row)
    assert forecast_of(pages, rows).fits(max(prompt - 1, 1), expected)
    assert forecast_of(pages, rows).fits(prompt, max(expected - 1, 1))
    for left_out in range(len(rows)):
        assert forecast_of(pages, rows[:left_out] + rows[left_out + 1 :]).fits(*row)


def test_a_row_past_its_expectation_is_expected_to_end_soon_but_not_at_once() -> None:
    row = (10, 50)
    for frames in (50, 80, 200):
        needed = pages_needed([(10, 50, frames)], row)
        tokens = 10 + frames * SLOTS
        assert needed > -(-tokens // PAGE) + -(-row[0] // PAGE)
        assert needed == pages_needed([(10, 1, frames)], row)
        ended = pages_needed([], row)
        assert needed < ended + -(-(tokens + 3 * STRIDE * SLOTS) // PAGE)


@pytest.mark.parametrize(("actual", "factor"), [(100, 1.0), (130, 1.3), (90, 0.9), (50, 0.8), (1000, 2.0)])
def test_rows_that_became_longer_than_expected_correct_the_others(actual: int, factor: float) -> None:
    forecast = Forecast(1000, PAGE)
    for _ in range(31):
        forecast.ended(100, actual)
        assert forecast.correction == 1.0
    forecast.ended(100, actual)
    assert forecast.correction == pytest.approx(factor)
    forecast.begin(LONGEST)
    corrected, plain = Forecast(1000, PAGE), Forecast(1000, PAGE)
    for _ in range(100):
        corrected.ended(100, actual)
    corrected.begin(LONGEST)
    plain.begin(LONGEST)
    rows = 0
    while corrected.fits(20, 100):
        assert plain.fits(20, round(100 * factor))
        corrected.add(20, 100)
        plain.add(20, round(100 * factor))
        rows += 1
    assert not plain.fits(20, round(100 * factor))
    assert rows > 5


@given(row=lengths, rows=st.lists(spoken, max_size=4))
def test_a_new_beginning_forgets_the_rows_but_not_what_was_learned(
    row: tuple[int, int], rows: list[tuple[int, int, int]]
) -> None:
    used = forecast_of(200, rows, ended=(100, 140))
    used.begin(LONGEST)
    assert used.correction == pytest.approx(1.4)
    assert used.fits(*row) == forecast_of(200, ended=(100, 140)).fits(*row)


def test_rows_of_one_page_each_fit_by_their_number() -> None:
    """A cache without paging, as on a CPU."""
    forecast = Forecast(3, 5000)
    forecast.begin(LONGEST)
    for frames in (0, 40, 299):
        assert forecast.fits(100, LONGEST)
        forecast.add(100 + frames * SLOTS, LONGEST, frames)
    assert not forecast.fits(100, LONGEST)
    assert not forecast.fits(1, 1)
