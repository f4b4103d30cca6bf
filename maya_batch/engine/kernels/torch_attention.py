"""Attention in plain PyTorch: over whole prompts anywhere, and of one token a row where the GPU kernels cannot run."""

from contextlib import nullcontext

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

#: What may attend to prompts on a GPU. Not cuDNN: it plans 70 to 100 ms for each number of rows and length not met
#: before, and hardly two prompts' passes are alike; so it took a tenth of a ten-hour run.
_UNPLANNED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def split_heads(
    qkv: torch.Tensor, kv_heads: int, head_dim: int, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Projected tokens [..., (heads + 2 kv heads) * head_dim] as queries, keys and values [..., heads, head_dim].

    Queries and keys are turned by their positions' angles, `cos` and `sin` [..., head_dim].
    """
    parts = qkv.view(*qkv.shape[:-1], -1, head_dim)
    heads = parts.shape[-2] - 2 * kv_heads
    turning, values = parts[..., : heads + kv_heads, :], parts[..., heads + kv_heads :, :]
    first, second = turning.chunk(2, dim=-1)
    turned = turning * cos.unsqueeze(-2) + torch.cat([-second, first], dim=-1) * sin.unsqueeze(-2)
    return turned[..., :heads, :], turned[..., heads:, :], values


def attend_prompt(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Causal attention within each prompt: [rows, positions, heads, head_dim] to [rows * positions, heads * head_dim].

    Prompts are padded behind their ends, where no earlier position looks.
    """
    queries, keys, values = queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
    with sdpa_kernel(_UNPLANNED) if queries.is_cuda else nullcontext():
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
    return mixed.transpose(1, 2).flatten(0, 1).flatten(1)


def attend_cached(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Attention of one query a row [rows, heads, head_dim] over its keys [rows, kv heads, positions, head_dim].

    `hidden` [rows, positions] marks what a row has not got. Plain products, since on a CPU their outcome for a row does
    not depend on how many rows there are, nor on how many positions are hidden; that of PyTorch's fused attention does.
    """
    rows, heads, dim = queries.shape
    grouped = queries.view(rows, keys.shape[1], -1, dim)
    if queries.device.type == "cuda":
        mixed = functional.scaled_dot_product_attention(
            grouped, keys, values, attn_mask=~hidden[:, None, None].expand(rows, *grouped.shape[1:3], -1)
        )
    else:
        scores = torch.matmul(grouped, keys.transpose(-1, -2)).float().mul_(dim**-0.5)
        weights = scores.masked_fill_(hidden[:, None, None], -torch.inf).softmax(dim=-1)
        mixed = torch.matmul(weights.to(values.dtype), values)
    return mixed.reshape(rows, heads * dim)
