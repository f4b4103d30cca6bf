import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.break_points import Cuts, Words, count_words
from maya_batch.text.chunking import Piece, chunk_script
from maya_batch.text.cut_rules import NEWEST
from maya_batch.text.emotion_tags import MAYA1_TAGS, TAG
from maya_batch.text.parser import parse_script
from maya_batch.text.passage import Passage
from tests.support.properties import examples

DASHES = "—―–-"
NO_SPACE_AFTER = "。！？、，；：।」』）”’"
# fmt: off
FRAGMENTS = [
    "word", "and", "so", "Mr. Smith", "“No.” ", "She left. ", "It was—well—late. ", "wait --no", "3–5",
    "...", "… ", "? ", "! ", ". ", ", ", "; ", ": ", ".” ", "e.g. ", "$1,250.75", "naïve", "漢字",
    "。", "！」", "「仮名", "、", "No. ", "1. ", "(a) ",
    "e\u0301", "don’t", "“", "”", "(", r"\[", r"\]", r"\<", r"\>", "\\", "[anna]", "<laugh>",
    " <sigh> ", "<gasp> ", "go<gulp>on", ". <cry> ",
    "\n", "\n\n", "\t", "\u00a0", "\u2028", "\n\n***\n\n", "\n\n[anna] ", *[" "] * 8,
]
# fmt: on
SOURCES = st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join)


def always(text: str) -> bool:
    return True


def chunk(source: str, words: int = 40, fits: Callable[[str], bool] = always) -> tuple[list[Passage], list[Piece]]:
    passages, _ = parse_script(source, ["anna"], MAYA1_TAGS)
    pieces, problems = chunk_script(source, passages, words=words, fits=lambda text, _voice: fits(text), language="en")
    assert problems == []
    return passages, pieces


def texts(source: str, words: int = 40, fits: Callable[[str], bool] = always) -> list[str]:
    return [piece.text for piece in chunk(source, words, fits)[1]]


@settings(max_examples=examples(400))
@given(SOURCES, st.integers(1, 12), st.integers(5, 80))
def test_pieces_partition_the_source_and_repeat_or_lose_nothing(source: str, words: int, length: int) -> None:
    def fits(text: str) -> bool:
        return len(text) <= length

    passages, _ = parse_script(source, ["anna"], MAYA1_TAGS)
    pieces, problems = chunk_script(source, passages, words=words, fits=lambda text, _voice: fits(text), language="en")
    assert "".join(source[p.start : p.end] for p in pieces) == (source if passages else "")
    assert all(p.start <= p.end for p in pieces)
    # No piece crosses a paragraph or a speaker, and those of a passage are that passage.
    rest = list(pieces)
    for passage in passages:
        mine: list[Piece] = []
        while rest and rest[0].end <= passage.end:
            mine.append(rest.pop(0))
        assert mine[0].start == passage.start
        assert mine[-1].end == passage.end
        assert {(p.paragraph, p.voice) for p in mine} == {(passage.paragraph, passage.voice)}
        assert [p.scene_breaks_after for p in mine[:-1]] == [0] * (len(mine) - 1)
        assert mine[-1].scene_breaks_after == passage.scene_breaks_after
        check_cuts(passage.text, mine)
        assert sum(p.words for p in mine) == count_words(passage.text)
    assert rest == []
    for piece in pieces:
        check_size(piece, words, fits, reported=len(problems))
    tight = [p for p in pieces if not fits(p.text)]
    assert len(problems) == len(tight)


def check_cuts(text: str, pieces: list[Piece]) -> None:
    """Every cut of `text` is at whitespace, or after a dash or a stop of a script without spaces; none is in a tag."""
    inside_tags = {i for tag in TAG.finditer(text) for i in range(tag.start() + 1, tag.end())}
    at = 0
    for number, piece in enumerate(pieces):
        gap = len(text[at:]) - len(text[at:].lstrip())
        assert gap or number == 0 or text[at - 1] in DASHES + NO_SPACE_AFTER
        at += gap
        assert at not in inside_tags
        assert text.startswith(piece.text, at)
        at += len(piece.text)
    assert at == len(text)


def check_size(piece: Piece, words: int, fits: Callable[[str], bool], reported: int) -> None:
    assert piece.words == count_words(piece.text)
    assert piece.text == piece.text.strip() != ""
    assert piece.words or "<" in piece.text
    if piece.words > 1.5 * words or not fits(piece.text):
        # Only what has no place to cut it may be too long, and what does not fit is reported.
        assert Cuts(Words(piece.text, NEWEST), 0, len(piece.text)).best(0, len(piece.text)) is None
        assert fits(piece.text) or reported


def test_short_passages_stay_whole() -> None:
    source = "One. Two!\n\n[anna] Three."
    passages, pieces = chunk(source)
    assert pieces == [Piece(p.paragraph, p.voice, p.start, p.end, p.text, count_words(p.text)) for p in passages]


