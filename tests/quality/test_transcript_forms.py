"""Right transcripts that write things in another form than the text, and wrong ones that look alike."""

from pathlib import Path

import pytest

from maya_batch.manifest.schema import Quality
from maya_batch.quality import Problem
from maya_batch.quality.transcript_checks import check_words
from tests.measure.transcript_forms import directions, judge, passages

DATA = Path(__file__).parents[1] / "data" / "transcripts"

CASES = [line.split("\t") for line in (DATA / "words.tsv").read_text(encoding="utf-8").splitlines()[1:]]


def problems(text: str, transcript: str, language: str = "en", **respellings: str) -> tuple[float, list[Problem]]:
    heard, found = check_words(text, transcript, "none", language, Quality(), respellings)
    return heard.word_error, list(found)


@pytest.mark.parametrize(("text", "heard", "good"), CASES)
def test_a_good_take_costs_no_word_error_and_a_bad_one_is_flagged(text: str, heard: str, good: str) -> None:
    error, found = problems(text, heard)
    if good == "yes":
        assert (error, found) == (0, [])
    else:
        assert found


@pytest.mark.parametrize("name", ["written_spoken", "written_digits"])
def test_passages_of_books_are_right_in_either_form(name: str) -> None:
    pairs = passages(DATA / f"{name}_sample.jsonl")
    assert len(pairs) == 150
    for direction, ordered in directions(pairs):
        judged = [judge(pair) for pair in ordered]
        assert [found for _, found in judged if found] == [], direction
        assert sum(error > 0 for error, _ in judged) <= 6, direction


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("The colourless plough", "The colorless plow"),
        ("He travelled to the theatre in grey pyjamas", "He traveled to the theater in gray pajamas"),
        ("the sceptical gaoler's cheques", "the skeptical jailer's checks"),
        ("He anaesthetised the archaeologist", "He anesthetized the archeologist"),
        ("She learnt to spell whisky and shewed it", "She learned to spell whiskey and showed it"),
        ("Gimme that", "Give me that."),
        ("You shoulda said you don't know", "You should have said you dunno"),
        ("Give me some of them", "Gimme some of 'em"),
        ("The S. S. A. H. Q. T. R. B. came", "The SSAHQTRB came"),
    ],
)
def test_spellings_and_short_forms_are_right_in_either_direction(text: str, heard: str) -> None:
    assert problems(text, heard) == (0, [])
    assert problems(heard, text) == (0, [])


def test_a_reading_counts_only_where_it_stands() -> None:
    text = "In 1984 they sold nineteen eighty-four lamps."
    assert problems(text, "In nineteen eighty-four they sold 1984 lamps.") == (0, [])
    error, _ = problems(text, "In twenty they sold nineteen eighty-four lamps.")
    assert error > 0


def test_another_number_in_the_place_of_one_is_wrong() -> None:
    text = "She had 3,497 sheep on the hill, and none of them was ever shorn."
    _, (problem,) = problems(text, text.replace("3,497", "thirty four ninety seven"))
    assert problem == Problem("words", "“3,497” is heard as another number: “thirty four ninety seven”")
    _, (problem,) = problems("They paid 1,500 men on Monday morning.", "They paid fifteen men on Monday morning.")
    assert problem.detail.startswith("“1,500” is heard as another number")


@pytest.mark.parametrize(
    ("number", "heard"),
    [("5", "nine"), ("20", "thirty"), ("1984", "nineteen forty eight"), ("1", "twenty one"), ("2", "two hundred")],
)
def test_numbers_of_alike_letters_are_other_numbers(number: str, heard: str) -> None:
    text = f"On that day he saw {number} ships in the wide harbour of the town."
    _, (problem,) = problems(text, text.replace(number, heard))
    assert problem == Problem("words", f"“{number}” is heard as another number: “{heard}”")


@pytest.mark.parametrize(("number", "heard"), [("15", "fifty"), ("100", "a hundred"), ("3", "3 and a half")])
def test_numbers_that_sound_alike_or_have_words_beside_them_are_not(number: str, heard: str) -> None:
    text = f"On that day he saw {number} ships in the wide harbour of the town."
    assert problems(text, text.replace(number, heard))[1] == []


@pytest.mark.parametrize("heard", ["in nineteen eighty fear", "in nineteen eighty for", "in ninety eighty four"])
def test_one_misheard_word_of_a_number_is_not_another_number(heard: str) -> None:
    assert problems("They left the old town in 1984 for good.", f"They left the old town {heard} for good.")[1] == []


@pytest.mark.parametrize(
    "remark", ["[laughter]", "(sighs)", "*coughs*", "♪", "♪ music ♪", "[BLANK_AUDIO]", "(upbeat music playing)"]
)
@pytest.mark.parametrize("at", [0, 3, 8])
def test_remarks_on_sounds_are_left_out(remark: str, at: int) -> None:
    words = ["The", "old", "ferry", "crossed", "the", "river", "every", "day."]
    heard = " ".join([*words[:at], remark, *words[at:]])
    assert problems(" ".join(words), heard) == (0, [])


