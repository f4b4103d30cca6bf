import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.emotion_tags import TAG
from maya_batch.text.passage import Passage
from maya_batch.text.readings.writing_out import written_out
from tests.support.properties import examples


def write_out(text: str, language: str = "en") -> str:
    passage = Passage(0, None, 0, len(text), text)
    replacements, problems = written_out(language)(passage)
    assert not problems
    return passage.replaced(replacements).text


@pytest.mark.parametrize(
    ("text", "given_to_model"),
    [
        (
            "Mr. Darcy paid $5.50 at 6:45 p.m. He left.",
            "Mister Darcy paid five dollars and fifty cents at six forty five p.m. He left.",
        ),
        ("He left on July 4, 1862.", "He left on July fourth, eighteen sixty two."),
        ("It was 6 ft. 2 in. He had 5kg.", "It was six feet two inches. He had five kilograms."),
        ("25 men came. “3 left,” he said.", "Twenty five men came. “Three left,” he said."),
        ("10%–20% of 2½", "Ten percent to twenty percent of two and a half"),
        ("Louis XIV of St. Ives in the FBI", "Louis the fourteenth of St. Ives in the FBI"),
        ("Over 1984 men.", "Over 1984 men."),
        ("On the 15th of July, 3d. class.", "On the fifteenth of July, three pence class."),
        ("This 4th July, from May 10 on.", "This fourth of July, from May tenth on."),
        ("“No. I think not.” Yes and no. I go.", "“No. I think not.” Yes and no. I go."),
        ("No. 5, No. IV", "Number five, number four"),
        ("P. C. Wren, C. V. Raman, S. P. C. A.", "P. C. Wren, C. V. Raman, S. P. C. A."),
        ("George V. Higgins met George V of England.", "George V. Higgins met George the fifth of England."),
        ("See 1.E.3, 3,5 and 1:1 on 9/11, 24/7; Gen. 1:1.", "See 1.E.3, 3,5 and 1:1 on 9/11, 24/7; Gen. 1:1."),
        (
            "A $100 note, the $5 he had, a $5 bet.",
            "A one hundred dollar note, the five dollars he had, a five dollar bet.",
        ),
        ("He is 5'6\" tall.", "He is five foot six tall."),
        ("Call 555-1234 or (212) 555-1234.", "Call 555-1234 or two one two five five five one two three four."),
        ("He had it--5 men at -5 degrees.", "He had it--five men at minus five degrees."),
        ("In A.D. 79 it fell.", "In A.D. seventy nine it fell."),
        ("<laugh> Tea, etc. And so on.", "<laugh> Tea, et cetera. And so on."),
    ],
)
def test_what_has_one_meaning_is_written_out_and_the_rest_stays(text: str, given_to_model: str) -> None:
    assert write_out(text) == given_to_model


@pytest.mark.parametrize(
    ("text", "given_to_model"),
    [
        ("She was in her 20s. Then she left.", "She was in her twenties. Then she left."),
        ("In the mid-80s. In the 60s and 70s.", "In the mid-eighties. In the sixties and seventies."),
        ("From the ’30s... to the 1960s.", "From the thirties... to the nineteen sixties."),
        ("He had 5s. and 20s. a week.", "He had five shillings and twenty shillings a week."),
        ("It cost 10s. In the 10s. He knew.", "It cost ten shillings. In the tens. He knew."),
        ("10s. 6d., 20s. 6d.", "Ten shillings six pence, twenty shillings six pence."),
        ("It came to 30s. He paid.", "It came to 30s. He paid."),
    ],
)
def test_tens_with_an_s_at_the_end_of_a_sentence_are_decades(text: str, given_to_model: str) -> None:
    assert write_out(text) == given_to_model


@pytest.mark.parametrize(
    ("text", "given_to_model"),
    [
        ("When I was 12 Pa died. In 1863 Pa wept.", "When I was twelve Pa died. In eighteen sixty three Pa wept."),
        ("In 1907 J. P. Morgan met 20 W. B. Yeatses.", "In nineteen oh seven J. P. Morgan met twenty W. B. Yeatses."),
        ("21 N. Main Street, 12 W. 45th Street", "Twenty one N. Main Street, twelve W. forty fifth Street"),
        ("At 5 Mo came. At 6 Ms. Hill left.", "At five Mo came. At six Miss Hill left."),
        ("Room 101 Ac, seat 14A, Flat 5N.", "Room one hundred one Ac, seat fourteen A, Flat five N."),
        ("By 1914 in high society", "By nineteen fourteen in high society"),
        ("The 12 in high school", "The twelve in high school"),
        ("6 in high and 4 in wide", "Six inches high and four inches wide"),
        ("A hill of 1500 ft. above sea", "A hill of one thousand five hundred feet above sea"),
        ("12V, 12 V, 5 kPa, 5 khz", "Twelve volts, twelve volts, five kilopascals, five kilohertz"),
    ],
)
def test_names_and_initials_after_a_number_are_no_units(text: str, given_to_model: str) -> None:
    assert write_out(text) == given_to_model


