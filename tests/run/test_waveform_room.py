"""What memory has no room for is decoded again."""

import pytest

from maya_batch.audio import waveform_cache
from maya_batch.book.settings import Machine
from maya_batch.run.render import render_book
from maya_batch.run.waveform_room import waveform_bytes
from tests.support.fakes import Events, FakeCodec, FakeEngine, TinyBook


def test_an_eighth_of_what_is_free_is_for_waveforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.run.waveform_room.usable_memory", lambda: 256 * 2**30)
    assert waveform_bytes() == 32 * 2**30


@pytest.mark.parametrize(("threaded", "free", "decoded"), [(True, 2**30, 4), (False, 2**30, 7), (False, 0, 7)])
def test_a_chapter_decodes_again_what_memory_did_not_keep(
    tiny: TinyBook,
    fake_engine: FakeEngine,
    fake_codec: FakeCodec,
    monkeypatch: pytest.MonkeyPatch,
    threaded: bool,
    free: int,
    decoded: int,
) -> None:
    fake_engine.batch_size = 4
    tiny.loaders.threaded = threaded
    monkeypatch.setattr(waveform_cache, "_FEW", 1)
    monkeypatch.setattr("maya_batch.run.waveform_room.usable_memory", lambda: free)
    tiny.write({"One": ["First.", "Second.", "Third.", "Fourth."]})
    result = render_book(tiny.plan(), Machine(verify="off"), Events(), loaders=tiny.loaders)
    assert result.exit_code == 0
    assert fake_codec.decoded == decoded  # without room only the first one is kept
