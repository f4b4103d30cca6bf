"""The codec that workers are told of is no part of the book until the driver has loaded it, too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maya_batch.book.settings import Machine
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.engine.api import Engine
from maya_batch.errors import MachineError
from maya_batch.run.cluster.messages import EngineSettings
from maya_batch.run.render import render_book
from tests.support import faulty_worker
from tests.support.fakes import Events, FakeCodec, TinyBook


class Here:
    """Loads the engine in this process, and finds out what workers would decode with."""

    def load(
        self,
        checkpoint: Checkpoint,
        identity: Callable[[], str],
        settings: EngineSettings,
        codec: Callable[[], tuple[Checkpoint, str]],
    ) -> Engine:
        self.codec = codec()
        identity()
        return settings.load(faulty_worker.load, checkpoint.path)


@pytest.fixture
def book(tiny: TinyBook) -> TinyBook:
    tiny.loaders.engine, tiny.loaders.codec = faulty_worker.load, lambda *_: FakeCodec()
    tiny.write({"One": ["Come in."]})
    return tiny


def render(book: TinyBook) -> int:
    return render_book(book.plan(), Machine(device="cpu"), Events(), loaders=book.loaders).exit_code


def change(book: TinyBook) -> None:
    weights = book.folder / "codec" / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes() + b"more")


def test_workers_are_told_the_books_codec(book: TinyBook) -> None:
    book.loaders.workers = here = Here()
    assert render(book) == 0
    assert here.codec[0].path == book.folder / "codec"
    assert here.codec[1] == Checkpoint("codec", "codec", Path(book.folder / "codec")).identity()


def test_a_codec_that_did_not_load_is_not_pinned(book: TinyBook) -> None:
    def broken(*_: Any) -> FakeCodec:
        raise MachineError("the codec's weights are not finite numbers; fetch it again")

    book.loaders.workers, loads = Here(), book.loaders.codec
    book.loaders.codec = broken
    with pytest.raises(MachineError, match="fetch it again"):
        render(book)
    change(book)  # as fetching it again does
    book.loaders.codec = loads
    assert render(book) == 0


def test_a_codec_that_has_changed_is_the_same_line_with_workers(book: TinyBook) -> None:
    assert render(book) == 0
    change(book)
    book.write({"One": ["Come in.", "Sit down."]})
    lines = []
    for workers in (None, Here()):
        book.loaders.workers = workers
        with pytest.raises(MachineError, match="has changed since this book was started") as caught:
            render(book)
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
