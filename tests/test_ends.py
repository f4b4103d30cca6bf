import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.quality.ends import ENOUGH, Ends

VOICE = "A calm voice"
#: Seconds of quiet at the ends of the demo voice's takes.
STEADY = [0.4, 0.41, 0.43, 0.44, 0.45, 0.46, 0.47, 0.48, 0.5, 0.52, 0.55, 0.58]


def fed(seconds: list[float], description: str = VOICE) -> Ends:
    ends = Ends()
    for quiet in seconds:
        ends.add(description, quiet)
    return ends


def test_a_voice_of_few_takes_is_not_known() -> None:
    assert Ends().least(VOICE) == 0
    assert fed([0.5] * (ENOUGH - 1)).least(VOICE) == 0
    assert fed([0.5] * ENOUGH).least(VOICE) == pytest.approx(0.46)


def test_voices_are_told_apart() -> None:
    ends = fed([0.5] * ENOUGH)
    assert ends.least("Another voice") == 0


def test_of_a_steady_voice_a_cut_between_words_is_no_end() -> None:
    least = fed(STEADY * 4).least(VOICE)
    assert 0.28 < least < min(STEADY)


@settings(derandomize=True, deadline=None)
@given(cut=st.lists(st.floats(0, 0.2), max_size=4))
def test_some_takes_that_are_cut_off_do_not_make_cuts_the_rule(cut: list[float]) -> None:
    assert fed([*STEADY * 4, *cut]).least(VOICE) > 0.25


def test_of_a_voice_whose_ends_vary_nothing_is_asked() -> None:
    varied = [0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.45, 0.6, 0.8, 1.2]
    assert fed(varied * 4).least(VOICE) == 0


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=ENOUGH, max_size=150))
def test_more_than_nine_of_ten_takes_are_long_enough(quiet: list[float]) -> None:
    known = quiet[-101:]
    assert sum(one < fed(quiet).least(VOICE) for one in known) <= len(known) / 10


@pytest.mark.parametrize("quiet", [-0.1, float("nan"), float("inf")])
def test_what_is_no_time_is_refused(quiet: float) -> None:
    with pytest.raises(ValueError, match="quiet for"):
        Ends().add(VOICE, quiet)
