import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.emotion_tags import TAG
from maya_batch.text.typography import finish_description, speakable
from maya_batch.text.word_count import spoken_words
from tests.support.properties import examples

# fmt: off
PARTS = st.sampled_from([
    "Hello", "there", " ", "  ", "\n", "\u00a0", "\u200b", "\u00ad", "e\u0301", "\u0338", "<laugh>", "<sigh>",
    ".", "!", "?", "…", "...", ",", ";", ":", "-", "—", "–", "“", "”", '"', "'", "’", "(", ")", ">", "\x00",
])
# fmt: on
TEXTS = st.lists(PARTS, max_size=14).map("".join) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Hello there.", 2),
        ("<laugh> Well<sigh>, no <laugh_harder>", 2),
        ("1,250", 6),  # one thousand two hundred and fifty
        ("$1,250.75", 11),  # … dollars and seventy-five cents
        ("£3m", 3),
        ("$5", 2),
        ("1984", 7),  # one thousand nine hundred and eighty-four
        ("the 1980s", 7),
        ("the 1900's", 5),
        ("Act II, XIV", 5),
        ("5kg at 60 mph", 8),
        ("10–12%", 7),
        ("2,024", 5),
        ("21st", 2),
        ("3.14", 4),
        ("50%", 4),
        ("10:30", 4),
        ("10:05", 4),
        ("3–5", 3),
        ("1/2", 4),
        ("2½", 5),
        ("-5", 2),
        ("007", 3),
        ("1234567890123456", 30),
        ("Chapter XXXVIII", 3),
        ("BBC", 3),
        ("the BBC's CDs", 6),
        ("FBI", 3),
        ("U.S.A.", 4),
        ("STOP! HELLO", 2),
        ("MR. DARCY", 2),
        ("Mr. and Mrs. Smith of St. Ives vs. No. 5", 10),
        ("e.g. this, i.e. that, etc.", 8),
        ("5 p.m.", 3),
        ("Q&A", 3),
        ("1+1=2", 7),
        ("well-known mother-in-law", 5),
        ("wait—what", 2),
        ("don’t o’clock", 2),
        ("extraordinarily", 3),
        ("N" + "o" * 699, 100),
        ("ann@example.com", 13),
        ("https://example.com/a", 19),
        ("ex\u00adtra\u00adordinary", 1),
        ("e\u0301te\u0301", 1),
        ("漢字", 2),
        ("... — “”", 0),
    ],
)
def test_spoken_words(text: str, words: int) -> None:
    assert spoken_words(text).most == words


@pytest.mark.parametrize("language", ["en", "de", "fr", "xx", ""])
def test_numbers_in_any_language(language: str) -> None:
    assert spoken_words("1984 21st $3.50 1,250.5", language).most > 8


@settings(max_examples=examples(400))
@given(TEXTS | st.text("0123456789.,:/-$£%stk ", max_size=30), st.sampled_from(["en", "de", "ja"]))
def test_any_text_can_be_counted_and_every_word_counts(text: str, language: str) -> None:
    plain = [word for word in TAG.sub(" ", text).split() if word.isalpha() and word.isascii()]
    assert spoken_words(text, language).most >= len(plain)


@pytest.mark.parametrize(
    ("text", "given_to_model"),
    [
        ("  Hello \n\t there\u00a0you ", "Hello there you."),
        ("Hello there <laugh>", "Hello there. <laugh>"),
        ("Hello there, <laugh> <sigh>", "Hello there. <laugh> <sigh>"),
        ("<laugh>", "<laugh>"),
        ("<laugh> <sigh>", "<laugh> <sigh>"),
        ("<sigh> Well", "<sigh> Well."),
        ("Really?", "Really?"),
        ("Really?!”", "Really?!”"),
        ("“But I—”", "“But I.”"),
        ("“Well,” —", "“Well.”"),
        ("and so;", "and so."),
        ("namely:", "namely."),
        ("Wait…", "Wait…"),
        ("Wait...", "Wait..."),
        ("(as he said)", "(as he said.)"),
        ("“Hello <laugh>”", "“Hello. <laugh>”"),
        ("Done. <sigh>", "Done. <sigh>"),
        ("e\u0301t\u00ade\u200b\x07", "éte."),
        ("5 >", "5 >."),
        ("—", "—"),
        ("", ""),
    ],
)
def test_speakable(text: str, given_to_model: str) -> None:
    assert speakable(text) == given_to_model


@settings(max_examples=examples(400))
@given(TEXTS)
def test_speakable_is_idempotent_and_keeps_words_and_tags(text: str) -> None:
    once = speakable(text)
    assert speakable(once) == once
    assert once == " ".join(once.split())
    assert TAG.findall(once) == TAG.findall(text)
    assert spoken_words(once).most == spoken_words(text).most
    once.encode()


def test_description_gets_its_full_stop() -> None:
    assert finish_description(" Male voice,\n formal delivery ") == "Male voice, formal delivery."
    assert finish_description("Formal delivery.") == "Formal delivery."


@pytest.mark.parametrize("unit", ["a", "1", "a.", "a-", "1,", "1:", "@", "a@", "é", "A", "<", "$1", "‘"])
def test_hostile_tokens_take_linear_time(unit: str) -> None:
    begun = time.process_time()
    assert spoken_words(unit * 50_000).most >= 0
    speakable(unit * 50_000 + ",”" * 50_000)
    assert time.process_time() - begun < 30


@pytest.mark.parametrize(("text", "longest", "likely"), [("1984", 5, 3), ("He paid $5.", 4, 4), ("at 6:45", 5, 4)])
def test_the_likely_reading_may_be_shorter_than_the_longest(text: str, longest: int, likely: int) -> None:
    assert spoken_words(text).most >= longest
    assert spoken_words(text).likely == likely