@pytest.mark.parametrize(
    ("text", "given_to_model"),
    [
        ("It costs $5 m.", "It costs five million dollars."),
        ("It had £5 m. in gold.", "It had five million pounds in gold."),
        ("£3 bn, $6 M and €7m", "Three billion pounds, six million dollars and seven million euros"),
        ("$5/lb, not $5 in hand", "Five dollars per pound, not five dollars in hand"),
        ("He had $5 in. She had $5 M. Hill gave.", "He had five dollars in. She had five dollars M. Hill gave."),
    ],
)
def test_a_sum_of_money_has_no_unit(text: str, given_to_model: str) -> None:
    assert write_out(text) == given_to_model


@pytest.mark.parametrize(
    "text",
    [
        "See Appendix C, Exhibit D, Exhibit V and Medicare Part D.",
        "A Class M planet, Type C, No. D, Volume L.",
        "Malcolm X spoke.",
    ],
)
def test_letters_that_may_be_names_are_no_roman_numerals(text: str) -> None:
    assert write_out(text) == text


def test_roman_numerals_of_one_letter_count_chapters_and_kings() -> None:
    assert (
        write_out("Chapter L, Psalm C, Part X, Appendix IV")
        == "Chapter fifty, Psalm one hundred, Part ten, Appendix four"
    )
    assert write_out("Malcolm III and Charles X") == "Malcolm the third and Charles the tenth"


@pytest.mark.parametrize(
    "text",
    [
        "I told Jan. He laughed. Ask Dec. He knows. Ask Mar. He knows.",
        "We met Jas. She laughed. I told Chas. He knew. I told Al. He left.",
        "Thanks, Hon. See you. That is my Bro. Come in. I saw the Prof.",
        "The Gov. He left. The Dr. She stayed.",
        "Gen Z kids, Gen X, Gen Alpha.",
        "Porsche 911. 911 men.",
        "10-4, over. Open 24-7.",
        "#MeToo, F# minor, press #.",
    ],
)
def test_what_may_be_a_name_or_a_code_stays(text: str) -> None:
    assert write_out(text) == text


@pytest.mark.parametrize(
    ("text", "given_to_model"),
    [
        ("In Jan. 1914, on Dec. 5. Last Oct. He left.", "In January 1914, on December fifth. Last October. He left."),
        ("From Jan. to Dec. 1914", "From January to December 1914"),
        ("Hon. Green, the Hon. member and Bro. Hill", "Honorable Green, the Honorable member and Brother Hill"),
        ("Gen Lee, Gen. Z. Hill, Rev. C. L. Moss", "General Lee, General Z. Hill, Reverend C. L. Moss"),
        ("Ask the Mrs. She knows. Mr. He came.", "Ask the Missus. She knows. Mister He came."),
        ("Dial 9-1-1. Call 911! He dialed 411.", "Dial nine one one. Call nine one one! He dialed four one one."),
        ("Call 300 men, ages 9-11.", "Call three hundred men, ages nine to eleven."),
        ("20-20 vision, a 50-50 chance, 1-2-3", "Twenty twenty vision, a fifty fifty chance, one two three"),
        ("We are #1 and # 2.", "We are number one and number two."),
    ],
)
def test_what_follows_or_comes_before_tells_what_a_short_form_is(text: str, given_to_model: str) -> None:
    assert write_out(text) == given_to_model


def test_the_rule_of_a_change_is_its_kind() -> None:
    replacements, _ = written_out("en")(Passage(0, None, 0, 20, "Dr. Moss had 5 cats."))
    assert [(new.rule, new.text) for new in replacements] == [("title", "Doctor"), ("cardinal", "five")]


@settings(max_examples=examples(300))
@given(
    st.lists(
        st.sampled_from(["5", "Mr. ", "<laugh>", " ", "5kg", "%", "–", ".", "p.m.", "Hill ", "£3 4s. 6d."]), max_size=9
    )
)
def test_tags_stay_and_words_are_not_joined(parts: list[str]) -> None:
    text = "x " + "".join(parts)
    after = write_out(text)
    assert TAG.findall(after) == TAG.findall(text)
    assert "kilogramsm" not in after
    assert "fivefive" not in after
