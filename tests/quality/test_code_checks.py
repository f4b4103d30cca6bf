import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout, read_layout
from maya_batch.engine.api import Finish, Generation, Request, Sampling
from maya_batch.manifest import Quality
from maya_batch.quality.code_checks import check_codes
from maya_batch.text.token_estimate import expected_tokens
from tests.support.demo import FEMALE
from tests.support.fakes import FakeEngine, TinyBook

TEXT = "The night was dark and the river was high, and an old man stood by the water with a lamp."
LAYOUT_OF_MAYA = TokenLayout()


def expected(text: str) -> int:
    return -(-expected_tokens(text, FEMALE, "en") // SLOTS)


def kinds(
    frames: int, text: str = TEXT, *, finish: Finish = "eos", pace: float | None = 1.0, quality: Quality | None = None
) -> list[str]:
    codes = np.random.default_rng(0).integers(0, 4096, (frames, SLOTS)).astype(np.uint16)
    generation = Generation("key", codes, finish, "frame 9, slot 2" if finish == "broken" else "")
    found = check_codes(generation, text, expected(text), LAYOUT_OF_MAYA, pace, quality or Quality())
    assert all(any(character.isdigit() for character in problem.detail) for problem in found)
    return [problem.kind for problem in found]


def test_how_a_take_ended_is_told_and_its_length_only_where_it_ended_itself() -> None:
    assert kinds(400, finish="cap") == ["cap"]
    assert kinds(3, finish="broken") == ["broken"]
    assert kinds(expected(TEXT)) == []


def test_a_take_far_from_the_length_of_its_words_is_short_or_long() -> None:
    usual = expected(TEXT)
    assert kinds(round(usual * 0.8)) == []
    assert kinds(round(usual * 0.6)) == ["short"]
    assert kinds(round(usual * 1.25)) == []
    assert kinds(round(usual * 1.5)) == ["long"]


def test_the_length_is_measured_by_the_voices_own_pace_and_with_patience_while_that_is_unknown() -> None:
    slow = round(expected(TEXT) * 1.4)
    assert kinds(slow) == ["long"]
    assert kinds(slow, pace=1.4) == []
    assert kinds(slow, pace=None) == []
    assert kinds(round(expected(TEXT) * 0.6), pace=None) == []
    assert kinds(round(expected(TEXT) * 0.4), pace=None) == ["short"]


def test_a_tag_may_be_silent_or_last_for_seconds() -> None:
    laughing = "<laugh> The night was dark and the river was high. <laugh>"
    plain = "The night was dark and the river was high."
    assert kinds(expected(plain), laughing) == []
    assert kinds(expected(plain) + 100, laughing) == []
    assert kinds(expected(plain) + 100, plain) == ["long"]


def test_a_number_may_be_read_in_fewer_words_than_were_counted() -> None:
    text = "In 1984, Mr. Smith paid $1,250.75."
    assert kinds(83, text, pace=0.94) == []  # as the demo voice reads it
    assert kinds(40, text, pace=0.94) == ["short"]
    assert kinds(83, "In " + "nineteen " * 14 + "seven.", pace=0.94) == ["short"]


def test_thresholds_are_the_books() -> None:
    short = round(expected(TEXT) * 0.6)
    assert kinds(short, quality=Quality(shortest=0.4)) == []
    assert kinds(expected(TEXT) - 8, quality=Quality(shortest=1.0)) == ["short"]


def test_a_sentence_said_twice_is_a_problem_unless_the_text_says_it_twice() -> None:
    codes = np.random.default_rng(0).integers(0, 4096, (60, SLOTS)).astype(np.uint16)
    generation = Generation("key", np.concatenate((codes, codes[10:60])), "eos")
    once = "The old lamp was cold and he waited for a very long time beside the river."
    twice = "Who goes there, old man? Who goes there, old man?"
    found = check_codes(generation, once, 110, LAYOUT_OF_MAYA, 1.0, Quality())
    assert [problem.kind for problem in found] == ["repeated"]
    assert found[0].detail == "1.5 s of speech at 0.9 s is repeated at 5.1 s"
    assert check_codes(generation, twice, 110, LAYOUT_OF_MAYA, 1.0, Quality()) == ()


@given(st.floats(0.8, 1.25), st.floats(0.5, 2), st.integers(1, 45))
def test_takes_near_the_voices_own_pace_are_never_short_or_long(near: float, pace: float, words: int) -> None:
    text = " ".join(["lamp"] * words)
    frames = round(expected(text) * near * pace)
    codes = np.arange(frames * SLOTS, dtype=np.uint16).reshape(frames, SLOTS)
    found = check_codes(Generation("key", codes, "eos"), text, expected(text), LAYOUT_OF_MAYA, pace, Quality())
    assert found == ()


@given(st.text("abc <>.!", max_size=60), st.integers(0, 80), st.sampled_from(["eos", "cap", "broken"]))
def test_no_text_and_no_length_is_too_odd(text: str, frames: int, finish: Finish) -> None:
    codes = np.zeros((frames, SLOTS), dtype=np.uint16)
    found = check_codes(Generation("key", codes, finish), text, 30, LAYOUT_OF_MAYA, None, Quality())
    assert len({problem.kind for problem in found}) == len(found)


@pytest.mark.parametrize("text", ["Fine.", TEXT, "<laugh> " + TEXT + " Hush now."])
def test_the_fake_engine_gives_takes_without_problems(text: str, tiny: TinyBook) -> None:
    layout = read_layout(tiny.folder / "lm")
    request = Request("key", FEMALE, text, 7, 400, expected(text))
    ((take,),) = FakeEngine(layout).generate([request], Sampling(), "framed")
    assert check_codes(take, text, expected(text), layout, None, Quality()) == ()
