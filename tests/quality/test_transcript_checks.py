import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.manifest.schema import Quality
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.transcript_checks import check_words
from tests.support.demo import ROOT

WORDS = sorted(set((ROOT / "README.md").read_text("utf-8").split()))

SENTENCE = (
    "The old ferry crossed the river twice each morning, and nobody in the village could remember who had built it."
)


def check(text: str, transcript: str, language: str = "en") -> tuple[Transcript, tuple[Problem, ...]]:
    return check_words(text, transcript, "tiny", language, Quality())


def kinds(text: str, transcript: str) -> list[str]:
    return [problem.kind for problem in check(text, transcript)[1]]


def test_a_text_heard_as_it_stands_has_no_problem() -> None:
    heard, problems = check(SENTENCE, SENTENCE)
    assert heard == Transcript("tiny", SENTENCE, 0.0, ())
    assert problems == ()


# The first text of a language loads its number words.
@given(st.lists(st.sampled_from(WORDS), max_size=40), st.sampled_from(["en", "en-GB", "de", "xx"]))
def test_any_text_heard_as_it_stands_has_no_problem(words: list[str], language: str) -> None:
    text = " ".join(words)
    heard, problems = check(text, text, language)
    assert (heard.word_error, heard.unheard, problems) == (0.0, (), ())


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_is_written_and_heard_is_judged(text: str, transcript: str) -> None:
    heard, _ = check(text, transcript)
    assert heard.word_error >= 0
    assert all(0 <= place < len(text.split()) for place in heard.unheard)


