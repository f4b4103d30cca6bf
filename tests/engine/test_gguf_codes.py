"""With greedy draws, a GGUF file of float numbers speaks the takes of Hugging Face in float32."""

from pathlib import Path

import pytest

from maya_batch.checkpoint.gguf_convert import FileType, convert
from maya_batch.checkpoint.locate import DEMO, find_checkpoint
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.load import load_engine
from tests.measure.gguf_codes import chunks, differences
from tests.support.llama_checkpoint import require_llama_cpp


@pytest.mark.parametrize(
    ("kind", "count", "least"),
    [
        ("f32", 3, 3),
        pytest.param("f32", 20, 19, marks=pytest.mark.soak),
        pytest.param("f16", 20, 18, marks=pytest.mark.soak),
    ],
)
def test_whole_takes_are_equal(kind: FileType, count: int, least: int, hf_engine: HfEngine, tmp_path: Path) -> None:
    """20 and 19 of 20 were equal; a rounding may turn a draw whose two best scores are close."""
    require_llama_cpp()
    path = tmp_path / "demo.gguf"
    convert(find_checkpoint(DEMO, "model"), path, kind, lambda *done: None)
    gguf = load_engine("auto", path, device="cpu", dtype="auto", quantization="none", batch_size=None)
    texts = sorted(chunks(20), key=lambda chunk: len(chunk.text))[:count]
    found = differences(hf_engine, gguf, texts)
    print(f"\n{kind}: {count - len(found)} of {count} takes are equal; {found}")
    assert count - len(found) >= least
