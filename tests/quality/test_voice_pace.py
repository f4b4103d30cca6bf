from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.quality.voice_pace import COUNTED, ENOUGH_FOR_PACE, ENOUGH_FOR_QUIET, Limits, VoiceProfiles

VOICE, OTHER = "A calm voice", "Another voice"
RATIOS = st.floats(0.1, 10)
#: Seconds of quiet at the ends of the demo voice's takes.
STEADY = [0.4, 0.41, 0.43, 0.44, 0.45, 0.46, 0.47, 0.48, 0.5, 0.52, 0.55, 0.58]


def of(ratios: Sequence[float | None] = (), quiets: Sequence[float | None] = (), more: int = 0) -> Limits:
    """The limits of a voice of which so much is known in reading order, and so many more chunks are to come."""
    names = [str(number) for number in range(max(len(ratios), len(quiets)) + more)]
    limits = VoiceProfiles((VOICE, name) for name in names)
    for name, ratio in zip(names, ratios, strict=False):
        limits.learn_pace(name, ratio)
    for name, quiet in zip(names, quiets, strict=False):
        limits.learn_end(name, quiet)
    return limits.of(VOICE)


def least(quiets: Sequence[float]) -> float:
    known = of(quiets=quiets).quiet
    assert known is not None
    return known


def test_a_limit_is_open_until_the_first_takes_are_there() -> None:
    assert of(more=1) == Limits(None, None)
    assert of([1.2] * (COUNTED - 1), more=1).pace is None
    assert of([1.2] * COUNTED, more=1).pace == pytest.approx(1.2)
    assert of([1.2] * COUNTED, more=1).quiet is None
    assert of(quiets=[0.5] * (ENOUGH_FOR_QUIET - 1), more=1).quiet is None
    assert of(quiets=[0.5] * ENOUGH_FOR_QUIET, more=1).quiet == pytest.approx(0.46)


def test_a_voice_of_few_takes_has_no_limits_of_its_own() -> None:
    assert of([1.2] * (ENOUGH_FOR_PACE - 1), [0.5] * (ENOUGH_FOR_PACE - 1)) == Limits(0, 0)
    assert of([1.2] * ENOUGH_FOR_PACE, [0.5] * (ENOUGH_FOR_QUIET - 1)).quiet == 0
    assert of([1.2] * ENOUGH_FOR_PACE).pace == pytest.approx(1.2)  # it has no more
    failed = [*[1.2] * (ENOUGH_FOR_PACE - 1), None, None]
    assert (of(failed).pace, of(failed, more=1).pace) == (0, None)


def test_a_gap_in_reading_order_leaves_a_limit_open_whatever_comes_behind_it() -> None:
    limits = VoiceProfiles((VOICE, str(number)) for number in range(40))
    for number in range(1, 40):
        limits.learn_pace(str(number), 1.2)
        limits.learn_end(str(number), 0.5)
    assert limits.of(VOICE) == Limits(None, None)
    limits.learn_pace("0", None)
    assert limits.of(VOICE) == Limits(1.2, None)
    limits.learn_end("0", None)
    assert limits.of(VOICE).quiet == pytest.approx(0.46)


def test_what_comes_behind_the_first_takes_counts_for_nothing() -> None:
    assert of([*[1.2] * COUNTED, *[9.0] * 40]).pace == 1.2
    assert of(quiets=[*[0.5] * ENOUGH_FOR_QUIET, *[0.1] * 40]).quiet == of(quiets=[0.5] * ENOUGH_FOR_QUIET).quiet


def test_voices_are_told_apart() -> None:
    names = [(voice, f"{voice} {number}") for number in range(ENOUGH_FOR_PACE) for voice in (VOICE, OTHER)]
    limits = VoiceProfiles(names)
    for voice, name in names:
        limits.learn_pace(name, 0.8 if voice == VOICE else 1.5)
    assert (limits.of(VOICE).pace, limits.of(OTHER).pace) == (0.8, 1.5)


FIRSTS = st.lists(
    st.tuples(st.sampled_from([VOICE, OTHER]), st.one_of(st.none(), RATIOS), st.one_of(st.none(), st.floats(0, 2))),
    min_size=1,
    max_size=80,
)


@given(firsts=FIRSTS, data=st.data())
def test_the_order_in_which_takes_come_is_nothing_to_the_limits_and_what_is_settled_stays(
    firsts: list[tuple[str, float | None, float | None]], data: st.DataObject
) -> None:
    def learned(order: Sequence[int]) -> tuple[Limits, ...]:
        limits = VoiceProfiles((voice, str(number)) for number, (voice, _, _) in enumerate(firsts))
        voices = sorted({voice for voice, _, _ in firsts})
        seen = [limits.of(voice) for voice in voices]
        for number in order:
            limits.learn_pace(str(number), firsts[number][1])
            limits.learn_end(str(number), firsts[number][2])
            for place, voice in enumerate(voices):
                before, seen[place] = seen[place], limits.of(voice)
                assert before.pace in (None, seen[place].pace)
                assert before.quiet in (None, seen[place].quiet)
        assert all(None not in (limit.pace, limit.quiet) for limit in seen)
        return tuple(seen)

    numbers = range(len(firsts))
    assert learned(data.draw(st.permutations(numbers))) == learned(numbers)


@given(good=st.lists(st.floats(0.9, 1.1), min_size=5, max_size=8), data=st.data())
def test_failed_takes_do_not_move_the_pace_out_of_the_good_ones(good: list[float], data: st.DataObject) -> None:
    count = ENOUGH_FOR_PACE - len(good)
    bad = data.draw(st.lists(RATIOS, min_size=count, max_size=count))
    ratio = of(data.draw(st.permutations(good + bad))).pace
    assert ratio is not None
    assert min(good) <= ratio <= max(good)


def test_of_a_steady_voice_a_cut_between_words_is_no_end() -> None:
    assert 0.28 < least([*STEADY, *STEADY][:ENOUGH_FOR_QUIET]) < min(STEADY)


@given(cut=st.floats(0, 0.2))
def test_a_take_that_is_cut_off_does_not_make_cuts_the_rule(cut: float) -> None:
    assert least([cut, *STEADY, *STEADY][:ENOUGH_FOR_QUIET]) > 0.25


def test_of_a_voice_whose_ends_vary_nothing_is_asked() -> None:
    varied = [0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.45, 0.6, 0.8, 1.2]
    assert least([*varied, *varied][:ENOUGH_FOR_QUIET]) == 0


@given(st.lists(st.floats(0, 5), min_size=ENOUGH_FOR_QUIET, max_size=ENOUGH_FOR_QUIET))
def test_nine_of_ten_takes_are_long_enough(quiets: list[float]) -> None:
    assert sum(quiet < least(quiets) for quiet in quiets) <= len(quiets) / 10


@pytest.mark.parametrize("number", [-0.1, float("nan"), float("inf")])
def test_what_is_no_ratio_and_no_time_is_refused(number: float) -> None:
    limits = VoiceProfiles([(VOICE, "1:1")])
    with pytest.raises(ValueError, match="times the expected frames"):
        limits.learn_pace("1:1", number)
    with pytest.raises(ValueError, match="quiet for"):
        limits.learn_end("1:1", number)
