import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.emotion_tags import LAUGH_TAGS, MAYA1_TAGS, TAG, nearest
from maya_batch.text.parser import parse_script
from maya_batch.text.passage import Passage, TextProblem
from tests.support.properties import examples

VOICES = ("anna", "narrator")
# fmt: off
FRAGMENTS = [
    "word", "Mr. Smith", "“No.”", "She left.", "wait—what", "3–5", "...", "…", "?!", "naïve", "漢字",
    "e\u0301", r"\[", r"\]", r"\<", r"\>", r"\\", "\\", "[anna]", "[narrator]", "[sic]", "[", "]", "<", ">",
    "<laugh>", "<sigh>", "</whisper>", "<lagh>", "<Laugh>", "<custom_token_5>", "<|eot|>",
    " ", " ", " ", "  ", "\n", "\n\n", "\n \n", "\t", "\u00a0", "\u2028", "* * *", "---", "\n\n***\n\n",
]
# fmt: on
SOURCES = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join) | st.text(max_size=60)


def parse(source: str) -> tuple[list[Passage], list[TextProblem]]:
    return parse_script(source, VOICES, MAYA1_TAGS)


def clean(source: str) -> list[Passage]:
    passages, problems = parse(source)
    assert problems == []
    return passages


def the_problem(source: str) -> TextProblem:
    _, problems = parse(source)
    assert len(problems) == 1, problems
    return problems[0]


@settings(max_examples=examples(400))
@given(SOURCES)
def test_passages_partition_the_source(source: str) -> None:
    passages, problems = parse(source)
    assert "".join(source[p.start : p.end] for p in passages) == (source if passages else "")
    assert passages or problems
    assert [p.paragraph for p in passages] == sorted(p.paragraph for p in passages)
    assert [p.offset for p in problems] == sorted(p.offset for p in problems)
    assert all(0 <= p.offset <= len(source) for p in problems)


@settings(max_examples=examples(400))
@given(SOURCES)
def test_clean_text_is_stripped_and_has_a_less_than_only_in_tags(source: str) -> None:
    for passage in parse(source)[0]:
        assert passage.text == passage.text.strip() != ""
        assert "\n" not in passage.text
        assert "<" not in TAG.sub("", passage.text)
        assert any(c.isalnum() for c in passage.text)


@settings(max_examples=examples(400))
@given(SOURCES)
def test_source_offsets_are_monotone_inside_the_span_and_point_at_the_character(source: str) -> None:
    for passage in parse(source)[0]:
        offsets = [passage.source_offset(i) for i in range(len(passage.text) + 1)]
        assert offsets == sorted(offsets)
        assert passage.start <= offsets[0]
        assert offsets[-1] <= passage.end
        for character, offset in zip(passage.text, offsets, strict=False):
            if character.isupper():  # never part of "less than"
                assert source[offset] == character


def test_paragraphs_and_lines() -> None:
    source = "\n One\ntwo.\n \t\nThree.\n\n\n\nFour.\n"
    passages = clean(source)
    assert [p.text for p in passages] == ["One two.", "Three.", "Four."]
    assert [p.paragraph for p in passages] == [0, 1, 2]
    assert [source[p.start : p.end] for p in passages] == [
        "\n One\ntwo.\n \t\n",
        "Three.\n\n\n\n",
        "Four.\n",
    ]


def test_speakers_last_until_the_end_of_the_paragraph() -> None:
    source = "“Go,” [anna] “No,”\nshe said. [narrator] And went.\n\n[anna] Home.\n\nEnd."
    passages = clean(source)
    assert [(p.paragraph, p.voice, p.text) for p in passages] == [
        (0, None, "“Go,”"),
        (0, "anna", "“No,” she said."),
        (0, "narrator", "And went."),
        (1, "anna", "Home."),
        (2, None, "End."),
    ]
    assert source[passages[1].start :].startswith("[anna] “No")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"He wrote \[sic\] there", "He wrote [sic] there"),
        (r"a \< b", "a less than b"),
        (r"a\<b", "a less than b"),
        (r"1\<2\>1, so (\<).", "1 less than 2 greater than 1, so (less than)."),
        (r"\<\<", "less than less than"),
        (r"C:\\new \n \x", r"C:\new \n \x"),
        ("5 > 4 and a stray ]", "5 > 4 and a stray ]"),
        ("Oh <laugh> that <sigh>", "Oh <laugh> that <sigh>"),
        ("<laugh>", "<laugh>"),
    ],
)
def test_clean_text(source: str, text: str) -> None:
    assert [p.text for p in clean(source)] == [text]


