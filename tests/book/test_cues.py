"""Each sentence has the time at which it is spoken in its chapter's file."""

from itertools import pairwise

import pytest

from maya_batch.book.cues import Cue, chapter_cues
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.run.render import render_book
from tests.support.fakes import Events, FakeEngine, TinyBook

TEXT = {"One": ["The night was dark. Who goes there?", "No man."], "Two": ["The rain was gone."]}


def rendered(tiny: TinyBook) -> BookState:
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    return book_state(tiny.plan(), Machine())


def cues(state: BookState, number: int = 1) -> tuple[Cue, ...]:
    found = chapter_cues(state, state.plan.chapters[number - 1])
    for before, after in pairwise(found):
        assert before.start < before.end <= after.start
    return found


def test_a_chapter_without_all_takes_has_no_cues(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    state = book_state(tiny.plan(), Machine())
    assert [chapter_cues(state, chapter) for chapter in state.plan.chapters] == [(), ()]


def test_chunks_follow_each_other_with_their_pauses(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, pauses={"paragraph": 1.5, "sentence": 0.2, "chapter_start": 0.5, "chapter_end": 0.3})
    state = rendered(tiny)
    first, second, third = cues(state)
    assert [cue.text for cue in (first, second, third)] == ["The night was dark.", "Who goes there?", "No man."]
    # A clip of the codec's stand-in has 0.1 s, whatever its text is.
    assert (first.start, second.end) == pytest.approx((0.5, 0.6), abs=0.02)
    assert (third.start, third.end) == pytest.approx((2.1, 2.2), abs=0.02)
    assert cues(state, 2)[0].start == pytest.approx(0.5, abs=0.02)
