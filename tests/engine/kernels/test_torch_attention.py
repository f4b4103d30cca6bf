import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from maya_batch.engine.kernels.torch_attention import attend_cached, attend_prompt, split_heads

SHAPES = [(6, 2, 64), (24, 8, 128), (4, 4, 16)]
"""Heads, kv heads and head_dim: of the demo voice, of Maya1, and one without shared keys."""

shapes = pytest.mark.parametrize(("heads", "kv_heads", "dim"), SHAPES)


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """One query a sequence over its first keys, head by head in double precision: [sequences, heads * head_dim]."""
    sequences, heads, dim = queries.shape
    shared = heads // keys.shape[1]
    out = torch.zeros(sequences, heads, dim, dtype=torch.float64)
    for sequence, length in enumerate(lengths):
        for head in range(heads):
            known = keys[sequence, head // shared, :length].double()
            scores = known @ queries[sequence, head].double() / math.sqrt(dim)
            weights = (scores - scores.max()).exp()
            out[sequence, head] = (weights / weights.sum()) @ values[sequence, head // shared, :length].double()
    return out.flatten(1)


def attended(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: list[int],
    sequences: int,
    max_context: int,
) -> torch.Tensor:
    """The first sequences, over so many positions of a longer cache."""
    masked = torch.arange(max_context) >= torch.tensor(lengths[:sequences]).unsqueeze(1)
    return attend_cached(
        queries[:sequences], keys[:sequences, :, :max_context], values[:sequences, :, :max_context], masked
    )


@shapes
@pytest.mark.parametrize("max_context", [1, 33, 500])
def test_each_sequence_attends_to_what_it_has(heads: int, kv_heads: int, dim: int, max_context: int) -> None:
    lengths = [max_context, 1, max_context // 2 + 1]
    queries, pool = random(1, 3, heads, dim) * 2, random(2, 2, 3, kv_heads, 512, dim)
    found = attended(queries, pool[0], pool[1], lengths, 3, max_context)
    torch.testing.assert_close(found.double(), reference(queries, pool[0], pool[1], lengths), rtol=1e-5, atol=1e-6)


def test_bfloat16_is_as_exact_as_its_numbers() -> None:
    queries, pool = random(1, 2, 6, 64).bfloat16(), random(2, 2, 2, 2, 300, 64).bfloat16()
    found = attended(queries, pool[0], pool[1], [300, 100], 2, 300)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), reference(queries, pool[0], pool[1], [300, 100]), rtol=2e-2, atol=5e-3)


@shapes
@pytest.mark.parametrize("seed", range(6))
def test_neighbours_change_no_bit(heads: int, kv_heads: int, dim: int, seed: int) -> None:
    """Neither the number of sequences, nor the length of the longest, in steps of a cache line, changes a sequence."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 900, (16,), generator=generator).tolist()
    queries, pool = random(10 + seed, 16, heads, dim) * 2, random(20 + seed, 2, 17, kv_heads, 1024, dim)
    keys, values = pool[0, 1:], pool[1, 1:]
    whole = attended(queries, keys, values, lengths, 16, 1024)
    for sequences in (1, 8, 16):
        least = -(-max(lengths[:sequences]) // 16) * 16
        for max_context in {least, min(least + 16, 1024), min(least + 80, 1024), 1008}:
            assert torch.equal(attended(queries, keys, values, lengths, sequences, max_context), whole[:sequences])


@shapes
def test_masked_positions_can_hold_anything(heads: int, kv_heads: int, dim: int) -> None:
    queries, pool = random(1, 2, heads, dim), random(2, 2, 2, kv_heads, 48, dim)
    plain = attended(queries, pool[0], pool[1], [40, 7], 2, 48)
    pool[:, 0, :, 40:] = 1e6
    pool[:, 1, :, 7:] = -1e6
    assert torch.equal(attended(queries, pool[0], pool[1], [40, 7], 2, 48), plain)


@shapes
def test_heads_are_rotated_as_transformers_rotates_them(heads: int, kv_heads: int, dim: int) -> None:
    config = LlamaConfig(
        hidden_size=heads * dim,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=dim,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    sequences, positions = 2, torch.tensor([0, 1, 7, 300, 4095])
    cos, sin = LlamaRotaryEmbedding(config)(torch.empty(0), positions.unsqueeze(0))
    qkv = random(3, sequences, len(positions), (heads + 2 * kv_heads) * dim)
    queries, keys, values = split_heads(qkv, kv_heads, dim, cos[0], sin[0])
    parts = torch.tensor_split(qkv, [heads * dim, (heads + kv_heads) * dim], dim=-1)
    q, k, v = (part.reshape(sequences, len(positions), -1, dim).transpose(1, 2) for part in parts)
    theirs_q, theirs_k = apply_rotary_pos_emb(q, k, cos, sin)
    torch.testing.assert_close(queries, theirs_q.transpose(1, 2), rtol=0, atol=1e-6)
    torch.testing.assert_close(keys, theirs_k.transpose(1, 2), rtol=0, atol=1e-6)
    assert torch.equal(values, v.transpose(1, 2))


def test_heads_of_single_tokens_are_those_of_a_prompt() -> None:
    """A step has one token a sequence, each at its own position, without a dimension for positions."""
    qkv, angles = random(4, 5, (6 + 4) * 64), random(5, 5, 64)
    alone = split_heads(qkv, 2, 64, angles.cos(), angles.sin())
    together = split_heads(qkv.unsqueeze(0), 2, 64, angles.cos(), angles.sin())
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other[0])


@shapes
def test_a_prompt_attends_to_what_came_before(heads: int, kv_heads: int, dim: int) -> None:
    sequences, positions = 2, 19
    queries = random(6, sequences, positions, heads, dim)
    keys, values = random(7, 2, sequences, positions, kv_heads, dim)
    found = attend_prompt(queries, keys, values).view(sequences, positions, heads * dim)
    for position in range(positions):
        wanted = reference(
            queries[:, position], keys.transpose(1, 2), values.transpose(1, 2), [position + 1] * sequences
        )
        torch.testing.assert_close(found[:, position].double(), wanted, rtol=1e-5, atol=1e-6)


def test_a_prompt_does_not_see_the_padding_behind_it() -> None:
    queries, pool = random(8, 2, 20, 6, 64), random(9, 2, 2, 20, 2, 64)
    plain = attend_prompt(queries, pool[0], pool[1]).view(2, 20, -1)
    pool[:, :, 12:] = 50
    changed = attend_prompt(queries, pool[0], pool[1]).view(2, 20, -1)
    torch.testing.assert_close(changed[:, :12], plain[:, :12], rtol=0, atol=1e-6)
    assert not torch.allclose(changed[:, 12:], plain[:, 12:])
