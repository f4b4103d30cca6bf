"""Where text rules 2 cut: nothing is torn from what it belongs to, and long sentences are cut where a reader pauses."""

import random
import re
from itertools import pairwise
from pathlib import Path

import pytest

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.break_points import Words
from maya_batch.text.chunking import chunk_script
from maya_batch.text.cut_rules import cut_rules
from maya_batch.text.emotion_tags import MAYA1_TAGS
from maya_batch.text.parser import parse_script
from maya_batch.text.sentences import sentence_starts
from tests.measure.cuts import KINDS, kinds

GOLDEN = Path(__file__).parents[1] / "data" / "golden_rules" / "english.txt"
DOG = "the old man walked down to the river and looked at the boats that lay there in the rain while his dog ran on"
WALK = re.split(" ", DOG)


def texts(source: str, words: int = 40, language: str = "en") -> list[str]:
    passages, _ = parse_script(source, (), MAYA1_TAGS)
    pieces, problems = chunk_script(source, passages, words=words, fits=lambda *_: True, language=language)
    assert problems == []
    assert "".join(source[piece.start : piece.end] for piece in pieces) == source
    return [piece.text for piece in pieces]


def sentences_of(text: str, rules: int = 2, language: str = "en") -> list[str]:
    starts = sentence_starts(Words(text, cut_rules(rules)), language, 40)
    return [text[start:end].strip() for start, end in pairwise([*starts, len(text)])]


@pytest.mark.parametrize(
    "text",
    [
        "She met Ms. Alder.",
        "“Mr. Wickham came.",
        "He said—Dr. Vane heard it.",
        "The ship (Capt. Hook) sank.",
        "They saw ‘Prof. Lake’ there.",
        "A letter to Wm. Harrow and Messrs. Bell came.",
        "The Lt.-Col. Smith of old came.",
        "It was J. R. R. Tolkien.",
        "It was J.R.R. Tolkien.",
        "See vol. 3 and ch. 7 and No. 5 and p. 12 and pp. 4 and fig. 2.",
        "See Vol. IV of it, and Chap. I too.",
        "She is a Ph.D. Candidate now.",
        "They were approx. 40 men.",
        "He was in the U.S. Army then.",
        "It was in 44 B.C. 12 men died.",
        "We met at 5 p.m. Monday there.",
        "It came on Jan. 5 and Nov. 12.",
        "The papers of Visct. Melbourne and Bt. Jones burned.",
        "He paid 5l. 10s. 6d. for it.",
        "It was thirteen per cent. of its income.",
        "It was Henry VIII. who did it.",
        "“No!” she cried.",
        "He has cats, e.g. Toms, and vs. Rome, cf. Smith.",
        "Mr. <sigh> Smith came.",
        "So said Smith et al. Then in those days.",
        "George I. Smith came.",
        "It sank in '50. Do ye think of it?",
        "(a) before",
        "1. Eggs",
        "a.) Eggs",
        "IV. The house",
        "Chapter IV. The house",
    ],
)
def test_nothing_is_torn_from_what_it_belongs_to_at_a_sentence_end(text: str) -> None:
    assert sentences_of(text) == [text]


@pytest.mark.parametrize(
    "expected",
    [
        ["He came at 5 p.m.", "The house was dark."],
        ["It was he and I.", "Then it rained."],
        ["He was 43.", "Then he left."],
        ["He lived in the U.S.", "He was old."],
        ["I bought milk, etc.", "Then I left."],
        ["You know that you’ll.", "Then go."],
        ["Psst.", "Come here."],
        ["he went home.", "then he slept there."],
        ["It was good.", "1. Eggs are good.", "2. Milk is better."],
        ["“Go home.”", "She left."],
        ["Hm.", "Tom left."],
    ],
)
def test_sentences_still_end_where_they_end(expected: list[str]) -> None:
    assert sentences_of(" ".join(expected)) == expected


@pytest.mark.parametrize("lead", ["", "“", "‘", "(", "—", "--", "“‘"])
def test_no_abbreviation_is_torn_wherever_a_long_sentence_is_cut(lead: str) -> None:
    drawn = random.Random(lead)
    torn = []
    for short, known in ABBREVIATIONS.items():
        if known.follows not in ("name", "number"):
            continue
        following = "7" if known.follows == "number" else "Alder"
        before, after = (" ".join(drawn.choices(WALK, k=drawn.randrange(3, 60))) for _ in range(2))
        space = "" if lead in ("—", "--") else " "
        source = f"It rained. {before}{space}{lead}{short.capitalize()}. {following} {after}. Then he left."
        torn += [text for words in (40, 12) for text in texts(source, words) if text.endswith(f"{short.capitalize()}.")]
    assert torn == []


@pytest.mark.parametrize("words", [40, 20])
def test_long_sentences_without_punctuation_are_cut_before_clauses(words: int) -> None:
    source = (
        "He rode on through the dust and the heat of the long day and he did not look behind him for he knew "
        "what was there and he knew what it would cost him to look and so he kept his eyes on the mule in front "
        "of him and on the rope that went from its halter to the hand of the boy who walked beside it and who "
        "had not spoken since the morning when they had found the well dry and the bucket gone and the old "
        "woman sitting in the door of the house with her apron over her head."
    )
    pieces = texts(source, words)
    assert len(pieces) > 1
    starts = {piece.split()[0] for piece in pieces[1:]}
    assert starts <= {"and", "for", "that", "who", "when", "what"}


