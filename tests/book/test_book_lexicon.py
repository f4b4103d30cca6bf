"""A lexicon changes what is spoken of a chunk, and nothing else."""

from pathlib import Path

import pytest

from maya_batch.book.book_id import BookId, write_book_id
from maya_batch.book.book_lexicon import lexicon_use
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.plan import Plan, make_plan
from maya_batch.errors import ManifestError
from maya_batch.manifest import Render
from maya_batch.text.lexicon import respellings
from tests.support.fakes import TinyBook

CONFIG = ModelConfig("sha256:00", "float32", "none", "framed")
LONG = "The night was dark and the river was high, and Anna had not come home from the fair by then. "
TEXT = {
    "One": [
        LONG * 4 + "Then Tom laughed. <laugh> " + LONG * 3,
        "[tom] I saw Anna at the Mount Doom inn. [anna] She said nothing.",
    ],
    "Two": ["Nothing moved.", LONG * 5],
}


def keys(plan: Plan) -> list[tuple[str, str]]:
    """What each chunk is spoken from, and its key."""
    return [(chunk.source, chunk.key(CONFIG, plan.sound)) for chunk in plan.chunks()]


def plan_with(tiny: TinyBook, **more: object) -> Plan:
    tiny.write(TEXT, **more)
    return tiny.plan()


def test_only_chunks_with_a_changed_entry_get_new_keys_and_none_moves(tiny: TinyBook) -> None:
    lexicon = {"Tom": "Tomm", "Anna": "Ah-na", "Mount Doom": "mownt doom"}
    before = plan_with(tiny)
    for word, respelling in (
        ("Tom", "Tomm"),
        ("Tom", "a man whose name is very much longer than it was"),
        ("Mount Doom", "x"),
    ):
        after = plan_with(tiny, lexicon={word: respelling})
        pairs = list(zip(keys(before), keys(after), strict=True))
        assert all(old[0] == new[0] for old, new in pairs)
        changed = [new[0] for old, new in pairs if old[1] != new[1]]
        assert len(changed) == 1
        assert word in changed[0]
    first = plan_with(tiny, lexicon=lexicon)
    second = plan_with(tiny, lexicon=lexicon | {"Tom": "Thom"})
    differing = [new for old, new in zip(keys(first), keys(second), strict=True) if old != new]
    assert [source.count("Tom laughed") for source, _ in differing] == [1]


def test_a_text_that_no_longer_fits_is_cut_and_only_there(tiny: TinyBook) -> None:
    """The budget of tokens is that of the text as it is spoken."""
    before = plan_with(tiny, render={"model": "./lm", "codec": "./codec", "max_tokens": 3500})
    huge = " ".join(["word"] * 40)
    after = plan_with(tiny, lexicon={"Tom": huge}, render={"model": "./lm", "codec": "./codec", "max_tokens": 3500})
    assert "".join(chunk.source for chunk in after.chunks()) == "".join(chunk.source for chunk in before.chunks())
    new = [source for source, _ in keys(after) if source not in dict(keys(before))]
    assert 1 <= len(new) <= 3
    assert "Tom" in "".join(new)
    assert all(chunk.max_frames * 7 <= 3500 for chunk in after.chunks())


def test_changes_are_on_record_with_the_words_and_their_place(tiny: TinyBook) -> None:
    plan = plan_with(
        tiny, lexicon=[{"word": "anna", "respelling": "ah-na", "voice": "tom"}, {"word": "laugh", "respelling": "x"}]
    )
    [(chunk, change)] = [(chunk, change) for chunk in plan.chunks() for change in chunk.changes]
    assert (chunk.voice, chunk.text) == ("tom", "I saw Ah-na at the Mount Doom inn.")
    assert (change.written, change.spoken, change.rule) == ("Anna", "Ah-na", "lexicon")
    assert plan.manuscript.chapters[0].text[change.start : change.end] == "Anna"
    assert respellings(chunk.changes) == {"Ah-na": "Anna"}
    assert "<laugh>" in "".join(chunk.text for chunk in plan.chunks())


