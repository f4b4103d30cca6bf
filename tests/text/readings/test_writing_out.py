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
