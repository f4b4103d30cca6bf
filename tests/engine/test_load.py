"""How an engine is had: by name, and with the garbage collector at rest while its libraries are imported."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maya_batch.engine.load import _few_collections, engine_for, load_engine
from maya_batch.errors import UsageError


@pytest.fixture
def nothing_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    before = gc.get_freeze_count()
    yield
    if not before:
        gc.unfreeze()


@pytest.mark.usefixtures("nothing_imported")
def test_imports_are_not_looked_through_again_and_again() -> None:
    assert gc.isenabled()
    with _few_collections():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("nothing_imported")
def test_the_collector_works_again_after_an_import_that_failed() -> None:
    with pytest.raises(ImportError), _few_collections():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_switched_off_stays_so() -> None:
    gc.disable()
    try:
        with _few_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("name", "path"), [("gguf", "lm"), ("hf", "x.gguf")])
def test_an_engine_that_does_not_load_this_checkpoint_is_a_mistake(name: str, path: str) -> None:
    with pytest.raises(UsageError, match=f"engine {name} needs a .*{path}"):
        load_engine(name, Path(path), device="cpu", dtype="auto", quantization="none", batch_size=None)


def test_llama_cpp_has_no_cache_in_8_bits(demo_gguf: Path) -> None:
    with pytest.raises(UsageError, match="remove --kv-cache int8"):
        load_engine(
            "auto",
            demo_gguf,
            device="cpu",
            dtype="auto",
            quantization="none",
            batch_size=None,
            kv_cache="int8",
        )


def test_auto_is_the_engine_that_loads_the_checkpoint() -> None:
    assert engine_for("auto", Path("x.gguf")) == engine_for("gguf", Path("x.gguf")) == "gguf"
    assert engine_for("auto", Path("lm")) == engine_for("hf", Path("lm")) == "hf"