@pytest.mark.parametrize("words", [40, 20])
def test_no_piece_ends_in_a_word_that_belongs_to_the_next(words: int) -> None:
    drawn = random.Random(words)
    for _ in range(60):
        source = " ".join(drawn.choices(WALK, k=120))
        for piece in texts(source, words)[:-1]:
            assert piece.split()[-1] not in {"the", "to", "and", "at", "that", "in", "while", "his"}


@pytest.mark.parametrize(
    ("source", "unbroken"),
    [
        (
            "The meeting had run on long past supper, and most of the parents had gone home by the time the "
            "head teacher came down the stairs with her coat over her arm and said that she would see Ms. Alder "
            "in the morning. Nobody answered.",
            "Ms. Alder",
        ),
        (
            "The letters were found in the attic by the grandson of the printer, who gave them to the county "
            "library, where they lay unread for fifty years until they were set in type and came out as part of "
            "vol. 3 of the papers. I have read them all twice, and I think that the best of them are in ch. 7 "
            "of that book.",
            "vol. 3",
        ),
        (
            "Nobody in the village could say for certain when the mill had been built, but the oldest of the "
            "stones had a name cut into it, and those who had good eyes said that the name was that of Wm. "
            "Harrow, who was drowned.",
            "Wm. Harrow",
        ),
    ],
)
@pytest.mark.parametrize("words", [40, 20])
def test_an_abbreviation_near_the_end_of_a_piece_stays_with_its_name(source: str, unbroken: str, words: int) -> None:
    assert any(unbroken in text for text in texts(source, words))


def test_a_sentence_is_cut_before_an_enumerator() -> None:
    source = (
        "The board of the water company agreed after four meetings and a great deal of talk in which the "
        "chairman himself took no part at all that the old pipes had to be dug up (a) before the frost came "
        "down from the hills upon the town and (b) before the money that the county had lent them was asked for "
        "again in full."
    )
    assert texts(source)[1].startswith("(a) before the frost")
    rule = (
        "Whoever wants to keep bees in the town has to show the council in writing and before the first of May "
        "that he owns or rents the ground on which (1) the hives are to stand and (2) the water for the bees is "
        "to be kept and that nobody who lives within forty yards of that ground has ever been stung so badly "
        "that a doctor had to come."
    )
    assert texts(rule)[1].startswith("(2) the water")
    assert texts(source.replace("(a)", "(2)"))[1].startswith("(2) before the frost")
    assert texts(source.replace("(a)", "iv.)"))[1].startswith("iv.) before the frost")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("September", "1814"),
        ("2", "½"),
        ("the year 2", "000"),
        ("World War", "II"),
        ("two hundred", "and fifty"),
        ("Queen", "Anne"),
    ],
)
def test_numbers_and_names_stay_together_where_a_sentence_has_other_places(first: str, second: str) -> None:
    for before in range(25, 40):
        source = " ".join([*(WALK * 3)[:before], first, second, *(WALK * 3)[:40]])
        assert not any(piece.endswith(f" {first}") for piece in texts(source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("我来到这里，他走了。“好。”她说。你好！", ["我来到这里，他走了。“好。”", "她说。你好！"]),
        (
            "漢字があります。「仮名です！」と言う。次の文です。",
            ["漢字があります。", "「仮名です！」と言う。", "次の文です。"],
        ),
    ],
)
def test_texts_without_spaces_are_cut_after_their_stops(source: str, expected: list[str]) -> None:
    assert texts(source, 10, "zh") == expected


def test_a_danda_ends_a_sentence_with_or_without_a_space_after_it() -> None:
    assert texts("यह एक घर है।वह दो घर है। तीन घर है।", 4, "hi") == ["यह एक घर है।", "वह दो घर है।", "तीन घर है।"]


@pytest.mark.parametrize(
    "unit", ["1. ", "(a) ", "J. ", "“‘(", "。」", "a, b. ", "no. ", "<sigh> Mr. ", "1. 2. ", "a. b. "]
)
def test_hostile_text_is_partitioned_and_cut(unit: str) -> None:
    source = unit * 2000 + "end"
    assert "".join(texts(source)).replace(" ", "") == source.replace(" ", "")


NOT_HELD = {
    "a. The first item": "a letter after a word without a full stop is no sentence end",
    "One further habit": "an ellipsis in spaces after a full stop is kept with the sentence before it",
}


@pytest.mark.parametrize("line", GOLDEN.read_text(encoding="utf-8").splitlines())
def test_golden_rules_of_sentence_ends(line: str) -> None:
    expected = line.split(" | ")
    held = sentences_of(" ".join(expected)) == expected
    assert held != any(line.startswith(start) for start in NOT_HELD)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    list(
        zip(
            KINDS,
            ["met “Mr.", "by J.", "ten per cent.", "went to the", "dug up (a)", "about 3", "he said “"],
            ["Alder", "Tolkien", "of it", "house", "before", "000", "Oh"],
            strict=True,
        )
    ),
)
def test_the_judge_of_cuts_knows_each_kind(kind: str, before: str, after: str) -> None:
    assert kinds(before, after) == [kind]
    assert kinds("He went home.", "Then") == []