def test_brackets_of_the_text_are_judged_by_their_words() -> None:
    text = "The house (it was built in 1820 or so) stood by the river."
    assert problems(text, "The house (it was built in eighteen twenty or so) stood by the river.") == (0, [])
    assert problems(text, "The house, it was built in eighteen twenty or so, stood by the river.") == (0, [])
    _, found = problems(text, "The house (nobody ever paid him well) stood by the river.")
    assert found[0].kind == "missing"


def test_a_long_bracket_that_the_text_does_not_have_is_added() -> None:
    text = "The old ferry crossed the river every day."
    heard = "The old ferry (which nobody had seen in all of those years) crossed the river every day."
    assert problems(text, heard)[1][0].kind == "added"


@pytest.mark.parametrize(
    "phrase",
    [
        *("Thanks for watching!", "Thank you for watching.", "Thank you.", "you", "Bye.", "Please subscribe."),
        *("Subtitles by the Amara.org community", "Please like and subscribe to my channel.", "See you next time."),
    ],
)
def test_what_whisper_hears_in_silence_is_left_out_at_the_end_only(phrase: str) -> None:
    text = "The old ferry crossed the river every day."
    assert problems(text, f"{text} {phrase}") == (0, [])
    assert problems(text, f"{phrase.rstrip('.!')} {text}")[0] > 0
    assert problems(f"{text} {phrase}", f"{text} {phrase}") == (0, [])
    assert problems(text, phrase)[1][0].kind == "missing"


def test_words_like_those_are_added_where_more_is_said() -> None:
    text = "The old ferry crossed the river every day."
    heard = f"{text} Thank you for watching the old ferry with us."
    assert problems(text, heard)[1][0].kind == "added"


@pytest.mark.parametrize(
    ("text", "heard"), [("No.", "Yes."), ("Never again.", "Go home."), ("Hark!", "Come in."), ("Yes.", "you")]
)
def test_a_text_of_one_or_two_words_is_wrong_if_all_its_words_are(text: str, heard: str) -> None:
    assert problems(text, heard)[1]


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        *(("No.", "Know."), ("Hark!", "Mark."), ("Anna left.", "Hannah lift."), ("Dear Sirs.", "Dear, sir.")),
        *(("Oh!", "Oh"), ("I.", "Eye."), ("I don't.", "Hi John."), ("Alas!", "Eliza."), ("Already?", "All ready?")),
    ],
)
def test_a_short_text_heard_alike_is_good(text: str, heard: str) -> None:
    assert problems(text, heard)[1] == []


def test_a_short_text_said_twice_is_repeated() -> None:
    assert [problem.kind for problem in problems("Hello there!", "Hello there! Hello there!")[1]] == ["repeated"]
    assert problems("Hello there! Hello there!", "Hello there! Hello there!") == (0, [])


def test_a_respelling_may_be_heard_as_the_word_it_stands_for() -> None:
    text = "Then Her-my-oh-nee met Nick Oh-lie in Worcester."
    spoken = {"Her-my-oh-nee": "Hermione", "Nick Oh-lie": "Nikolai"}
    for heard in ("Then Hermione met Nikolai in Worcester.", text, "Then her my oh nee met Nikolai in Worcester."):
        assert problems(text, heard, **spoken) == (0, [])
    assert problems(text, "Then Hermione met Nikolai in Worcester.")[0] > 0
    assert problems(text, "Then Harriet met Nikolai in Worcester.", **spoken)[0] > 0


def test_a_respelling_is_a_whole_word() -> None:
    assert problems("The weester weesters.", "The Worcester weesters.", weester="Worcester") == (0, [])
    assert problems("The weester weesters.", "The Worcester Worcesters.", weester="Worcester")[0] > 0


def test_a_respelling_of_a_written_form_has_its_readings() -> None:
    assert problems("The eff one stopped.", "The F1 stopped.", **{"eff one": "F1"}) == (0, [])


@pytest.mark.parametrize("language", ["en-GB", "de", "ja", "xx"])
def test_respellings_work_in_every_language(language: str) -> None:
    assert problems("Das ist Wuster.", "Das ist Worcester.", language, Wuster="Worcester")[1] == []


def test_transcripts_that_have_nothing_of_a_text_of_many_forms_are_judged() -> None:
    text = " ".join(f"{number:,} don't" for number in range(1000, 90_000, 900))
    heard = " ".join(f"{number:,} (it's)" for number in range(90_001, 1000, -700))
    error, found = problems(text, heard)
    assert error > 0.5
    assert found
