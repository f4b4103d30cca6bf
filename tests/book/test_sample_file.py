"""A sample is the beginning of a chapter, made of the takes that the chapter is made of."""

from pathlib import Path
from typing import Any

import pytest

from maya_batch.book.book_files import stale_files
from maya_batch.book.sample_file import sample_of
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.errors import UsageError
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.scope import Scope
from tests.support.fakes import Events, FakeEngine, TinyBook

TEXT = {"One": ["The night was dark."], "Two": ["The rain was gone.", "The wind was strong.", "It was late."]}


def render(tiny: TinyBook, **more: Any) -> list[str]:
    files = render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders, **more).files
    return [path.name for path in files]


def assemble(tiny: TinyBook) -> list[str]:
    return [path.name for path in assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders).files]


def refs(tiny: TinyBook) -> list[str]:
    sample = sample_of(book_state(tiny.plan(), Machine()))
    assert sample is not None
    assert sample.chunks[-1].pause == 0
    return [chunk.ref for chunk in sample.chunks]


def test_the_sample_has_the_first_chunks_of_its_chapter(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    from mutagen.id3 import ID3

    tiny.write(TEXT, output={"formats": ["mp3"]}, sample={"chapter": 2}, title="Book")
    assert render(tiny) == ["01-one.mp3", "02-two.mp3", "sample.mp3"]
    tags = ID3(tiny.output / "sample.mp3")
    assert [str(tags[name]) for name in ("TIT2", "TALB", "TRCK")] == ["Book (sample)", "Book (sample)", "1/1"]
    assert refs(tiny) == ["2:1", "2:2", "2:3"]
    state = book_state(tiny.plan(), Machine())
    frames = [len(take.codes) for chunk in state.plan.chapters[1].chunks if (take := state.take(chunk)) is not None]
    tiny.write(TEXT, output={"formats": ["mp3"]}, sample={"chapter": 2, "minutes": 0.1}, title="Book")
    spoken = [state.plan.layout.seconds(sum(frames[:count])) for count in (1, 2, 3)]
    fitting = max(1, sum(seconds + 0.1 * place <= 6 for place, seconds in enumerate(spoken)))
    assert len(refs(tiny)) == fitting
    assert stale_files(book_state(tiny.plan(), Machine())) == []


def test_the_sample_is_current_until_its_takes_or_tags_change(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, sample={})
    render(tiny)
    fake_engine.batches.clear()
    assert (render(tiny), assemble(tiny)) == ([], [])
    tiny.write(TEXT, sample={}, title="Another")
    assert assemble(tiny) == ["01-one.wav", "02-two.wav", "sample.wav"]
    assert fake_engine.batches == []
    tiny.write(TEXT | {"Two": ["The rain was back."]}, sample={}, title="Another")
    assert render(tiny) == ["02-two.wav"]


def test_a_book_as_m4b_has_a_sample_as_m4a_outside_of_the_library(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output={"formats": ["m4b"], "layout": "audiobookshelf"}, sample={"chapter": 1}, title="Book")
    assert render(tiny) == ["Book.m4b", "metadata.opf", "sample.m4a"]
    assert (tiny.output / "sample.m4a").is_file()


def test_there_is_no_sample_while_its_chapter_is_incomplete(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, sample={"chapter": 2})
    assert render(tiny, scope=Scope(frozenset({1}))) == ["01-one.wav"]
    assert render(tiny) == ["02-two.wav", "sample.wav"]


def test_a_file_of_another_program_is_not_overwritten(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, sample={"chapter": 2})
    tiny.output.mkdir()
    theirs = Path(tiny.output / "sample.wav")
    theirs.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"sample\.wav was not written by maya-batch"):
        render(tiny)
    assert theirs.read_bytes() == b"mine"
