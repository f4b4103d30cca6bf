import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.text.token_estimate import cap_tokens, expected_tokens, pace

PLAIN = "Realistic female voice in the 30s age with american accent. Warm timbre, conversational pacing."
SLOW = PLAIN.replace("conversational", "very slow")
WORDS = st.lists(st.sampled_from(["river", "the", "1984", "<laugh>", "lamp,", "U.S.A.", "“No!”"]), max_size=30)


@pytest.mark.parametrize(
    ("words", "factor"),
    [
        ("conversational pacing", 1.0),
        ("", 1.0),
        ("slow pacing", 1.34),
        ("Slow pacing", 1.34),
        ("very_slow pacing", 1.5),
        ("very slow pacing", 1.5),
        ("very-slow pacing", 1.5),
        ("brisk pacing", 0.98),
        ("fast pacing", 0.96),
        ("very_fast pacing", 0.95),
        ("a breakfast host, slowly eating", 1.0),
    ],
)
def test_the_pace_is_read_from_the_description(words: str, factor: float) -> None:
    assert pace(f"Male voice, {words}, low pitch.") == factor


@pytest.mark.parametrize(
    ("text", "took"),
    [
        ("Yes.", 84),
        ("Chapter 1.", 161),
        ("In 1984, Mr. Smith paid $1,250.75.", 651),
        ("<laugh>", 6 * 82),
        ("Oh <laugh> stop it.", 84 + 6 * 82),
    ],
)
def test_no_text_that_was_measured_reaches_its_cap(text: str, took: int) -> None:
    assert took < cap_tokens(text, PLAIN, "en")


def test_the_slowest_voice_that_was_measured_does_not_reach_its_cap() -> None:
    assert cap_tokens(" ".join(["river"] * 45), SLOW, "en") > 45 * 66


def test_the_slowest_rows_of_a_usual_voice_do_not_reach_their_cap() -> None:
    assert cap_tokens(" ".join(["river"] * 45), PLAIN, "en") > 45 * 60


def test_a_usual_chunk_takes_what_users_measured() -> None:
    """54 words were 1,996 tokens; 52 a word is the demo voice's pace."""
    expected = expected_tokens(" ".join(["river"] * 54), PLAIN, "en")
    assert 54 * 37 <= expected <= 54 * 55


def test_a_laugh_gets_five_seconds_a_silent_tag_two() -> None:
    without = cap_tokens("Stop it.", PLAIN, "en")
    assert cap_tokens("Stop <laugh> it.", PLAIN, "en") == without + 400
    assert cap_tokens("Stop <laugh_harder> <chuckle> it.", PLAIN, "en") == without + 800
    assert cap_tokens("Stop <whisper> it.", PLAIN, "en") == without + 160


def test_a_slow_voice_gets_more_time_a_fast_one_no_less() -> None:
    text = "The night was dark and the river was high."
    plain, slow = (cap_tokens(text, description, "en") for description in (PLAIN, SLOW))
    fast = cap_tokens(text, PLAIN.replace("conversational", "very fast"), "en")
    assert slow > plain
    assert fast == plain
    assert expected_tokens(text, SLOW, "en") > expected_tokens(text, PLAIN, "en")


@pytest.mark.parametrize("description", [PLAIN, SLOW])
@given(words=WORDS)
def test_what_is_expected_stays_under_the_cap_and_words_never_shorten_it(words: list[str], description: str) -> None:
    text = " ".join(words)
    cap = cap_tokens(text, description, "en")
    assert 0 < expected_tokens(text, description, "en") < cap
    assert cap <= cap_tokens(f"{text} river", description, "en")
    assert isinstance(cap, int)
