"""Numbers in FP8 (e4m3) with a scale for each row, in plain PyTorch: the format of `quantization: fp8`.

e4m3 has three bits behind the leading one, so a number is rounded by at most 1/16 of it, if it is at least a 28,000th
of the largest in its row.
"""

import torch

#: The largest number of e4m3.
LARGEST = 448.0

#: The least scale: that of a row of zeros.
_LEAST = 1e-30


def quantized(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers [..., width] in FP8, and scales [...] in float32, of rows [..., width]."""
    wide = rows.float()
    scales = (wide.abs().amax(dim=-1) / LARGEST).clamp(min=_LEAST)
    return (wide / scales.unsqueeze(-1)).to(torch.float8_e4m3fn), scales


def dequantized(numbers: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Rows [..., width] in float32."""
    return numbers.float() * scales.unsqueeze(-1)
