from pathlib import Path
from typing import Any

import pytest

from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Engine
from maya_batch.errors import MachineError
from maya_batch.run.loading import Loaders
from maya_batch.run.shared_models import SharedModels
from tests.support.fakes import FakeCodec, FakeEngine, write_codec, write_model

ASKED: dict[str, Any] = {
    "device": "cpu",
    "dtype": "auto",
    "quantization": "none",
    "batch_size": None,
    "kv_cache": "auto",
}


class Counted:
    """Loaders that count."""

    def __init__(self) -> None:
        self.engines = self.codecs = self.transcribers = 0
        self.models = SharedModels(Loaders(engine=self.load, codec=self.load_codec, transcriber=self.transcriber))

    def load(self, name: str, path: Path, **asked: Any) -> Engine:
        self.engines += 1
        engine = FakeEngine(TokenLayout())
        engine.dtype = "float32" if asked["dtype"] == "auto" else asked["dtype"]
        engine.kv_cache = "int8" if asked["kv_cache"] == "int8" else "model"
        engine.offers_int8_cache = True
        return engine

    def load_codec(self, *_: object) -> FakeCodec:
        self.codecs += 1
        return FakeCodec()

    def transcriber(self, *_: object) -> Any:
        self.transcribers += 1
        return object()

    def engine(self, path: Path, **asked: Any) -> Engine:
        return self.models.loaders.engine("auto", path, **(ASKED | asked))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "lm")


def test_an_engine_serves_all_that_ask_for_what_it_is(model: Path) -> None:
    counted = Counted()
    first = counted.engine(model)
    assert counted.engine(model) is first
    assert counted.engine(model, dtype="float32") is first  # what a begun book is pinned to
    assert counted.engine(model, dtype="bfloat16") is not first
    assert counted.engines == 2


@pytest.mark.slow  # PyTorch is asked
def test_auto_is_what_a_pinned_engine_is_if_this_machine_would_choose_it(model: Path) -> None:
    counted = Counted()
    pinned = counted.engine(model, dtype="float32")
    assert counted.engine(model) is pinned
    other = counted.engine(model, dtype="bfloat16")
    assert counted.engine(model) is not other


def test_each_asks_for_its_kv_cache(model: Path) -> None:
    counted = Counted()
    engine = counted.engine(model)
    engine.use_kv_cache("int8")  # as a trial leaves it
    assert counted.engine(model, kv_cache="int8") is engine
    assert engine.kv_cache == "int8"
    assert counted.engine(model) is engine
    assert engine.kv_cache == "model"  # a new trial begins


def test_files_that_changed_are_loaded_again(model: Path) -> None:
    counted = Counted()
    first = counted.engine(model)
    (model / "model.safetensors").write_bytes(b"other weights")
    assert counted.engine(model) is not first


def test_what_does_not_load_is_not_tried_again(model: Path) -> None:
    counted, tried = Counted(), list[int]()

    def broken(*_: object, **__: object) -> Engine:
        tried.append(1)
        raise MachineError("it does not load")

    counted.models = SharedModels(Loaders(engine=broken))
    for _ in range(3):
        with pytest.raises(MachineError, match="it does not load"):
            counted.engine(model)
    assert len(tried) == 1


def test_codec_and_transcriber_are_loaded_once_for_equal_books(tmp_path: Path) -> None:
    counted, folder = Counted(), write_codec(tmp_path / "codec")
    loaders = counted.models.loaders
    assert loaders.codec(folder, TokenLayout(), "cpu") is loaders.codec(folder, TokenLayout(), "cpu")
    assert loaders.transcriber("small.en", "en") is loaders.transcriber("small.en", "en")
    assert loaders.transcriber("small.en", "en") is not loaders.transcriber("small", "de")
    assert (counted.codecs, counted.transcribers) == (1, 2)