def test_offsets_around_escapes() -> None:
    source = r"One \[two\] a\<b Three"
    (passage,) = clean(source)
    for word in ("One", "two", "Three"):
        assert passage.source_offset(passage.text.index(word)) == source.index(word)
    assert passage.source_offset(passage.text.index("[")) == source.index(r"\[")
    assert passage.source_offset(passage.text.index("less")) == source.index(r"\<")
    assert passage.source_offset(passage.text.index("than")) == source.index("b Three")


@pytest.mark.parametrize(
    ("source", "offset", "what", "mend", "tag"),
    [
        ("He [sic] said", 3, "[sic] names no voice", r"\[sic\]", False),
        ("Then [Ana] said", 5, "[Ana] names no voice", "write [anna]", False),
        ("Then [anna said", 5, "no ] that closes it", r"\[", False),
        ("Ha <lagh> ha", 3, "<lagh> is not a tag", "write <laugh>", True),
        ("Ha <Laugh> ha", 3, "<Laugh> is not a tag", "write <laugh>", True),
        ("Ha <laugh/> ha", 3, "<laugh/> is not a tag", "write <laugh>", True),
        ("A <pause> b", 2, "<pause> is not a tag", r"write \<", True),
        ("<whisper> a </whisper> b", 12, "</whisper> is a closing tag", "delete it", True),
        ("a <custom_token_5> b", 2, "is not a tag", r"write \<", False),
        ("Ha <laugh harder> ha", 3, "does not start a tag", "write <laugh_harder>", False),
        ("3 < 4", 2, "does not start a tag", r"write \<", False),
        ("One.\n\n?!\n\nTwo.", 6, "nothing here can be spoken: ?!", "delete it", False),
        ("One. [anna] [narrator] Two.", 5, "[anna] says nothing", "after the name", False),
        ("One. [anna]", 5, "[anna] says nothing", "after the name", False),
        ("One. [anna] ... [narrator] Two.", 5, "nothing here can be spoken", "delete it", False),
        ("", 0, "no text to speak", "", False),
        (" \n\n* * *\n", 0, "no text to speak", "", False),
    ],
)
def test_problems(source: str, offset: int, what: str, mend: str, tag: bool) -> None:
    problem = the_problem(source)
    assert (problem.offset, problem.tag) == (offset, tag)
    assert what in problem.what
    assert mend in problem.mend


def test_unknown_tags_stay_and_tokens_do_not() -> None:
    passages, _ = parse("A <pause> b</whisper> <custom_token_5> <|eot|> c")
    assert passages[0].text == ("A <pause> b</whisper> less than custom_token_5> less than |eot|> c")


@pytest.mark.parametrize(
    "mark", ["***", "* * *", "---", "–", "—", "___", "###", "~", "• • •", "· · ·", "...", ". . .", "⁂"]
)
def test_scene_breaks_are_counted_and_not_spoken(mark: str) -> None:
    source = f"One.\n\n{mark}\n\nTwo."
    passages = clean(source)
    assert [(p.paragraph, p.text, p.scene_breaks_after) for p in passages] == [
        (0, "One.", 1),
        (1, "Two.", 0),
    ]
    assert source[: passages[0].end] == f"One.\n\n{mark}\n\n"


def test_scene_break_before_the_first_passage_belongs_to_it() -> None:
    (passage,) = clean("***\n\nOne.")
    assert (passage.start, passage.text, passage.scene_breaks_after) == (0, "One.", 0)


def test_tags() -> None:
    assert len(set(MAYA1_TAGS)) == len(MAYA1_TAGS) == 20
    assert set(MAYA1_TAGS) > LAUGH_TAGS
    assert nearest("Laughing", MAYA1_TAGS) == "laugh"
    assert nearest("laugh-harder", MAYA1_TAGS) == "laugh_harder"
    assert nearest("pause", MAYA1_TAGS) is None
    assert nearest("x" * 1000, MAYA1_TAGS) is None


@pytest.mark.parametrize(
    "mark",
    [
        "❦",
        "===",
        "+ + +",
        "◆ ◆ ◆",
        "———",
        "🌸",
        "❤\ufe0f",
        "❧ ☙",
        "<><>",
        r"\* \* \*",
        "…",
        "“…”",
        "-oOo-",
        "x x x",
        "§",
        "***\n***",
    ],
)
def test_a_line_of_signs_alone_is_a_scene_break(mark: str) -> None:
    for source in (f"One.\n\n{mark}\n\nTwo.", f"One.\n\n  {mark}  \n\nTwo."):
        passages = clean(source)
        assert [p.text for p in passages] == ["One.", "Two."]
        assert passages[0].scene_breaks_after == 1 + mark.count("\n")
    _, problems = parse_script("One.\n\n❦\n\nTwo.", VOICES, MAYA1_TAGS, 1)
    assert "nothing here can be spoken: ❦" in problems[0].what  # rules 1 refuse it


