"""GPU kernels of SNAC's decoder, in Triton: its activation, and a residual unit up to its last product, or whole.

All take `valid`, one whole number on the GPU: the steps of the decoder's input that are there. What is behind them
counts as zero, as behind the end of a clip, so that one CUDA graph decodes clips of several lengths.
"""

from typing import Any

import torch
import triton
import triton.language as tl

#: The taps of a residual unit's convolution.
TAPS = 7

#: Numbers of a channel that one program computes.
_BLOCK = 512

#: Samples of all channels that one program of a whole unit computes, and the channels that it holds at most.
_TILE, _MOST_CHANNELS = 64, 128


@triton.jit
def _snake(x, alpha, inverse):
    """SNAC's activation. The hardware's sine is exact to 5e-7 between -pi and pi; Triton's takes ten times as long."""
    angle = alpha * x
    turns = (angle * 0.15915494309189535 + 12582912.0) - 12582912.0  # rounded by the sum; an instruction takes longer
    angle = angle - turns * 6.28125  # 2 pi in two parts: the first is exact, times any whole number that occurs
    angle = angle - turns * 0.0019353071795864769
    waved = tl.inline_asm_elementwise("sin.approx.f32 $0, $1;", "=f,f", [angle], dtype=tl.float32, is_pure=True, pack=1)
    return x + waved * waved * inverse


@triton.jit(do_not_specialize=["length", "rate"])
def _activate(hidden, out, alpha, inverse, valid, length, rate, block: tl.constexpr):
    """The activation of one channel's samples; those that are not valid become zero."""
    channel = tl.program_id(1)
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < length
    x = tl.load(hidden + channel * length + at, mask=at < tl.load(valid) * rate, other=0.0)
    made = _snake(x, tl.load(alpha + channel), tl.load(inverse + channel))
    tl.store(out + channel * length + at, made, mask=inside)


@triton.jit(do_not_specialize=["length", "rate", "dilation"])  # one kernel for all units
def _convolve(
    hidden,
    out,
    alpha,
    inverse,
    weight,
    bias,
    second_alpha,
    second_inverse,
    valid,
    length,
    rate,
    dilation,
    taps: tl.constexpr,
    block: tl.constexpr,
):
    """Activation, depthwise convolution and activation of one channel's samples."""
    channel = tl.program_id(1)
    at = tl.program_id(0) * block + tl.arange(0, block)
    end = tl.load(valid) * rate
    a, b = tl.load(alpha + channel), tl.load(inverse + channel)
    total = tl.zeros([block], tl.float32) + tl.load(bias + channel)
    for tap in tl.static_range(taps):
        where = at + (tap - taps // 2) * dilation
        x = tl.load(hidden + channel * length + where, mask=(where >= 0) & (where < end), other=0.0)
        total += tl.load(weight + channel * taps + tap) * _snake(x, a, b)
    made = _snake(total, tl.load(second_alpha + channel), tl.load(second_inverse + channel))
    tl.store(out + channel * length + at, made, mask=at < length)


@triton.jit(do_not_specialize=["length", "rate", "dilation"])  # one kernel for all units
def _whole_unit(
    hidden,
    out,
    alpha,
    inverse,
    weight,
    bias,
    second_alpha,
    second_inverse,
    product,
    product_bias,
    valid,
    length,
    rate,
    dilation,
    taps: tl.constexpr,
    channels: tl.constexpr,
    tile: tl.constexpr,
):
    """A residual unit: activation, depthwise convolution, activation, product of the channels, and the sum."""
    channel = tl.arange(0, channels)
    at = tl.program_id(0) * tile + tl.arange(0, tile)
    end = tl.load(valid) * rate
    a, b = tl.load(alpha + channel)[:, None], tl.load(inverse + channel)[:, None]
    row = channel[:, None] * length
    total = tl.zeros([channels, tile], tl.float32) + tl.load(bias + channel)[:, None]
    for tap in tl.static_range(taps):
        where = (at + (tap - taps // 2) * dilation)[None, :]
        x = tl.load(hidden + row + where, mask=(where >= 0) & (where < end), other=0.0)
        total += tl.load(weight + channel * taps + tap)[:, None] * _snake(x, a, b)
    total = _snake(total, tl.load(second_alpha + channel)[:, None], tl.load(second_inverse + channel)[:, None])
    matrix = tl.load(product + channel[:, None] * channels + channel[None, :])
    mixed = tl.dot(matrix, total, input_precision="tf32") + tl.load(product_bias + channel)[:, None]
    inside = at[None, :] < length
    before = tl.load(hidden + row + at[None, :], mask=inside, other=0.0)
    tl.store(out + row + at[None, :], before + mixed, mask=inside)


class Activation:
    """SNAC's activation of hidden [1, channels, samples], at `rate` samples a step."""

    def __init__(self, alpha: torch.Tensor, rate: int) -> None:
        """`alpha` has a number for each channel."""
        self.alpha = alpha.detach().flatten().contiguous()
        self.inverse = (self.alpha + 1e-9).reciprocal()
        self._rate = rate

    def __call__(self, hidden: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Its values; zero where samples are not valid."""
        _, channels, length = hidden.shape
        out = torch.empty_like(hidden)
        grid = (triton.cdiv(length, _BLOCK), channels)
        _activate[grid](hidden, out, self.alpha, self.inverse, valid, length, self._rate, block=_BLOCK)
        return out


class FusedUnit:
    """A residual unit of hidden [1, channels, samples], at `rate` samples a step."""

    def __init__(self, parts: Any, rate: int) -> None:
        """`parts` are activation, depthwise convolution of `TAPS` taps, activation and product."""
        first, convolution, second, product = parts
        self._first, self._second = Activation(first.alpha, rate), Activation(second.alpha, rate)
        self._product, self._rate, self._dilation = product, rate, convolution.dilation[0]
        self._weight, self._bias = _numbers(convolution)
        self._matrix, self._matrix_bias = _numbers(product)
        channels = product.in_channels
        self._whole = 16 <= channels <= _MOST_CHANNELS and channels & (channels - 1) == 0

    def __call__(self, hidden: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """The unit's output, of the shape of `hidden`. Samples that are not valid are of no meaning."""
        _, channels, length = hidden.shape
        out, first, second = torch.empty_like(hidden), self._first, self._second
        given = (hidden, out, first.alpha, first.inverse, self._weight, self._bias, second.alpha, second.inverse)
        if self._whole:
            _whole_unit[(triton.cdiv(length, _TILE),)](
                *(*given, self._matrix, self._matrix_bias, valid, length, self._rate, self._dilation),
                taps=TAPS,
                channels=channels,
                tile=_TILE,
                num_warps=8 if channels > 64 else 4,
            )
            return out
        _convolve[(triton.cdiv(length, _BLOCK), channels)](
            *(*given, valid, length, self._rate, self._dilation), taps=TAPS, block=_BLOCK
        )
        mixed: torch.Tensor = self._product(out)
        return mixed.add_(hidden)


def _numbers(convolution: torch.nn.Conv1d) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight and the bias of a convolution."""
    if convolution.bias is None:
        raise ValueError("a convolution without a bias")
    return convolution.weight.detach().contiguous(), convolution.bias.detach().contiguous()
