import tracemalloc

import pytest

from maya_batch.text.lexicon import Entry, Lexicon, respellings
from maya_batch.text.passage import Passage
from maya_batch.text.rewriting import rewrite
from maya_batch.text.rewriting import said as said_by


def said(text: str, *entries: Entry, voice: str = "anna") -> str:
    """The text with the entries replaced."""
    return said_by(text, [Lexicon(entries).rewriter(voice)])


ANNA = Entry("Anna", "Ah-na")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Anna came.", "Ah-na came."),
        ("“Anna?” (Anna!)", "“Ah-na?” (Ah-na!)"),
        ("Anna’s hat, Anna's hat, ANNA’S", "Ah-na’s hat, Ah-na's hat, Ah-na’S"),
        ("Anna'll, Anna’d", "Ah-na'll, Ah-na’d"),
        ("‘Anna’ and 'Anna'", "‘Ah-na’ and 'Ah-na'"),
        ("Anna-Maria, Mary–Anna", "Ah-na-Maria, Mary–Ah-na"),
        ("Annabel, Hanna, Annä, An\u0301na", "Annabel, Hanna, Annä, An\u0301na"),
        ("Anna\u0301", "Anna\u0301"),
        ("O'Anna, d’Anna", "O'Anna, d’Anna"),
        ("anna@post.com, www.anna.com", "anna@post.com, www.anna.com"),
        ("Anna...Anna", "Ah-na...Ah-na"),
        ("_Anna_ anna_b", "_Ah-na_ anna_b"),
    ],
)
def test_only_whole_words_are_replaced(written: str, spoken: str) -> None:
    assert said(written, ANNA) == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Dr. No was drôle. Dr No.", "Doctor No was drôle. Dr No."),
        ("He is a dr.", "He is a Doctor"),
        ("Mr.Dr.No", "Mr.Dr.No"),
    ],
)
def test_a_full_stop_belongs_to_the_entry(written: str, spoken: str) -> None:
    assert said(written, Entry("Dr.", "Doctor")) == spoken


def test_a_letter_of_initials_is_no_word() -> None:
    letters = Entry("U.S.", "you ess"), Entry("s", "ess"), Entry("u", "you")
    assert said("the U.S. and the U.S.A.", *letters) == "the you ess and the U.S.A."


def test_a_part_of_a_number_is_no_word() -> None:
    assert (
        said("500, 1,500 and 6:50 and 50", Entry("500", "many"), Entry("50", "few")) == "many, 1,500 and 6:50 and few"
    )


def test_contractions_are_words_of_their_own() -> None:
    entries = Entry("don", "dawn"), Entry("can", "ken"), Entry("can't", "kahnt")
    assert said("Don don't. Don’t, can’t and can.", *entries) == "Dawn don't. Don’t, kahnt and ken."


def test_the_longest_phrase_wins_and_white_space_is_equal() -> None:
    entries = Entry("Mount", "mownt"), Entry("Mount Doom", "MOWNT doom"), Entry("Doom of all", "no")
    assert said("Mount\nDoom, Mount\u00a0Doom of all, Mount  Dooms", *entries) == (
        "MOWNT doom, MOWNT doom of all, mownt  Dooms"
    )


def test_apostrophes_and_hyphens_of_all_kinds_are_equal() -> None:
    entries = Entry("O’Brien", "oh-bryen"), Entry("Jean-Luc", "Zhahn-Luke")
    assert said("O'Brien, O’Brien’s, Jean‑Luc", *entries) == "oh-bryen, oh-bryen’s, Zhahn-Luke"


def test_composed_and_decomposed_letters_are_equal() -> None:
    assert said("Zoe\u0308, Zoë and Zoe", Entry("Zoë", "Zo-ee")) == "Zo-ee, Zo-ee and Zoe"
    assert said("Zoe\u0308 and Zoë", Entry("ZOE\u0308", "Zo-ee")) == "Zo-ee and Zo-ee"


def test_case_counts_only_where_it_is_asked_for() -> None:
    exact = Entry("Polish", "Poe-lish", exact=True)
    assert said("Polish, polish, POLISH", exact) == "Poe-lish, polish, POLISH"
    assert said("Polish, polish, POLISH", exact, Entry("polish", "pollish")) == "Poe-lish, pollish, Pollish"


def test_a_capital_at_the_start_is_kept_and_nothing_is_set_in_capitals() -> None:
    assert said("lead, Lead, LEAD", Entry("lead", "led")) == "led, Led, Led"
    assert said("NASA, nasa", Entry("NASA", "nassa")) == "nassa, nassa"
    assert said("Hermione", Entry("hermione", "her-MY-oh-nee")) == "her-MY-oh-nee"


def test_an_entry_of_a_voice_goes_before_one_for_all() -> None:
    entries = Entry("scone", "skon"), Entry("scone", "skohn", voice="tom"), Entry("bath", "barth", voice="tom")
    assert said("scone, bath", *entries) == "skon, bath"
    assert said("scone, bath", *entries, voice="tom") == "skohn, barth"


def test_tags_are_never_touched() -> None:
    entries = Entry("laugh", "laff"), Entry("sigh harder", "no")
    assert said("<laugh> laugh <laugh_harder> sigh<sigh> harder", *entries) == (
        "<laugh> laff <laugh_harder> sigh<sigh> harder"
    )


def test_two_entries_for_the_same_words_are_told_and_the_first_is_used() -> None:
    first, second = Entry("Anna", "one"), Entry("ANNA", "two")
    allowed = [
        Entry("Anna", "three", exact=True),
        Entry("anna", "four", exact=True),
        Entry("anna", "five", voice="tom"),
    ]
    lexicon = Lexicon([first, *allowed, second])
    assert lexicon.duplicates == [(4, 0)]
    assert said("aNNA", first, second) == "one"


def test_the_entry_of_written_words_is_found_again() -> None:
    phrase = Entry("Mount Doom", "x")
    lexicon = Lexicon([ANNA, phrase])
    assert lexicon.entry("Mount \n doom", "tom") == phrase
    assert lexicon.entry("anna", "tom") == ANNA
    assert lexicon.entry("Anna Mount", "tom") is None


def test_a_respelling_is_on_record_for_the_check() -> None:
    text = "Then Anna’s <sigh> hat."
    passage = Passage(0, None, 0, len(text), text)
    [changed], problems = rewrite([passage], [Lexicon([ANNA]).rewriter("tom")])
    assert problems == []
    assert changed.text == "Then Ah-na’s <sigh> hat."
    assert respellings(changed.changes) == {"Ah-na": "Anna"}


def test_ten_thousand_entries_are_all_found() -> None:
    lexicon = Lexicon(Entry(f"word{number} of name{number}", "x") for number in range(10_000))
    text = " ".join(f"word{number} of Name{number} word{number} of" for number in range(10_000))
    assert sum(1 for _ in lexicon.find(text, "anna")) == 10_000


def test_an_entry_takes_little_memory() -> None:
    tracemalloc.start()
    lexicon = Lexicon(Entry(f"word{number} of name{number}", "x") for number in range(1000))
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lexicon.entry("word7 of name7", "tom") is not None
    assert now < 5e6
