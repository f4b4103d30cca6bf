"""Chapters that two versions of a book have in common."""

import time

import pytest

from maya_batch.importing.shared_text import alike

FERRY = "The night was dark. He waited. The ferry came, and nobody was on board."
HILL = "He climbed the hill. It was steep, and the path was gone."


def test_most_of_the_text_is_enough_and_markup_does_not_count() -> None:
    edited = FERRY.replace("He waited.", "[anna] He <sigh> waited.")
    assert alike({0: HILL + " Snow fell.", 1: FERRY}, {0: edited, 1: HILL}) == {0: 1, 1: 0}


def test_half_of_the_text_or_a_short_sentence_is_not_enough() -> None:
    assert alike({0: "He waited."}, {0: FERRY}) == {}
    assert alike({0: "One two. Three four."}, {0: "One two. Five sixty."}) == {}
    assert alike({0: "* * *", 1: ""}, {0: "", 1: HILL}) == {}


def test_each_old_text_is_given_once_to_the_one_that_shares_most() -> None:
    assert alike({0: HILL + " Snow fell.", 1: HILL}, {0: HILL}) == {1: 0}


def test_sentences_of_all_chapters_do_not_make_it_slow() -> None:
    texts = {at: f"Yes. No. Chapter {at} has this. " + "Nobody came. " * 5 for at in range(10_000)}
    start = time.monotonic()
    alike(texts, texts)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("sign", ".[<")
def test_a_line_of_one_sign_takes_no_time(sign: str) -> None:
    assert alike({0: sign * 300_000 + "a"}, {0: sign * 300_000 + "a"}) == {0: 0}  # else minutes
