"""Subtitles hold the rules of the field, say every word, and are read back by other programs."""

import html
import io
from itertools import pairwise

import pysubs2
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.book.chunk import Chunk
from maya_batch.book.cues import Cue
from maya_batch.book.subtitle_lines import LINE, divided, lines_of, width
from maya_batch.book.subtitles import LONGEST, SHORTEST, Subtitle, srt, subtitles, vtt

LONG = (
    "However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth "
    "is so well fixed in the minds of the surrounding families, that he is considered as the rightful property of some "
    "one or other of their daughters."
)


def chunk(voice: str = "anna") -> Chunk:
    return Chunk(1, 1, "", "", "", 1, 1, 1, 1, 0.0, 1, voice=voice)


def cues(*said: tuple[float, float, str] | tuple[float, float, str, str]) -> list[Cue]:
    return [Cue(chunk(*voice), start, end, text, None) for start, end, text, *voice in said]


def check(shown: list[Subtitle]) -> None:
    for each in shown:
        assert 1 <= len(each.lines) <= 2
        assert all(0 < width(line) <= LINE for line in each.lines)
        assert 0 < each.end - each.start <= LONGEST + 0.001
    assert all(before.end <= after.start for before, after in pairwise(shown))


def test_a_short_sentence_is_one_line_and_a_longer_one_two() -> None:
    [one, two] = subtitles(
        cues((0, 3, "Who goes there?"), (4, 8, "He had waited there for a long time, and he was cold."))
    )
    assert one.lines == ("Who goes there?",)
    assert two.lines == ("He had waited there for a long time,", "and he was cold.")


def test_a_long_sentence_is_divided_at_phrases_with_times_by_length() -> None:
    shown = subtitles(cues((10, 24, LONG)))
    check(shown)
    assert " ".join(line for each in shown for line in each.lines) == LONG
    assert len(shown) >= 4
    first = " ".join(shown[0].lines)
    assert shown[1].start == pytest.approx(10 + 14 * len(first) / len(LONG), abs=0.2)


def test_what_is_said_quickly_is_shown_until_it_is_read_or_the_next_begins() -> None:
    [first, second] = subtitles(cues((0, 0.3, "No."), (5, 5.2, "Come in, my old friend, and sit by the fire.")))
    assert first.end == pytest.approx(SHORTEST)
    assert second.end - second.start > 2
    [first, second] = subtitles(cues((0, 0.95, "Who goes there?"), (1.0, 3, "No man.")))
    assert 0.9 < first.end < 1.0


def test_sentences_too_short_to_be_shown_share_a_subtitle() -> None:
    [shown] = subtitles(cues((0, 0.3, "No."), (0.4, 2, "I am not late.")))
    assert shown.lines == ("No. I am not late.",)
    [shown] = subtitles(cues((0, 0.3, "No.", "tom"), (0.4, 2, "Are you late?", "anna")))
    assert shown.lines == ("- No.", "- Are you late?")


def test_a_third_sentence_does_not_join_the_lines_of_two_voices() -> None:
    said = subtitles(cues((0, 0.25, "No!", "anna"), (0.26, 0.5, "Yes!", "tom"), (0.52, 0.8, "Yes, I say!", "tom")))
    assert [each.lines for each in said] == [("- No!", "- Yes!"), ("Yes, I say!",)]


def test_subtitles_that_begin_at_the_same_time_come_one_after_the_other() -> None:
    text = "And then everybody in the village came running down to look at the old boat there."
    said = subtitles(cues((1, 1, text), (1, 1, text), (1, 1, text)))
    assert all(one.end <= other.start for one, other in pairwise(said))
    assert all(each.start < each.end for each in said)


def test_a_sentence_spoken_for_longer_than_a_subtitle_is_shown_is_divided() -> None:
    check(shown := subtitles(cues((0, 12, "One, two, three, and four."))))
    assert len(shown) == 2


def test_wide_letters_count_twice_and_are_cut_without_spaces() -> None:
    text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。"
    parts = divided(text)
    assert "".join(parts) == text
    assert all(lines_of(part) for part in parts)


HOSTILE = [
    "He wrote 1 --> 2 and a < b > c & d.",
    "00:00:01,000 --> 00:00:02,000",
    "WEBVTT",
    "NOTE this is no note",
    "<i>Come in.</i> {\\an8}{\\pos(1,1)}",
    "7",
    "a" * 200,
    "STYLE ::cue { color: red }",
    "&lt;b&gt; &amp;",
]


def read_back(shown: list[Subtitle]) -> None:
    for name, text in (("vtt", vtt(shown)), ("srt", srt(shown))):
        captions = webvtt.from_buffer(io.StringIO(text), format=name).captions
        assert [(c.start_in_seconds, c.end_in_seconds) for c in captions] == [
            (int(each.start), int(each.end)) for each in shown
        ]
        lines = [len(caption.raw_text.splitlines()) for caption in captions]
        assert lines == [len(each.lines) for each in shown]
        read = pysubs2.SSAFile.from_string(text, format_=name)
        assert [(event.start, event.end) for event in read] == [
            (round(each.start * 1000), round(each.end * 1000)) for each in shown
        ]
        if name == "vtt":
            texts = [html.unescape(caption.raw_text).replace("\u2060", "") for caption in captions]
            assert texts == ["\n".join(each.lines) for each in shown]


def test_hostile_texts_are_read_back_as_texts() -> None:
    shown = subtitles(cues(*((n * 10.0, n * 10.0 + 5, text) for n, text in enumerate(HOSTILE))))
    check(shown)
    read_back(shown)
    assert srt(shown).count("-->") == len(shown)
    assert vtt(shown).count("-->") == len(shown)


def test_the_formats_are_as_players_read_them() -> None:
    shown = [Subtitle(0, 1.5, ("Tom & I,", "we went.")), Subtitle(3661.25, 3662, ("No.",))]
    assert srt(shown) == (
        "1\n00:00:00,000 --> 00:00:01,500\nTom & I,\nwe went.\n\n2\n01:01:01,250 --> 01:01:02,000\nNo.\n"
    )
    assert vtt(shown) == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\nTom &amp; I,\nwe went.\n\n2\n01:01:01.250 --> 01:01:02.000\nNo.\n"
    )


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.02, 30), st.text(min_size=1, max_size=300)), max_size=8))
def test_any_texts_at_any_times_hold_the_rules(said: list[tuple[float, float, str]]) -> None:
    at, made = 0.0, []
    for gap, seconds, text in said:
        made.append((at + gap, at + gap + seconds, " ".join(text.split())))
        at += gap + seconds
    shown = subtitles(cues(*made))
    check(shown)
    words = "".join("".join(text.split()) for _, _, text in made)
    assert "".join("".join(line.removeprefix("- ").split()) for each in shown for line in each.lines) == words
