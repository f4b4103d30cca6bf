import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.quality.pace import ENOUGH, Pace

RATIOS = st.floats(0.1, 10)


def fed(ratios: list[float], description: str = "A calm voice") -> Pace:
    pace = Pace()
    for ratio in ratios:
        pace.add(description, ratio)
    return pace


def test_a_voice_of_few_takes_has_no_pace_yet() -> None:
    assert Pace().ratio("A calm voice") is None
    assert fed([1.2] * (ENOUGH - 1)).ratio("A calm voice") is None
    assert fed([1.2] * ENOUGH).ratio("A calm voice") == pytest.approx(1.2)


def test_voices_are_told_apart() -> None:
    pace = fed([0.8] * ENOUGH, "Fast pacing")
    assert pace.ratio("Slow pacing") is None
    for _ in range(ENOUGH):
        pace.add("Slow pacing", 1.5)
    assert (pace.ratio("Fast pacing"), pace.ratio("Slow pacing")) == (0.8, 1.5)


@settings(derandomize=True, deadline=None)
@given(good=st.lists(st.floats(0.9, 1.1), min_size=ENOUGH, max_size=60), data=st.data())
def test_failed_takes_do_not_move_the_pace_out_of_the_good_ones(good: list[float], data: st.DataObject) -> None:
    bad = data.draw(st.lists(RATIOS, max_size=(len(good) - 1) // 2))
    ratio = fed(data.draw(st.permutations(good + bad))).ratio("A calm voice")
    assert ratio is not None
    assert min(good) <= ratio <= max(good)


@settings(derandomize=True, deadline=None)
@given(st.lists(RATIOS, max_size=300))
def test_a_voice_that_changes_is_followed_and_old_takes_are_forgotten(old: list[float]) -> None:
    assert fed([*old, *[2.0] * 101]).ratio("A calm voice") == 2.0


@pytest.mark.parametrize("ratio", [-0.1, float("nan"), float("inf")])
def test_what_is_no_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="times the expected frames"):
        Pace().add("A calm voice", ratio)