@pytest.mark.parametrize(
    ("source", "words", "expected"),
    [
        ("He said, “No.” She left.", 3, ["He said, “No.”", "She left."]),
        (
            "Mr. Smith went home. Dr. Jones stayed there.",
            4,
            ["Mr. Smith went home.", "Dr. Jones stayed there."],
        ),
        (
            "She paid him $1,250.75 then. He took it away.",
            5,
            ["She paid him $1,250.75 then.", "He took it away."],
        ),
        (
            "Some pets, e.g. cats, like it. Others never do that.",
            6,
            ["Some pets, e.g. cats, like it.", "Others never do that."],
        ),
        (
            "“...” she said to him. He only nodded at her.",
            4,
            ["“...” she said to him.", "He only nodded at her."],
        ),
        ("Yes. ... Then he went away again.", 5, ["Yes. ...", "Then he went away again."]),
        ("We all went out. <sigh> Then we came in.", 4, ["We all went out.", "<sigh> Then we came in."]),
        ("We all went out. Then we came in. <sigh>", 4, ["We all went out.", "Then we came in. <sigh>"]),
        ("<sigh> We all went out. Then we came in.", 4, ["<sigh> We all went out.", "Then we came in."]),
        ("<laugh> <sigh>", 4, ["<laugh> <sigh>"]),
        ("a b c d, <sigh> e f g h", 4, ["a b c d,", "<sigh> e f g h"]),
        (r"He wrote \[sic\] there. She wrote it too.", 4, ["He wrote [sic] there.", "She wrote it too."]),
        ("one two three; four five six, seven eight", 4, ["one two three;", "four five six, seven eight"]),
        ("one two three four—five six seven eight", 4, ["one two three four—", "five six seven eight"]),
        ("one two three four, five six seven eight", 4, ["one two three four,", "five six seven eight"]),
        ("one two three four five six seven eight", 4, ["one two three four", "five six seven eight"]),
        ("a, b c d e; f g h i j k, l", 6, ["a, b c d e;", "f g h i j k, l"]),
        ("from 1900–1950 they all grew older", 4, ["from 1900–1950", "they all grew older"]),
        ("one two Mr.\u00a0Smith six", 3, ["one two", "Mr.\u00a0Smith six"]),
        # A sentence may be half as long again; sentences in one pair of quotes are sentences all the same.
        ("one two three, four five six", 4, ["one two three, four five six"]),
        (
            "“One two three. Four five six! Seven,” he said.",
            3,
            ["“One two three.", "Four five six!", "Seven,” he said."],
        ),
        (
            "“One two three! Four five,” said he. “No!” she cried.",
            5,
            ["“One two three!", "Four five,” said he.", "“No!” she cried."],
        ),
    ],
)
def test_hard_examples(source: str, words: int, expected: list[str]) -> None:
    assert texts(source, words) == expected


def test_short_tail_joins_the_piece_before_if_there_is_room() -> None:
    assert texts("One two three four. He did.", 4) == ["One two three four.", "He did."]
    eight = "One two three four five six seven eight."
    assert texts(f"{eight} He did.", 8) == [f"{eight} He did."]
    assert texts(f"{eight} He did.", 8, lambda t: len(t) <= len(eight)) == [eight, "He did."]


def test_what_does_not_fit_is_split_though_it_is_short() -> None:
    assert texts("one two, three four five", 40, lambda t: len(t) < 20) == ["one two,", "three four five"]


def test_a_word_that_does_not_fit_is_a_problem_with_its_offset() -> None:
    source = r"\[a\] short, Loooooooooooooooooooooooooooooooong word"
    passages, _ = parse_script(source, (), MAYA1_TAGS)
    pieces, problems = chunk_script(source, passages, words=40, fits=lambda text, _voice: len(text) < 20, language="en")
    (problem,) = problems
    assert problem.offset == source.index("Looo")
    assert "Loooo" in problem.what
    assert "".join(source[p.start : p.end] for p in pieces) == source


def test_scene_breaks_reach_the_last_piece_before_them() -> None:
    _, pieces = chunk("One two three. Four five six.\n\n***\n\nSeven.", 3)
    assert [p.scene_breaks_after for p in pieces] == [0, 1, 0]


def test_unknown_languages_are_read_as_english() -> None:
    source = "One two three. Four five six."
    passages, _ = parse_script(source, (), MAYA1_TAGS)
    pieces, _ = chunk_script(source, passages, words=3, fits=lambda *_: True, language="tlh")
    assert [p.text for p in pieces] == ["One two three.", "Four five six."]


def test_wrong_arguments_are_refused() -> None:
    passages, _ = parse_script("One.", (), MAYA1_TAGS)
    with pytest.raises(ValueError, match="at least 1"):
        chunk_script("One.", passages, words=0, fits=lambda *_: True, language="en")
    with pytest.raises(ValueError, match="partition"):
        chunk_script("One. Two.", passages, words=9, fits=lambda *_: True, language="en")


@pytest.mark.parametrize(
    "unit",
    ["word ", "a, ", "a; b c d e f g h, ", "“A b. ", "<sigh> ", "a <sigh> ", "a—", "... ", "a<sigh>", "A. "],
)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    begun = time.process_time()
    chunk(unit * 10_000 + "end")
    assert time.process_time() - begun < 30  # a quadratic chunker takes minutes
