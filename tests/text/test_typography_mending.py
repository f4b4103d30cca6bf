"""Typography is mended with each change on record, under text rules 2."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.text.emotion_tags import TAG
from maya_batch.text.parser import parse_script
from maya_batch.text.passage import Change, Passage, TextProblem
from maya_batch.text.rewriting import rewrite
from maya_batch.text.typography import is_composed, speakable
from maya_batch.text.typography_mending import mendings
from tests.support.properties import examples


def mended(source: str, language: str = "en") -> tuple[list[Passage], list[TextProblem]]:
    passages, problems = parse_script(source, {"anna"}, {"laugh"})
    assert problems == []
    return rewrite(passages, mendings(source, language))


def spoken(source: str, language: str = "en") -> str:
    passages, problems = mended(source, language)
    assert problems == []
    return " | ".join(speakable(passage.text) for passage in passages)


def changes(source: str) -> list[Change]:
    return [change for passage in mended(source)[0] for change in passage.changes]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "The ﬁrst oﬃce had a ﬂat ﬂoor in １９９９, and 𝐛𝐨𝐥𝐝 signs.",
            "The first office had a flat floor in 1999, and bold signs.",
        ),
        ("ﬀ ﬃ ﬄ ﬅ ﬆ ĳs Congreſs", "ff ffi ffl st st ijs Congress."),
        ("Ｈｉ！ 𝟙𝟚 ℎ𝑒𝑙𝑙𝑜 𝒲ℴ𝓇𝓁𝒹 ⓐⓑ", "Hi! 12 hello World ab."),
        ("See ①② and ⑪, ⑴⒛ below", "See 1 2 and 11, (1) 20. below."),
        ("Louis Ⅷ ran 5㎞, the 1ˢᵗ", "Louis VIII ran 5km, the 1st."),
        ("x² and 1½ and № 5 stay", "x² and 1½ and № 5 stay."),
        ("no\u200bthing, \u2060in\u00advis\u00adi\u00adble, ❤\ufe0f", "nothing, invisible, ❤."),
        ("E\u0301tude of Å", "Étude of Å."),
        ("＜laugh＞ is no tag", "less than laugh greater than is no tag."),
    ],
)
def test_forms_of_letters_are_plain_letters(source: str, text: str) -> None:
    assert spoken(source) == text


def test_the_full_width_punctuation_of_chinese_and_japanese_stays() -> None:
    assert spoken("Ａ１，好！", "zh") == "A1，好！"
    assert spoken("ﾊﾞﾅﾅ。", "ja") == "バナナ。"


def test_each_change_is_on_record_with_its_place_and_its_rule() -> None:
    source = "A ﬂat\u00adter, １２ &amp; pre-\nvious."
    found = changes(source)
    assert [(source[change.start : change.end], change.spoken, change.rule) for change in found] == [
        ("&amp;", "&", "entity"),
        ("pre-\nvious", "previous", "divided word (guess)"),
        ("ﬂ", "fl", "ligature"),
        ("\u00ad", "", "soft hyphen"),
        ("１２", "12", "full-width form"),
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "The pre\u00ad\nrequisites were gen\u00ad\nerally good. It was a one\u2011\nsided fight, self-\nevident "
            "to all.",
            "The prerequisites were generally good. It was a one\u2011sided fight, self-evident to all.",
        ),
        ("The prere-\nquisites", "The prerequisites."),
        ("The prere-\nquisites¹ x", "The prerequisites¹ x."),
        ("The prere‐\n   quisites", "The prerequisites."),
        ("A moon-\nlit moonlit night", "A moonlit moonlit night."),
        ("A moon-\nlit night, moon-lit.", "A moon-lit night, moon-lit."),
        (
            "Brown-\neyed Anglo-\nSaxon, mother-in-\nlaw, 1914-\n1918",
            "Brown-eyed Anglo-Saxon, mother-in-law, 1914-1918.",
        ),
        ("two-\nand three-year-olds", "two- and three-year-olds."),
        ("well -\nhe went--\nand came—\nback", "well - he went-- and came— back."),
        ("pre-requisite self- evident", "pre-requisite self- evident."),
        ("un-\nbe-\nlievable", "unbelievable."),
        ("pre&shy;\nrequisites", "prerequisites."),
        ("THE PREREQ-\nUISITES", "THE PREREQUISITES."),
    ],
)
def test_words_that_are_divided_at_a_lines_end_are_joined(source: str, text: str) -> None:
    assert spoken(source) == text


def test_a_form_feed_is_white_space_and_divides_no_word_or_sentence() -> None:
    assert spoken("First page ends here.\n\fSecond page.") == "First page ends here. Second page."
    assert spoken("the prere-\n\n\fquisites were\n\n\fgood.\n\n\fNew") == "the prerequisites were good. | New."
    assert "\f" not in mended("a\fb")[0][0].text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "“Well,” he said&mdash;and he paid for the fish &amp; chips&nbsp;himself. It was John&#39;s.",
            "“Well,” he said—and he paid for the fish & chips himself. It was John's.",
        ),
        ("&#x2014; &#8212; &#151; &hellip; caf&eacute;&ouml;", "— — — … caféö."),
        ("&lt;laugh&gt; a&lt;b", "less than laugh greater than a less than b."),
        ("&#60;laugh&#62; &#x5B;anna] it", "less than laugh greater than [anna] it."),
        ("Tom &amp Jerry, caf&eacute, &copy 3", "Tom & Jerry, café, © 3."),
        ("AT&T; R&D, Q&A; B&BS; AT&LT Tom & Jerry; a&b", "AT&T; R&D, Q&A; B&BS; AT&LT Tom & Jerry; a&b."),
        ("R&amp;D, AT&amp;T; and &amp;mdash; so", "R&D, AT&T; and — so."),
        (r"write \&amp; for it", "write &amp; for it."),
        ("a&NewLine;b&#10;c&#9;d", "a b c d."),
        ("One.\n\n&nbsp;\n\nTwo.\n\n&#8258;\n\nThree.", "One. | Two. | Three."),
    ],
)
def test_entities_are_decoded_and_are_no_markup(source: str, text: str) -> None:
    assert spoken(source) == text


@pytest.mark.parametrize("entity", ["&foo;", "&mdsh;", "&#0;", "&#7;", "&#xD800;", "&#99999999;", "&#xFFFFFFFF;"])
def test_an_unknown_entity_is_a_problem_with_its_place(entity: str) -> None:
    _, (problem,) = mended(f"One two {entity} three")
    assert problem.offset == 8
    assert entity in problem.what
    assert r"\&" in problem.mend


# fmt: off
FRAGMENTS = [
    "word", "ﬁ", "１", "＜", "𝐛", "e\u0301", "\u0301", "\u00ad", "\u200b", "-\n", "\u00ad\n", "\u2011\n", "&mdash;",
    "&lt;", "&amp;", "&foo;", "&#7;", "&", ";", r"\&", r"\<", "<laugh>", "[anna]", " ", " ", "\n", "\n\n", "\f",
    "\n\n\f", "Ab", "[12]",
]
# fmt: on


@settings(max_examples=examples(150))
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_mended_passages_partition_the_source_and_have_a_less_than_only_in_tags(source: str) -> None:
    passages, _ = parse_script(source, {"anna"}, {"laugh"})
    changed, _ = rewrite(passages, mendings(source, "en"))
    assert [(p.start, p.end) for p in changed] == [(p.start, p.end) for p in passages]
    for passage in changed:
        assert "<" not in TAG.sub("", passage.text)
        offsets = [passage.source_offset(at) for at in range(len(passage.text) + 1)]
        assert offsets == sorted(offsets)
        assert all(passage.start <= change.start <= change.end <= passage.end for change in passage.changes)


@pytest.mark.no_cover  # tracing takes longer than what is measured
@pytest.mark.parametrize(
    "unit", ["&", "&amp;", "&amp", "&#1", "a-\n", "a\u00ad\n", "ﬁ", "e\u0301", "\u0301", "ａ", "＜", "a&lt;"]
)
def test_hostile_text_is_mended_in_linear_time(unit: str) -> None:
    source = "a" + unit * 20_000
    begun = time.process_time()
    passages, _ = parse_script(source, (), ())
    rewrite(passages, mendings(source, "en"))
    assert time.process_time() - begun < 5  # a quadratic rule takes minutes


@given(st.text(max_size=20))
def test_a_glance_at_the_characters_tells_whether_a_text_is_composed(text: str) -> None:
    assert is_composed(text) == unicodedata.is_normalized("NFC", text)


def test_a_glance_at_any_character_tells_whether_it_is_composed() -> None:
    assert all(is_composed(c) == unicodedata.is_normalized("NFC", c) for c in map(chr, range(0x110000)))
