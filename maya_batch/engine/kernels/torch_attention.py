"""Attention in plain PyTorch: of whole prompts, and of one token a sequence if the GPU kernels do not run."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

#: The backends for prompts on a GPU. Not cuDNN: it plans for 70 to 100 ms at each new number and length of prompts,
#: which is almost every pass; planning took a tenth of a ten-hour run.
_PROMPT_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

#: Positions of a block of `_weighted_sum`.
_POSITIONS = 128


def split_heads(
    qkv: torch.Tensor, kv_heads: int, head_dim: int, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Split projected tokens [..., (heads + 2 kv heads) * head_dim] into queries, keys, values [..., heads, head_dim].

    Queries and keys are rotated by the angles of their positions, `cos` and `sin` [..., head_dim].
    """
    parts = qkv.view(*qkv.shape[:-1], -1, head_dim)
    heads = parts.shape[-2] - 2 * kv_heads
    rotating, values = parts[..., : heads + kv_heads, :], parts[..., heads + kv_heads :, :]
    first, second = rotating.chunk(2, dim=-1)
    rotated = rotating * cos.unsqueeze(-2) + torch.cat([-second, first], dim=-1) * sin.unsqueeze(-2)
    return rotated[..., :heads, :], rotated[..., heads:, :], values


def attend_prompt(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Causal attention in each prompt: [prompts, positions, heads, dim] to [prompts * positions, heads * dim].

    Prompts are padded on the right, so no position of a prompt attends to the padding.
    """
    queries, keys, values = queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
    mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
    return mixed.transpose(1, 2).flatten(0, 1).flatten(1)


def prompt_attention(device: torch.device) -> AbstractContextManager[None]:
    """Where `attend_prompt` runs: the way that PyTorch computes it is chosen once for all layers."""
    return sdpa_kernel(_PROMPT_BACKENDS) if device.type == "cuda" else nullcontext()


def attend_cached(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, masked: torch.Tensor
) -> torch.Tensor:
    """Attention of one query a sequence, [sequences, heads, dim], over keys [sequences, kv heads, positions, dim].

    `masked` [sequences, positions] marks positions that a sequence does not have. On a CPU these are plain products,
    whose result for a sequence does not depend on the number of sequences or of masked positions. The result of
    PyTorch's fused attention does.
    """
    sequences, heads, dim = queries.shape
    grouped = queries.view(sequences, keys.shape[1], -1, dim)
    if queries.device.type == "cuda":
        mixed = functional.scaled_dot_product_attention(
            grouped, keys, values, attn_mask=~masked[:, None, None].expand(sequences, *grouped.shape[1:3], -1)
        )
    else:
        scores = torch.matmul(grouped, keys.transpose(-1, -2)).float().mul_(dim**-0.5)
        weights = scores.masked_fill_(masked[:, None, None], -torch.inf).softmax(dim=-1)
        mixed = _weighted_sum(weights.to(values.dtype), values)
    return mixed.reshape(sequences, heads * dim)


def _weighted_sum(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The product of weights [sequences, kv heads, heads a kv head, positions] and values.

    It adds up blocks of one size, filled up with zeros: on some CPUs the rounding of a product depends on how many
    positions it has, also if the last ones weigh nothing.
    """
    total = torch.zeros(())
    for start in range(0, weights.shape[-1], _POSITIONS):
        some, those = weights[..., start : start + _POSITIONS], values[:, :, start : start + _POSITIONS]
        if lacking := _POSITIONS - some.shape[-1]:
            some, those = functional.pad(some, (0, lacking)), functional.pad(those, (0, 0, 0, lacking))
        total = torch.matmul(some, those) if not start else total + torch.matmul(some, those)
    return total
