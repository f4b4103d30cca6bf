"""Sentences of a clip begin after the pauses that fit them best."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.audio.quiet import sounding
from maya_batch.book.sentence_times import ClipPauses, expected_length, sentence_times
from tests.support.signals import RATE, hush, tones


def starts(lengths: list[float], clip: ClipPauses, heard: list[float | None] | None = None) -> list[float]:
    spans = sentence_times(lengths, clip, heard or [])
    assert len(spans) == len(lengths)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (clip.start, clip.end)
    return [start for start, _ in spans]


def test_a_sentence_ends_where_its_pause_begins() -> None:
    clip = ClipPauses(1.0, 6.0, [(2.0, 2.1), (3.0, 3.5), (4.0, 4.1)])
    assert sentence_times([20, 25], clip) == [(1.0, 3.0), (3.5, 6.0)]


def test_the_pause_that_fits_the_lengths_best_is_taken_among_pauses_as_long() -> None:
    clip = ClipPauses(0.0, 10.0, [(2.0, 2.4), (4.6, 5.0), (8.0, 8.4)])
    assert starts([10, 10], clip) == [0.0, 5.0]
    assert starts([10, 30], clip) == [0.0, 2.4]


def test_without_pauses_the_lengths_decide() -> None:
    assert starts([10, 20, 10], ClipPauses(0.0, 4.0)) == [0.0, 1.0, 3.0]


def test_words_that_are_heard_tell_which_pause_it_is() -> None:
    clip = ClipPauses(0.0, 10.0, [(3.8, 4.2), (5.8, 6.2)])
    assert starts([10, 10], clip, [None, 6.3]) == [0.0, 6.2]
    assert starts([10, 10], clip, [0.1, 4.0]) == [0.0, 4.2]
    assert starts([10, 10], ClipPauses(0.0, 10.0), [0.0, 6.0]) == [0.0, 6.0]


def test_a_clip_without_sound_is_divided_by_lengths() -> None:
    assert starts([1, 1], ClipPauses(2.0, 2.0)) == [2.0, 2.0]


@given(
    st.lists(st.floats(1, 300), min_size=1, max_size=8),
    st.lists(st.floats(0.01, 3), max_size=20),
    st.lists(st.none() | st.floats(-5, 40), max_size=8),
)
def test_times_are_in_order_whatever_is_known(
    lengths: list[float], edges: list[float], heard: list[float | None]
) -> None:
    ends = np.cumsum([0.5, *edges]).tolist()
    pauses = list(zip(ends[1:-1:2], ends[2:-1:2], strict=False))
    starts(lengths, ClipPauses(ends[0], ends[-1] + 1, pauses), (heard * 8)[: len(lengths)])


def test_pauses_are_found_where_they_are() -> None:
    wave = np.concatenate([hush(0.2), tones(1.0), hush(0.3), tones(0.5), hush(0.05), tones(0.5), hush(0.1)])
    found = sounding(wave, RATE)
    assert [found.start / RATE, found.end / RATE] == pytest.approx([0.2, 2.55], abs=0.011)
    assert [edge / RATE for pause in found.pauses for edge in pause] == pytest.approx([1.2, 1.5], abs=0.011)
    quiet = sounding(hush(1.0), RATE)
    assert (quiet.start, quiet.end, quiet.pauses) == (0, RATE, ())


def test_the_expected_length_is_that_of_the_letters() -> None:
    assert expected_length("In 1984, so!") == 8
    assert expected_length("…") == 1
