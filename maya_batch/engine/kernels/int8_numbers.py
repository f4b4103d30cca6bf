"""Numbers in 8 bits with a scale for each vector, in plain PyTorch: the cache's format, and the GPU kernel's reference.

A vector is the key or value of one head at one position. The scale is the largest magnitude divided by 127, so the
rounding error of a number is at most 1/254 of it.
"""

import torch

#: The largest whole number.
_LARGEST = 127


def quantized(numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers [..., size] in int8 and scales [...] in float16 of vectors [..., size].

    A scale is 0 for a vector of zeros, and for one whose numbers are all below 4e-6, which become zeros.
    """
    wide = numbers.float()
    scales = (wide.abs().amax(dim=-1) * (1 / _LARGEST)).half()
    divisors = scales.float()
    divisors = torch.where(divisors > 0, divisors, torch.ones_like(divisors)).unsqueeze(-1)
    whole = (wide / divisors + 0.5).floor().clamp(-_LARGEST, _LARGEST)
    return whole.to(torch.int8), scales


def dequantized(whole: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Vectors [..., size] of whole numbers and their scales, contiguous."""
    return (whole.float() * scales.float().unsqueeze(-1)).to(dtype).contiguous()
