"""Codes become sound: as stock SNAC makes it, settled by the seed alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from snac import SNAC
from snac.layers import NoiseBlock, snake

from maya_batch.audio.decode_window import CONTEXT
from maya_batch.audio.snac_codec import Codec, _Snake, load_codec
from maya_batch.checkpoint.token_layout import SLOTS, Codes, TokenLayout, levels
from maya_batch.errors import MachineError
from maya_batch.files.builtin_files import builtin

if TYPE_CHECKING:
    from maya_batch.engine.hf_engine import HfEngine


@pytest.fixture(scope="module")
def codes(engine: "HfEngine") -> Codes:
    rng = np.random.default_rng(0)
    return rng.integers(0, engine.layout.codebook_size, (9, SLOTS)).astype(np.uint16)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 333), (2, 3, 64)])
def test_the_activation_is_snacs_own_to_the_bit(shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(shape, generator=generator) * 5
    alpha = torch.rand(1, shape[1], 1, generator=generator) * 2
    before = hidden.clone()
    with torch.inference_mode():
        assert torch.equal(_Snake(alpha)(hidden), snake(hidden, alpha))
    assert torch.equal(hidden, before)


def test_a_clip_is_what_stock_snac_makes_of_it(codec: Codec, codes: Codes, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = SNAC.from_pretrained(str(builtin("assets", "demo-voice", "codec"))).eval()
    noise = torch.Generator().manual_seed(5)

    def forward(block: NoiseBlock, hidden: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = torch.randn((1, 1, hidden.shape[2]), generator=noise) * block.linear(hidden)
        return hidden + drawn

    monkeypatch.setattr(NoiseBlock, "forward", forward)
    with torch.inference_mode():
        tensors = [torch.from_numpy(level.astype(np.int64)).unsqueeze(0) for level in levels(codes)]
        expected = stock.decode(tensors)[0, 0].numpy()
    # Stock SNAC computes its weights from direction and length at each call, which rounds differently.
    assert np.abs(codec.decode(codes, 5) - expected).max() < 1e-4
    assert np.abs(expected).max() > 0.01


def test_a_long_clip_in_windows_is_what_it_is_at_once(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.random.default_rng(1).integers(0, 1024, (23, SLOTS)).astype(np.uint16)
    immediate = codec.decode(drawn, 5)
    taken: list[int] = []
    hook = codec._model.decoder.register_forward_pre_hook(lambda _, given: taken.append(given[0].shape[-1]))
    for most in (22, 12, 5, 1):
        monkeypatch.setattr(codec, "_window", most)
        taken.clear()
        assert np.abs(codec.decode(drawn, 5) - immediate).max() < 1e-5
        assert len(taken) == -(-23 // most)
        assert max(taken) <= (most + 2 * CONTEXT) * 4
    hook.remove()
    monkeypatch.setattr("maya_batch.audio.snac_codec.CONTEXT", 1)
    assert np.abs(codec.decode(drawn, 5) - immediate).max() > 1e-4  # fewer frames around them are not enough


@pytest.mark.parametrize("unlike", [{"decoder_rates": [2, 4, 8, 8]}, {"attn_window_size": 8}])
def test_a_codec_that_looks_further_is_refused(unlike: dict[str, object], tmp_path: Path, engine: "HfEngine") -> None:
    config = json.loads(builtin("assets", "demo-voice", "codec", "config.json").read_text()) | unlike
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(SNAC(**config).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(MachineError, match="samples depend on more than 3 frames"):
        load_codec(tmp_path, engine.layout, torch.device("cpu"))


def test_a_codec_whose_weights_are_zeros_is_refused(tmp_path: Path, engine: "HfEngine") -> None:
    source = builtin("assets", "demo-voice", "codec")
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    zeros = {name: tensor * 0 for name, tensor in torch.load(source / "pytorch_model.bin").items()}
    torch.save(zeros, tmp_path / "pytorch_model.bin")
    with pytest.raises(MachineError, match="not finite numbers"):
        load_codec(tmp_path, engine.layout, torch.device("cpu"))


def test_a_clip_is_settled_by_its_seed_and_nothing_else(codec: Codec, codes: Codes) -> None:
    before = torch.get_rng_state()
    first = codec.decode(codes, 1)
    torch.rand(3)
    codec.decode(codes[:4], 2)
    assert np.array_equal(codec.decode(codes, 1), first)
    assert not np.array_equal(codec.decode(codes, 2), first)
    torch.set_rng_state(before)
    codec.decode(codes, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_loads_meanwhile_changes_no_clip(codec: Codec, codes: Codes) -> None:
    """transformers sets PyTorch's default number format, for all threads, while it builds a model."""
    alone = codec.decode(codes, 5)
    torch.set_default_dtype(torch.bfloat16)
    try:
        meanwhile = codec.decode(codes, 5)
    finally:
        torch.set_default_dtype(torch.float32)
    assert meanwhile.dtype == np.float32
    assert np.array_equal(meanwhile, alone)


def test_a_clip_is_as_long_as_its_frames_but_for_what_the_layout_drops(
    codec: Codec, codes: Codes, engine: "HfEngine", monkeypatch: pytest.MonkeyPatch
) -> None:
    layout: TokenLayout = engine.layout
    whole = codec.decode(codes, 1)
    assert len(whole) == len(codes) * layout.frame_samples - layout.clip_start_samples
    assert len(codec.decode(codes[:0], 1)) == 0
    monkeypatch.setattr(codec, "_layout", replace(layout, clip_start_samples=2048))
    assert np.array_equal(codec.decode(codes, 1), whole[2048:])