@pytest.mark.parametrize("mark", ["***", "* * *", "❦", "===", "~~~", "-----"])
def test_a_line_of_signs_between_lines_of_text_is_a_scene_break(mark: str) -> None:
    assert [(p.paragraph, p.text, p.scene_breaks_after) for p in clean(f"One.\n{mark}\nTwo.")] == [
        (0, "One.", 1),
        (1, "Two.", 0),
    ]


@pytest.mark.parametrize("line", ["—", "...", ". . .", "”", "&", "-", "(?)"])
def test_a_sign_that_was_wrapped_alone_on_a_line_is_part_of_its_sentence(line: str) -> None:
    assert [p.text for p in clean(f"One\n{line}\ntwo.")] == [f"One {line} two."]


@pytest.mark.parametrize("marks", ["?!", "!!!", "“?”", "…?", "(!)"])
def test_question_and_exclamation_marks_alone_are_a_problem(marks: str) -> None:
    assert "nothing here can be spoken" in the_problem(f"One.\n\n{marks}\n\nTwo.").what


PAUSES = [
    ("One. [pause 2s] Two.", [("One.", 2.0), ("Two.", None)]),
    ("One [pause 0.5s][pause 500ms] two.", [("One", 1.0), ("two.", None)]),
    ("One.\n\n[pause 3 seconds]\n\nTwo.", [("One.", 3.0), ("Two.", None)]),
    ("One.\n\n[Pause .5 s] Two. [pause 60s]", [("One.", 0.5), ("Two.", 60.0)]),
    ("One.\n\n* * *\n\n[pause\n2s] Two.", [("One.", 2.0), ("Two.", None)]),
    ("“One[pause 1s] [pause 2s]Two[pause 1s]”", [("“One", 3.0), ("Two”", 1.0)]),
    ("“Stop [pause 2s]” he said. “No [pause 1s]—” Yes.", [("“Stop”", 2.0), ("he said. “No—”", 1.0), ("Yes.", None)]),
    ("[anna] [pause 1s] One. [narrator] Two.", [("One.", None), ("Two.", None)]),
    ("One. [anna] Two. [pause 2s] [narrator] Three.", [("One.", None), ("Two.", 2.0), ("Three.", None)]),
]


@pytest.mark.parametrize(("source", "expected"), PAUSES)
def test_a_pause_ends_the_passage_before_it(source: str, expected: list[tuple[str, float | None]]) -> None:
    passages = clean(source)
    assert [(p.text, p.pause_after) for p in passages] == expected
    assert "".join(source[p.start : p.end] for p in passages) == source


def test_the_voice_goes_on_after_a_pause() -> None:
    passages = clean("[anna] One. [pause 1s] Two.\n\nThree.")
    assert [(p.voice, p.paragraph) for p in passages] == [("anna", 0), ("anna", 0), (None, 1)]


def test_pauses_before_the_first_passage_are_those_of_the_chapters_start() -> None:
    passages = clean("[pause 2s]\n\n[anna] [pause 1s] One. Two.\n\nThree.")
    assert [p.pause_before for p in passages] == [3.0, 0.0]
    assert [p.pause_after for p in passages] == [None, None]


@pytest.mark.parametrize(
    "pause",
    ["[pause]", "[pause 2]", "[pause 0s]", "[pause 61s]", "[pause -1s]", "[pause: 2s]", "[pause 2m]", "[pause 1e1s]"],
)
def test_a_pause_without_a_valid_length_is_a_problem(pause: str) -> None:
    problem = the_problem(f"One {pause} two.")
    assert problem.offset == 4
    assert problem.what.startswith(pause)
    assert "[pause 2s]" in problem.mend


def test_pauses_in_a_row_have_a_limit() -> None:
    assert "more than 600 seconds" in the_problem("One." + " [pause 60s]" * 11 + " Two.").what


def test_a_voice_may_have_the_name_of_a_pause() -> None:
    passages, problems = parse_script("One. [pause 2s] Two.", ("pause 2s",), ())
    assert problems == []
    assert [(p.voice, p.pause_after) for p in passages] == [(None, None), ("pause 2s", None)]


def test_notes_in_brackets_are_left_to_the_marks_and_years_are_not() -> None:
    assert [p.text for p in clean("One [12], two.[^a]")] == ["One [12], two.[^a]"]
    assert "[1984] names no voice" in the_problem("In [1984] it").what


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "<",
        "\\",
        "<a",
        "[a",
        "<b>",
        "[anna]",
        "\n",
        " \n",
        "*\n\n",
        "a<sigh>",
        r"\<",
        "[pause 1s]",
        "a [pause 1s] ",
        "❦\n",
        "a\n\n\f",
    ],
)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    begun = time.process_time()
    parse(unit * 20_000)
    assert time.process_time() - begun < 30  # a quadratic reader takes minutes