@given(st.integers(4, 12), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_words_dropped_in_a_row_are_missing_and_named(count: int, at: int, draw: random.Random) -> None:
    words = [f"{a}{b}" for a in ("ba", "de", "fi", "go", "mu") for b in ("rt", "lk", "mp", "nd", "x", "sh")]
    draw.shuffle(words)
    at %= len(words) - count + 1
    heard, problems = check(" ".join(words), " ".join([*words[:at], *words[at + count :]]))
    assert heard.unheard == tuple(range(at, at + count))
    missing = next(problem for problem in problems if problem.kind == "missing")
    assert f"{count} words not heard: “{' '.join(words[at : at + count])}”" in missing.detail


@pytest.mark.parametrize(
    ("text", "transcript"),
    [
        ("It was 1984.", "It was nineteen eighty-four."),
        ("In nineteen hundred and five she left.", "In 1905 she left."),
        ("Twenty-one men in the 1980s", "21 men in the nineteen eighties"),
        ("1,250 miles and 3.5%", "Twelve hundred and fifty miles and three point five percent."),
        ("the 21st of May at 10:30", "The twenty-first of May at ten thirty"),
        ("at 10:05 it cost $5.50", "At ten oh five, it cost five dollars and fifty cents."),
        ("It cost five dollars.", "It cost $5."),
        ("They had $5 million in 2010.", "They had five million dollars in twenty ten."),
        ("It is 6:00 now, ten o'clock there", "It's six o'clock now, 10:00 there."),
        ("Room 305", "room three oh five"),
        ("Louis XIV in Chapter IV", "Louis fourteen? In chapter four."),
        ("The colour of the theatre, organised in grey", "The color of the theater organized in gray."),
        ("Mr. Grey's dog isn't OK", "Mister Gray's dog is not okay"),
        ("it's true, we've travelled, I can't", "It is true we have traveled. I cannot."),
        ("I am going to go, they will not", "I'm gonna go. They won't"),
        ("a book shelf, nevertheless", "A bookshelf never the less"),
        ("the well-being of the U.S. army", "The wellbeing of the US army"),
        ("Rock & roll <laugh> at the café", "rock and roll [laughter] at the Cafe"),
        ("“Don’t,” she said—and left…", "Don't she said and left"),
        ("Hmm, well, that is it.", "Well, that is it."),
        ("Well <laugh> that is it.", "Well, ha ha ha ha, that is it."),
    ],
)
def test_one_word_written_in_two_ways_is_one_word(text: str, transcript: str) -> None:
    heard, problems = check(text, transcript)
    assert (heard.unheard, problems) == ((), ())
    assert heard.word_error == 0 or "Hmm" in text


def test_other_numbers_are_other_words() -> None:
    heard, _ = check("They left in 1984 for good.", "They left in 1994 for good.")
    assert heard.word_error > 0
    assert check("Twelve men", "Thirteen men")[0].unheard == (0,)


def test_places_of_unheard_words_count_tags_and_points() -> None:
    text = "So <sigh> the old - and very tired - ferry left"
    heard, _ = check(text, "So the old and ferry left")
    assert [text.split()[place] for place in heard.unheard] == ["very", "tired"]


def test_an_end_that_is_cut_off_is_missing_from_two_words_on() -> None:
    words = SENTENCE.split()
    assert kinds(SENTENCE, " ".join(words[:-1])) == []
    (problem,) = check(SENTENCE, " ".join(words[:-2]))[1]
    assert problem == Problem("missing", "the end is cut off: 2 words not heard: “built it.”")


def test_a_cut_end_is_seen_where_its_last_word_stands_earlier_too() -> None:
    assert kinds("they took the lamp and the boat and the", "they took the lamp and the boat") == ["missing"]
    assert kinds("it is cold and here it is", "it is cold and here") == ["missing"]


def test_two_words_misheard_at_the_end_are_not_missing() -> None:
    assert kinds(SENTENCE, SENTENCE.replace("built it", "guilt if")) == []


def test_a_stretch_said_twice_is_named() -> None:
    words = SENTENCE.split()
    (problem,) = check(SENTENCE, " ".join([*words[:12], *words[6:12], *words[12:]]))[1]
    assert problem.kind == "repeated"
    assert problem.detail.startswith("6 words are said twice: “")


def test_a_stretch_said_twice_is_named_though_it_is_misheard_both_times() -> None:
    text = "The road climbed slowly through the forest and came out at last on a wide green hill."
    again = "forest and game out at last"
    heard = f"The road glends slowly through the {again} {again} on a wide green hill."
    assert kinds(text, heard)[0] == "repeated"


def test_a_stretch_that_stands_nowhere_is_added() -> None:
    spoken = "Realistic female voice in the thirties with an american accent. " + SENTENCE
    problem = check(SENTENCE, spoken)[1][0]
    assert problem == Problem(
        "added",
        "10 words are not in the text: “Realistic female voice in the thirties with an american accent.”",
    )


def test_the_name_of_a_tag_that_is_spoken_is_found() -> None:
    (problem,) = check("He went <sigh> home.", "He went sigh home.")[1]
    assert problem == Problem("tag", "the tag <sigh> is read aloud: sigh")
    assert kinds("He went <laugh_harder> home, dear friend.", "He went laugh harder home dear friend.") == ["tag"]
    assert kinds("I sigh and <sigh> leave.", "I sigh and leave.") == []


@pytest.mark.parametrize("heard", ["side", "van guard"])
def test_words_in_the_place_of_a_tag_are_too_many(heard: str) -> None:
    (problem,) = check("He went <sigh> home again, dear friend.", f"He went {heard} home again dear friend.")[1]
    assert problem == Problem("added", f"unexpected words at <sigh>: {heard}")


@pytest.mark.parametrize(
    "heard", ["ha", "hahahaha", "hee hee", "Bwa ha ha", "aaaah", "ahh", "Ugh", "pfft", "(sighs)", "hmmm", "shh", "phew"]
)
@pytest.mark.parametrize("place", [2, 5])
def test_the_sound_of_a_tag_is_not_its_name(heard: str, place: int) -> None:
    words = ["He", "went", "quietly", "home", "again."]
    text, spoken = (" ".join([*words[:place], sound, *words[place:]]) for sound in ("<laugh>", heard))
    assert kinds(text, spoken) == []


@pytest.mark.parametrize(
    ("heard", "expected"), [("you", []), ("Thank you.", []), ("sigh", ["tag"]), ("side", ["added"])]
)
def test_after_the_last_word_only_a_tags_name_is_too_much(heard: str, expected: list[str]) -> None:
    assert kinds("He went quietly home again. <sigh>", f"He went quietly home again. {heard}") == expected


def test_another_text_has_wrong_words_with_their_count() -> None:
    problems = check(
        SENTENCE, "Nothing of what is written in this book was ever meant for anyone to read aloud at all."
    )[1]
    assert "words" in [problem.kind for problem in problems]
    assert any("in 20 words; heard: “Nothing of" in problem.detail for problem in problems)


def test_long_texts_may_have_more_wrong_words_than_short_ones() -> None:
    assert kinds("Anna left.", "Hannah left.") == []
    assert kinds("Anna left home.", "Hannah lift hone.") == ["words"]
    assert kinds("Anna left the house by the lake.", "Hannah lift the house by the lake.") == []


def test_limits_are_those_of_the_book() -> None:
    heard = SENTENCE.replace("nobody in the ", "")
    assert kinds(SENTENCE, heard) == []
    strict = Quality(stretch_words=3)
    assert [problem.kind for problem in check_words(SENTENCE, heard, "tiny", "en", strict)[1]] == ["missing"]
    exact = Quality(word_error=0, wrong_words=0)
    assert [problem.kind for problem in check_words(SENTENCE, heard, "tiny", "en", exact)[1]] == ["words"]


@pytest.mark.parametrize("heard", ["", " . ", "[BLANK_AUDIO]"])
def test_nothing_heard_is_missing_and_no_text_wants_nothing(heard: str) -> None:
    assert "missing" in kinds("Yes.", heard)
    assert kinds("<laugh>", heard) == []


def test_scripts_without_spaces_are_compared_sign_by_sign() -> None:
    heard, problems = check("今日は天気がいいです", "今日は天気が", "ja")
    assert [problem.kind for problem in problems] == ["missing"]
    assert heard.word_error == 0.4


def test_a_transcript_is_quoted_in_brief() -> None:
    long = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60))
    problem = next(problem for problem in check(long, "x")[1] if problem.kind == "words")
    assert len(problem.detail) < 80


@pytest.mark.parametrize(("times", "kind"), [(1, None), (2, "repeated"), (2000, "added")])
def test_words_that_are_said_thousands_of_times_are_only_added(times: int, kind: str | None) -> None:
    found = kinds("Who goes there?", "Who goes there? " * times)
    assert found[:1] == ([kind] if kind else [])
