"""Few tokens in 8 bits, with a scale for each block of 256 numbers, in plain PyTorch: what 4-bit weights multiply.

A number is rounded by at most 1/254 of the largest in its block, so one large number leaves the other blocks as they
are. llama.cpp rounds tokens in the same way (its Q8_K).
"""

from dataclasses import dataclass

import torch

#: Numbers of a token that share a scale.
BLOCK = 256

#: Numbers of tokens that the kernel multiplies; fewer are filled up.
COUNTS = (16, 32, 48, 64, 96, 128)

#: The largest whole number.
LARGEST = 127


@dataclass(frozen=True)
class Int8Tokens:
    """`count` tokens, and behind them whatever fills up to one of `COUNTS`."""

    values: torch.Tensor
    """Whole numbers [filled up, width] in int8, the two of each pair exchanged, as in a byte of bitsandbytes."""
    scales: torch.Tensor
    """What 1 stands for, [width / 256, filled up] in float32."""
    count: int

    @classmethod
    def empty(cls, count: int, width: int, device: torch.device) -> "Int8Tokens":
        """Room for `count` tokens, at most the last of `COUNTS`; `width` is a multiple of 256."""
        rows = next(rows for rows in COUNTS if rows >= count)
        values = torch.empty(rows, width, dtype=torch.int8, device=device)
        return cls(values, torch.empty(width // BLOCK, rows, device=device), count)


def quantized(tokens: torch.Tensor) -> Int8Tokens:
    """Tokens [count, width] in 8 bits."""
    count, width = tokens.shape
    made = Int8Tokens.empty(count, width, tokens.device)
    blocks = tokens.float().view(count, -1, BLOCK)
    scales = (blocks.abs().amax(dim=-1) / LARGEST).clamp(min=1e-30)
    whole = (blocks / scales.unsqueeze(-1) + 0.5).floor().to(torch.int8)
    made.values[:count] = whole.view(count, -1, 2).flip(-1).reshape(count, width)
    made.scales[:, :count] = scales.t()
    return made


def dequantized(tokens: Int8Tokens) -> torch.Tensor:
    """The tokens [count, width] that these stand for, in float32."""
    values = tokens.values[: tokens.count].float().view(tokens.count, -1, 2).flip(-1)
    blocks = values.reshape(tokens.count, -1, BLOCK) * tokens.scales[:, : tokens.count].t().unsqueeze(-1)
    return blocks.view(tokens.count, -1)
