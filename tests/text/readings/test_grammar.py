import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.readings import find_written
from maya_batch.text.readings.ways import LIMIT
from tests.support.properties import examples
from tests.text.readings.nemo import is_read_as

TEXTS = st.text("0123456789.,:/-–$£½%°'’ stdhampVIX", max_size=30) | st.text(max_size=30)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("1,250", "a thousand two hundred and fifty"),
        ("1984", "nineteen eighty-four"),
        ("1984", "one thousand nine hundred and eighty-four"),
        ("1905", "nineteen oh five"),
        ("2009", "two thousand and nine"),
        ("the 1990s", "the nineteen nineties"),
        ("the ’60s", "the sixties"),
        ("21st", "twenty-first"),
        ("July 4", "July the fourth"),
        ("July 4th, 1862", "the fourth of July, eighteen sixty-two"),
        ("25 July 1914", "July twenty-fifth, nineteen fourteen"),
        ("25 May.", "the twenty-fifth of May"),
        ("4/7/1862", "July fourth eighteen sixty-two"),
        ("4/7/1862", "the seventh of April eighteen sixty-two"),
        ("6:45", "a quarter to seven"),
        ("6:30", "half past six"),
        ("18:30", "eighteen thirty"),
        ("10 a.m.", "ten a m"),
        ("8:00", "eight o'clock"),
        ("$1,500", "fifteen hundred dollars"),
        ("$0.50", "fifty cents"),
        ("$100.05", "a hundred dollars and five cents"),
        ("$1.5 million", "a million and a half dollars"),
        ("a $10 hat", "a ten-dollar hat"),
        ("£3 4s. 6d.", "three pounds four shillings and sixpence"),
        ("25¢", "twenty-five cents"),
        ("2½", "two and a half"),
        ("6 ½", "six and a half"),
        ("7¼ feet", "seven and a quarter feet"),
        ("½ mile", "half a mile"),
        ("3/4", "three quarters"),
        ("1/2", "one half"),
        ("1820–1830", "eighteen twenty to eighteen thirty"),
        ("pp. 3-5", "pages three to five"),
        ("10%–20%", "ten percent to twenty percent"),
        ("3.14", "three point one four"),
        ("1.5 million", "a million and a half"),
        ("6 ft. 2 in.", "six feet two inches"),
        ("40 lb. of it", "forty pounds of it"),
        ("5 km²", "five square kilometers"),
        ("5kg", "five kilograms"),
        ("60 mph", "sixty miles an hour"),
        ("98°F", "ninety-eight degrees Fahrenheit"),
        ("Louis XIV", "Louis the Fourteenth"),
        ("Henry V", "Henry the Fifth"),
        ("Chapter V", "chapter five"),
        ("World War I", "World War One"),
        ("Part MCMXCIV", "part nineteen ninety-four"),
        ("Psalm CXIX", "Psalm one hundred and nineteen"),
        ("T.M.R. Hill", "T M R Hill"),
        ("FBI", "f b i"),
        ("Ph.D.", "p h d"),
        ("No. 7 in vol. 3", "number seven in volume three"),
        ("e.g. this, i.e. that", "for example this, that is that"),
        ("Mt. Tabor", "Mount Tabor"),
        ("St. Ives", "Saint Ives"),
        ("Mr Darcy, Mrs. Long and Dr. Moss", "mister Darcy, missus Long and doctor Moss"),
        ("ann@example.com", "ann at example dot com"),
        ("Smith & Co. had 5% + 3 × 2", "Smith and company had five percent plus three times two"),
        ("-5", "minus five"),
        ("750BC", "seven fifty b c"),
    ],
)
def test_a_written_form_has_this_reading(written: str, spoken: str) -> None:
    assert is_read_as(written, spoken)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("2½ hours", "twenty-one two hours"),
        ("1/2 a cup", "one third a cup"),
        ("3,497", "thirty-four ninety-seven"),
        ("1984", "nineteen eighty-five"),
        ("$1,500", "fifteen dollars"),
        ("6:45", "a quarter to six"),
        ("July 4", "the fourth of June"),
        ("Chapter V", "chapter six"),
        ("I am", "one am"),
        ("drôle", "doctor ole"),
    ],
)
def test_a_written_form_has_no_other_reading(written: str, spoken: str) -> None:
    assert not is_read_as(written, spoken)


def test_what_only_a_person_can_tell_is_ambiguous() -> None:
    def ambiguous(text: str) -> list[str]:
        return [text[found.start : found.end] for found in find_written(text, "en") if found.ambiguous]

    assert ambiguous("1984 men of St. Ives") == ["1984", "St."]
    assert ambiguous("George I thought so.") == ["I"]
    assert ambiguous("In 1984 Mr. Hill and 5 men read Chapter V.") == []


def test_the_country_decides_which_reading_is_first() -> None:
    first = [find_written("July 4, 250 men", code)[0].readings[0] for code in ("en", "en-GB")]
    assert first == ["july fourth", "the fourth of july"]
    counts = [find_written("250 men", code)[0].readings[0] for code in ("en", "en-GB")]
    assert counts == ["two hundred fifty", "two hundred and fifty"]


def test_emotion_tags_and_plain_words_hold_nothing_written() -> None:
    assert find_written("<laugh_harder> Well, I may march, he said. NO! STOP! <sigh>", "en") == []


def test_other_languages_have_numbers_alone() -> None:
    found = find_written("Mr. Hill hat 25 Hunde.", "de")
    assert [written.readings[0] for written in found] == ["fünfundzwanzig"]
    assert find_written("25", "xx") == []


def _check(text: str, language: str) -> None:
    end = 0
    for written in find_written(text, language):
        assert end <= written.start < written.end <= len(text)
        end = written.end
        _check_readings(written.readings)


def _check_readings(readings: Sequence[str]) -> None:
    assert 1 <= len(set(readings)) == len(readings) <= LIMIT
    for reading in readings:
        assert reading == reading.lower() == " ".join(reading.split())
        assert not re.search(r"[\d$£,.]", reading)


@settings(max_examples=examples(500))
@given(TEXTS, st.sampled_from(["en", "en-GB", "de"]))
def test_spans_ascend_and_readings_are_words_for_any_text(text: str, language: str) -> None:
    _check(text, language)


@pytest.mark.parametrize(
    "unit", ["1", "1,", "1:", "1/", "$1", "a@", "a.", "I", "£1 1s. ", "1-", "1½", "°", "1 ", "Mr. ", "1.1.", "A.a"]
)
def test_a_hostile_text_is_read_in_time_that_grows_with_its_length(unit: str) -> None:
    _check(unit * 1_000, "en")
