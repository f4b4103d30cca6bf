"""Weights that are read while transformers is imported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from maya_batch.checkpoint.weights_header import stored_tensors
from maya_batch.engine.early_weights import early_weights, read_weights
from maya_batch.engine.hf_loader import load_hf_engine
from tests.support.demo import CHECKPOINT

CPU = torch.device("cpu")


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return read_weights(stored_tensors(CHECKPOINT), torch.bfloat16, CPU)


@pytest.mark.parametrize("piece_bytes", [1, 300_000, 2**29])
def test_they_are_those_that_safetensors_reads(piece_bytes: int) -> None:
    weights = read_weights(stored_tensors(CHECKPOINT), torch.bfloat16, CPU, piece_bytes)
    expected: dict[str, torch.Tensor] = {}
    for path in CHECKPOINT.glob("*.safetensors"):
        expected |= load_file(path)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_neighbours_are_copied_together(tmp_path: Path) -> None:
    """By the size of the copies: in order of their names, three are copied together, then two, and one alone."""
    sizes = {"a": 160, "b": 80, "c": 80, "d": 160, "e": 80, "f": 800}
    save_file(
        {name: torch.ones(size, dtype=torch.bfloat16) for name, size in sizes.items()}, tmp_path / "model.safetensors"
    )
    weights = read_weights(stored_tensors(tmp_path), torch.bfloat16, CPU, 700)
    copies = {name: tensor.untyped_storage().nbytes() for name, tensor in weights.items()}
    assert copies == {"a": 640, "b": 640, "c": 640, "d": 480, "e": 480, "f": 1600}


def test_a_tensor_at_an_odd_address_is_refused(tmp_path: Path) -> None:
    save_file(
        {"a": torch.ones(3, dtype=torch.bfloat16), "b": torch.ones(8, dtype=torch.bfloat16)},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(ValueError, match="the GPU reads"):
        read_weights(stored_tensors(tmp_path), torch.bfloat16, CPU)


def test_a_model_with_them_is_the_model_of_the_folder(weights: dict[str, torch.Tensor]) -> None:
    given: dict[str, Any] = {
        "device": "cpu", "dtype": "bfloat16", "quantization": "none", "batch_size": 1
    }  # fmt: skip
    kept = list(weights.values())
    ours = load_hf_engine(CHECKPOINT, **given, weights=weights)
    parameters = dict(ours.model.named_parameters())
    for name, tensor in load_hf_engine(CHECKPOINT, **given).model.named_parameters():
        assert torch.equal(parameters[name], tensor)
    assert not weights  # else what was copied together would stay in memory
    assert not {tensor.data_ptr() for tensor in kept} & {tensor.data_ptr() for tensor in parameters.values()}


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "F32"},
        {"dtype": ["BF16"]},
        {"offsets": None},
        {"offsets": [0, 10**12]},
        {"offsets": [-16, 0]},
        {"offsets": [8, 72]},
        {"offsets": [0, 62]},
        {"shape": [4, 9]},
        {"shape": [-4, -8]},
        {"shape": [4, 8.0]},
        {"shape": 32},
    ],
)
def test_a_header_that_does_not_fit_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    save_file({"one": torch.ones(4, 8, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
    ((name, right),) = stored_tensors(tmp_path).items()
    assert list(read_weights({name: right}, torch.bfloat16, CPU)) == ["one"]
    with pytest.raises(ValueError, match="a tensor of"):
        read_weights({name: replace(right, **wrong)}, torch.bfloat16, CPU)


@pytest.mark.parametrize(("share", "read"), [(4.1, True), (3.9, False)])
def test_they_are_read_early_where_memory_is_large(share: float, read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(path.stat().st_size for path in CHECKPOINT.glob("*.safetensors"))
    module = "maya_batch.engine.early_weights"
    monkeypatch.setattr(f"{module}.choose_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(f"{module}.free_bytes", lambda gpu: int(share * size))
    monkeypatch.setattr(f"{module}.read_weights", lambda tensors, dtype, gpu: {"one": torch.ones(1, dtype=dtype)})
    monkeypatch.setattr(torch.cuda, "set_device", lambda gpu: None)
    assert bool(early_weights(CHECKPOINT, "cuda", "bfloat16", "none")) == read
    assert early_weights(CHECKPOINT, "cuda", "bfloat16", "nf4") == {}


def test_transformers_reads_what_is_not_for_a_gpu_or_cannot_be_read(tmp_path: Path) -> None:
    assert early_weights(CHECKPOINT, "cpu", "bfloat16", "none") == {}
    assert early_weights(tmp_path, "cuda", "bfloat16", "none") == {}
