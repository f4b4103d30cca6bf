"""Evens out the channels of keys, which a cache in 8 bits rounds by one scale for all channels of a head."""

from typing import Any

import torch

from maya_batch.engine.kernels.products import is_plain

#: The most that keys are divided by, as a power of two: float16 holds queries up to 65,504.
_MOST_DOUBLINGS = 6


def even_keys(layer: Any, kv_heads: int, head_dim: int) -> None:
    """Divide the largest channels of a layer's keys by powers of two, and multiply the queries by the same.

    Scores stay the same to the bit, but for numbers that are too small for the format. Keys in 8 bits have one scale
    for all channels of a head, and Llama models have a few channels of far larger keys (KIVI, arXiv:2402.02750), which
    would make the others coarse. How large a channel is, the norm of its weights tells. Both channels that rotation
    mixes have one factor. Weights that are quantized stay as they are.
    """
    queries, keys = layer.self_attn.q_proj, layer.self_attn.k_proj
    if not (is_plain(queries) and is_plain(keys)):
        return
    by_channel = keys.weight.data.view(kv_heads, head_dim, -1)
    norms = (by_channel.float() * layer.input_layernorm.weight.data.float()).norm(dim=-1)
    pairs = norms.view(kv_heads, 2, -1).amax(dim=1)
    larger = pairs / pairs.median(dim=-1, keepdim=True).values.clamp(min=torch.finfo(torch.float32).tiny)
    factors = torch.exp2(larger.log2().round().clamp(0, _MOST_DOUBLINGS)).repeat(1, 2).unsqueeze(-1).to(keys.weight)
    by_channel /= factors
    queries.weight.data.view(kv_heads, -1, head_dim, queries.weight.shape[1]).mul_(factors.unsqueeze(1))