def test_used_entries_are_counted_and_unused_ones_named(tiny: TinyBook) -> None:
    (tiny.folder / "words.csv").write_text("word,respelling,voice\nAnna,Ah-na,\nAnna,Enna,tom\nSnape,x,\nshe,x,tom\n")
    plan = plan_with(tiny, lexicon="words.csv")
    use = lexicon_use(plan.manuscript, plan.lexicon, plan.chunks())
    assert use is not None
    assert (use.entries, use.used, use.places) == (4, 2, 13)
    file = tiny.folder / "words.csv"
    assert use.unused == (f"{file}:4:1: Snape", f"{file}:5:1: she")
    assert str(use) == f"lexicon: 2 of 4 entries used in 13 places; not used: {file}:4:1: Snape, {file}:5:1: she"
    assert lexicon_use(plan.manuscript, plan_with(tiny).lexicon, plan.chunks()) is None


def test_a_word_with_two_entries_is_a_mistake(tiny: TinyBook) -> None:
    (tiny.folder / "words.csv").write_text("word,respelling\nAnna,Ah-na\nTom,x\nANNA,y\n")
    with pytest.raises(ManifestError) as caught:
        plan_with(tiny, lexicon="words.csv")
    file = tiny.folder / "words.csv"
    assert caught.value.lines() == [f"{file}:4:1: 'ANNA' has an entry already, at {file}:2:1; remove one of them"]


def test_a_phrase_that_two_chunks_share_is_told(tiny: TinyBook) -> None:
    tiny.write({"One": [LONG * 3]}, lexicon={"then. The night": "x"}, render={"model": "./lm", "chunk_words": 20})
    plan = tiny.plan()
    assert len([line for line in plan.warnings if "is divided between two chunks" in line]) == 2
    assert all("x" not in chunk.text for chunk in plan.chunks())


@pytest.mark.parametrize(("key", "value"), [("lexicon", {"Anna": "Ah-na"}), ("normalize", True), ("lexicon", {})])
def test_a_book_of_rules_1_is_refused_with_the_way_on(key: str, value: object, tiny: TinyBook) -> None:
    hidden = tiny.output / ".maya"
    hidden.mkdir(parents=True)
    write_book_id(hidden, BookId("0" * 32, "book.yaml", "../book.yaml", "Tiny", text_rules=1))
    tiny.write(TEXT, **{key: value})
    with pytest.raises(ManifestError) as caught:
        tiny.plan()
    [line] = caught.value.lines()
    assert f": this book was begun with text rules 1, which have no `{key}`; `render --upgrade-text` switches" in line
    assert make_plan(Path(tiny.path), Render(), upgrade_text=True).text_rules > 1
    for keys_of_the_book in ({}, {"normalize": False}):
        tiny.write(TEXT, **keys_of_the_book)
        plan = tiny.plan()
        assert plan.text_rules == 1
        assert not any(chunk.changes for chunk in plan.chunks())


def test_written_forms_are_written_out_where_the_lexicon_has_no_entry(tiny: TinyBook) -> None:
    text = {"One": ["He paid $5 for 1,500 hats.", "Dr. Hill saw Louis XIV.", "Nothing else."]}
    tiny.write(text, normalize="off")
    before = tiny.plan()
    tiny.write(text, lexicon={"$5": "a fiver"})
    after = tiny.plan()
    assert [chunk.source for chunk in after.chunks()] == [chunk.source for chunk in before.chunks()]
    assert [chunk.text for chunk in after.chunks()] == [
        "He paid a fiver for one thousand five hundred hats.",
        "Doctor Hill saw Louis the fourteenth.",
        "Nothing else.",
    ]
    assert keys(before)[2] == keys(after)[2]
