"""The pauses of a book: what it sets, and what the rules of its folder have for the rest."""

import pytest
import yaml

from maya_batch.book.book_id import AUDIO_RULES
from maya_batch.book.pause_lengths import pause_lengths
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.errors import UsageError
from maya_batch.manifest import Pauses
from maya_batch.run.render import render_book
from tests.support.fakes import Events, FakeEngine, TinyBook

LONG = " ".join(["the rain went on and on over the hill and the river and the road"] * 5) + "."
TEXT = {"One": ["The night was dark. It was cold.", "The rain was gone.", "* * *", "[tom] No.", LONG]}


def test_a_new_book_has_the_newest_pauses() -> None:
    new = pause_lengths(Pauses(), AUDIO_RULES)
    assert (new.clause, new.sentence, new.paragraph, new.scene, new.heading) == (0.3, 0.6, 1.0, 2.5, 2.5)
    assert (new.chapter_start, new.chapter_end) == (0.75, 3.0)


def test_an_older_folder_keeps_the_pauses_of_its_rules() -> None:
    old = pause_lengths(Pauses(), 1)
    assert (old.sentence, old.paragraph, old.chapter_start, old.chapter_end) == (0.25, 0.6, 0.5, 1.5)
    assert {old.clause, old.voice, old.scene, old.heading} == {None}


def test_what_a_book_sets_is_also_the_base_of_the_rarer_pauses() -> None:
    own = pause_lengths(Pauses(sentence=0.2, paragraph=0.4), AUDIO_RULES)
    assert (own.sentence, own.paragraph, own.clause, own.scene, own.heading) == (0.2, 0.4, None, None, None)
    assert pause_lengths(Pauses(sentence=0.2, clause=0.1), AUDIO_RULES).clause == 0.1
    assert pause_lengths(Pauses(paragraph=3), AUDIO_RULES).clause == 0.3


def pauses(tiny: TinyBook) -> list[float]:
    return [chunk.pause for chunk in tiny.plan().chunks()]


def test_a_folder_that_was_begun_with_older_rules_keeps_its_pauses_and_files(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(TEXT, pauses={})
    assert pauses(tiny)[:3] == [1.0, 2.5, 1.0]
    assert 0.3 in pauses(tiny)
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    path = tiny.output / ".maya" / "book.yaml"
    planned_before = tiny.plan()
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert stored["audio_rules"] == AUDIO_RULES
    new = book_state(tiny.plan(), Machine()).fingerprint(tiny.plan().chapters[0])
    path.write_text(yaml.safe_dump(stored | {"audio_rules": 1}), encoding="utf-8")
    assert pauses(tiny)[:3] == [0.6, 1.2, 0.6]
    assert 0.3 not in pauses(tiny)
    assert book_state(tiny.plan(), Machine()).fingerprint(tiny.plan().chapters[0]) != new
    asked = len(fake_engine.texts)
    with pytest.raises(UsageError, match="begun with audio rules 1, and this plan follows rules 2"):
        render_book(planned_before, Machine(), Events(), loaders=tiny.loaders)
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert len(fake_engine.texts) == asked
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["audio_rules"] == 1
