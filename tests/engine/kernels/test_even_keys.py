"""Key channels that are far larger than the others are brought to one size, which changes no score."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import Linear, RMSNorm

from maya_batch.engine.kernels.even_keys import even_keys
from maya_batch.engine.kernels.int8_numbers import dequantized, quantized
from maya_batch.engine.kernels.torch_attention import attend_prompt, split_heads

HEADS, KV_HEADS, DIM, HIDDEN, TOKENS = 6, 2, 16, 48, 40


def layer(large: float, dtype: torch.dtype = torch.float32) -> SimpleNamespace:
    """A layer whose keys have a channel of this size in each head, with its partner of the rotation."""
    torch.manual_seed(0)
    norm = RMSNorm(HIDDEN)
    norm.weight.data = torch.rand(HIDDEN) + 0.5
    query, key = (Linear(HIDDEN, heads * DIM, bias=False, dtype=dtype) for heads in (HEADS, KV_HEADS))
    for head in range(KV_HEADS):
        for channel in (3 + head, 3 + head + DIM // 2):
            key.weight.data[head * DIM + channel] *= large
    return SimpleNamespace(self_attn=SimpleNamespace(q_proj=query, k_proj=key), input_layernorm=norm)


def attended(made: SimpleNamespace, in_8_bits: bool = False) -> torch.Tensor:
    """Attention's output for random tokens, whose values are random, too; keys may be rounded."""
    drawn = torch.Generator().manual_seed(1)
    weights = [made.self_attn.q_proj.weight.data, made.self_attn.k_proj.weight.data]
    tokens = made.input_layernorm(torch.randn(1, TOKENS, HIDDEN, generator=drawn)).to(weights[0].dtype)
    values = torch.randn(1, TOKENS, KV_HEADS * DIM, generator=drawn).to(tokens)
    angles = torch.rand(TOKENS, DIM // 2, generator=drawn).repeat(1, 2).to(tokens) * 6
    qkv = torch.cat([*(tokens @ weight.T for weight in weights), values], dim=-1)
    queries, keys, own = split_heads(qkv, KV_HEADS, DIM, angles.cos(), angles.sin())
    if in_8_bits:
        keys = dequantized(*quantized(keys), keys.dtype)
    return attend_prompt(queries, keys, own).detach()


@pytest.mark.parametrize("large", [1.0, 8.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_bit_of_the_output_changes(large: float, dtype: torch.dtype) -> None:
    made = layer(large, dtype)
    before = attended(made)
    even_keys(made, KV_HEADS, DIM)
    assert torch.equal(attended(made), before)


@pytest.mark.parametrize("large", [8.0, 30.0])
def test_8_bits_are_as_exact_as_without_large_channels(large: float) -> None:
    made = layer(large)
    exact = attended(made)
    before = (attended(made, in_8_bits=True) - exact).norm()
    even_keys(made, KV_HEADS, DIM)
    after = (attended(made, in_8_bits=True) - exact).norm()
    assert after < 0.6 * before
    assert after < 0.01 * exact.norm()


def test_channels_of_one_size_stay_as_they_are() -> None:
    made = layer(1.0)
    weights = [part.weight.data.clone() for part in (made.self_attn.q_proj, made.self_attn.k_proj)]
    even_keys(made, KV_HEADS, DIM)
    assert torch.equal(made.self_attn.q_proj.weight.data, weights[0])
    assert torch.equal(made.self_attn.k_proj.weight.data, weights[1])


def test_weights_of_zeros_and_quantized_ones_are_left_alone() -> None:
    made = layer(1.0)
    made.self_attn.k_proj.weight.data.zero_()
    even_keys(made, KV_HEADS, DIM)
    assert made.self_attn.k_proj.weight.isfinite().all()
    assert made.self_attn.q_proj.weight.isfinite().all()
    with_bias = layer(30.0)
    with_bias.self_attn.k_proj = Linear(HIDDEN, KV_HEADS * DIM)
    before = with_bias.self_attn.q_proj.weight.data.clone()
    even_keys(with_bias, KV_HEADS, DIM)
    assert torch.equal(with_bias.self_attn.q_proj.weight.data, before)
