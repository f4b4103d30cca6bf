"""Every character of the manifest is accounted for, once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.book.character_accounting import Characters, chapter_characters, chunk_characters, unheard_characters
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.quality import Problem, Transcript
from tests.e2e.test_retries import render
from tests.support.fakes import FakeEngine, TinyBook

TEXT = "The old man stood by the water.\n\n[tom] Who goes there? <sigh>\n\n[anna] No man answered him — not one."


def set_take(state: BookState, index: int, **changes: object) -> None:
    chunk = list(state.plan.chunks())[index]
    take = state.take(chunk)
    assert take is not None
    state.store.put([replace(take, **changes)])  # type: ignore[arg-type]
    state.stored([take.key])


@pytest.fixture
def state(tiny: TinyBook, fake_engine: FakeEngine) -> BookState:
    tiny.write({"One": [TEXT], "Two": ["The end."]})
    render(tiny)
    return book_state(tiny.plan(), Machine())


def test_nothing_is_spoken_before_the_first_run(tiny: TinyBook) -> None:
    tiny.write({"One": [TEXT]})
    state = book_state(tiny.plan(), Machine())
    assert chapter_characters(state, state.plan.chapters[0]) == Characters(len(TEXT), 0, 0, 0, len(TEXT), 0)


def test_each_chunk_counts_as_its_take_is(state: BookState) -> None:
    first, second, third = state.plan.chapters[0].chunks
    one, two, three = (len(chunk.source) for chunk in (first, second, third))
    assert one + two + three == len(TEXT)
    set_take(state, 0, transcript=Transcript("ear", "the old man stood by the water", 0.0, ()))
    set_take(state, 1, problems=(Problem("noise", ""),), transcript=Transcript("ear", "", 1.0, (0, 1, 2)))
    assert chapter_characters(state, state.plan.chapters[0]) == Characters(len(TEXT), one, three, two, 0, 0)
    (state.folder / ".maya" / "choices.yaml").write_text(f"{state.key(second)}: 1\n")
    chosen = book_state(state.plan, Machine())
    assert chapter_characters(chosen, chosen.plan.chapters[0]) == Characters(len(TEXT), one, three, 0, 0, two)
    for path in (state.folder / ".maya" / "takes").rglob(f"{state.key(third)}/*.npz"):
        path.unlink()
    lost = book_state(state.plan, Machine())
    assert chapter_characters(lost, lost.plan.chapters[0]) == Characters(len(TEXT), one, 0, 0, three, two)


def test_words_that_were_not_found_are_unheard_characters(state: BookState) -> None:
    first = state.plan.chapters[0].chunks[0]
    assert first.text.split()[2] == "man"
    set_take(state, 0, transcript=Transcript("ear", "the old stood by the water", 1 / 7, (2,)))
    plural = chunk_characters(state, first)
    assert plural == Characters(len(first.source), len(first.source) - len("man "), len("man "), 0, 0, 0)


@pytest.mark.parametrize(
    ("source", "text", "unheard", "characters"),
    [
        ("one two three", "one two three", set(), 0),
        ("one two three", "one two three", {0}, 4),
        ("one two three", "one two three", {2}, 5),
        ("[tom] one  two\n", "one two", {0}, 5),
        ("[tom] one  two\n", "one two", {1}, 4),
        ("one — two", "one, two", {0}, 6),
        ("", "", set(), 0),
        ("   ", "", set(), 0),
    ],
)
def test_unheard_characters(source: str, text: str, unheard: set[int], characters: int) -> None:
    assert unheard_characters(source, text, unheard) == characters


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "[tom]", "—", "\n\n"]), max_size=12), st.data())
def test_no_character_is_counted_twice(words: list[str], data: st.DataObject) -> None:
    source = " ".join(words)
    text = " ".join(word for word in source.split() if word != "[tom]")
    unheard = data.draw(st.sets(st.integers(0, max(len(text.split()) - 1, 0))))
    assert 0 <= unheard_characters(source, text, unheard) <= len(source)
    if text.split() and text.split() == source.split():
        everything = set(range(len(text.split())))
        assert unheard_characters(source, text, everything) == len(source)
