import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.checkpoint.token_layout import SLOTS, Codes
from maya_batch.quality.code_repetition import find_loop, repeated_words

WORDS = st.lists(st.sampled_from(["the", "lamp", "was", "cold", "never"]), max_size=12)


def spoken(frames: int, seed: int = 0) -> Codes:
    """Codes that resemble each other nowhere."""
    return np.random.default_rng(seed).integers(0, 4096, (frames, SLOTS)).astype(np.uint16)


def test_a_stretch_that_comes_again_is_found_where_it_does() -> None:
    codes = spoken(120)
    loop = find_loop(np.concatenate((codes[:90], codes[40:70], codes[90:])), 18)
    assert loop is not None
    assert (loop.lag, loop.frames) == (50, 18)
    assert 90 <= loop.start <= 120 - 18


def test_a_stretch_said_again_need_not_be_the_same_in_every_frame() -> None:
    codes = spoken(100)
    again = codes[20:40].copy()
    again[[3, 11], 0] += 1
    assert find_loop(np.concatenate((codes, again)), 20) is not None
    again[[1, 7, 15], 0] += 1
    assert find_loop(np.concatenate((codes, again)), 20) is None


def test_a_voice_that_is_stuck_is_a_loop_and_a_short_silence_is_none() -> None:
    codes = spoken(100)
    silence = np.zeros((12, SLOTS), dtype=np.uint16)
    assert find_loop(np.concatenate((codes[:30], silence, codes[30:60], silence, codes[60:])), 18) is None
    # Longer than what is looked for, and the same at two places; only two codes, in no order.
    silence = np.random.default_rng(1).integers(0, 2, (24, 1)).repeat(SLOTS, axis=1).astype(np.uint16)
    assert find_loop(np.concatenate((codes[:30], silence, codes[30:60], silence, codes[60:])), 18) is None
    stuck = find_loop(np.concatenate((codes, np.repeat(codes[-1:], 18, axis=0))), 18)
    assert stuck is not None
    assert stuck.lag == 1


@given(st.integers(0, 300), st.integers(0, 40), st.integers(0, 2**32))
def test_codes_that_do_not_repeat_hold_no_loop_whatever_their_length(frames: int, stretch: int, seed: int) -> None:
    codes = spoken(frames, seed)
    codes[:, 0] = np.random.default_rng(seed).permutation(4096)[:frames]
    assert find_loop(codes, stretch) is None


@given(st.integers(4, 40), st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**32))
def test_what_is_copied_is_always_found(stretch: int, before: int, between: int, seed: int) -> None:
    codes = spoken(before + stretch + between, seed)
    codes[:, 0] = np.random.default_rng(seed).permutation(4096)[: len(codes)]
    loop = find_loop(np.concatenate((codes, codes[before : before + stretch])), stretch)
    assert loop is not None
    assert (loop.start, loop.lag) == (len(codes), stretch + between)


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("", (0, 0)),
        ("The lamp was cold.", (0, 4)),
        ("The lamp, the <laugh> LAMP was cold.", (2, 6)),
        ("Never, never, never!", (2, 3)),
        ("<laugh> Ha <laugh> he", (0, 2)),
    ],
)
def test_words_that_a_text_says_twice_are_counted(text: str, longest: tuple[int, int]) -> None:
    assert repeated_words(text) == longest


@given(WORDS, WORDS)
def test_a_text_that_says_some_words_twice_has_at_least_these(words: list[str], between: list[str]) -> None:
    count, whole = repeated_words(" ".join([*words, *between, *words]))
    assert count >= len(words)
    assert whole == 2 * len(words) + len(between)
