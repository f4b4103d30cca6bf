"""GPU kernels, in Triton, that compute one token a program: adding and normalizing, the gate, and rounding to 8 bits.

A product in FP8 comes without its scales, that of its token and that of its column: the kernel that reads it next
multiplies them, which costs nothing there, while a product with such scales took cuBLAS 1.3 times as long (H200).
"""

from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from maya_batch.engine.kernels import fp8_numbers, int8_tokens
from maya_batch.engine.kernels.int8_tokens import Int8Tokens

_LARGEST_FP8, _LARGEST_INT8 = tl.constexpr(fp8_numbers.LARGEST), tl.constexpr(int8_tokens.LARGEST)
_INT8_BLOCK = tl.constexpr(int8_tokens.BLOCK)


class Fp8Tokens(NamedTuple):
    """Tokens [tokens, width] in FP8, and their scales [tokens] in float32."""

    values: torch.Tensor
    scales: torch.Tensor


class UnscaledProduct(NamedTuple):
    """A product [tokens, width] that is still to be multiplied by scales of tokens [tokens] and columns [width]."""

    values: torch.Tensor
    token_scales: torch.Tensor
    column_scales: torch.Tensor


@triton.jit
def _store_row(numbers, out, out_scales, scale_stride, token, width, at, inside, form: tl.constexpr):
    """Write a token: in FP8 with its scale, in int8 with the scales of its blocks, or as it is."""
    if form == "int8":
        blocks = tl.reshape(numbers, [numbers.shape[0] // _INT8_BLOCK, _INT8_BLOCK])
        scale = tl.maximum(tl.max(tl.abs(blocks), 1) / _LARGEST_INT8, 1e-30)
        # int8 has no NaN, so its block's scale has to say that there is one.
        scale = tl.where(tl.max((blocks != blocks).to(tl.int32), 1) > 0, float("nan"), scale)
        whole = tl.reshape(tl.floor(blocks / scale[:, None] + 0.5), [numbers.shape[0]])
        tl.store(out + token * width + (at ^ 1), whole.to(tl.int8), mask=inside)
        block = tl.arange(0, numbers.shape[0] // _INT8_BLOCK)
        tl.store(out_scales + block * scale_stride + token, scale, mask=block < width // _INT8_BLOCK)
    elif form == "fp8":
        scale = tl.maximum(tl.max(tl.abs(numbers), 0) / _LARGEST_FP8, 1e-30)
        tl.store(out + token * width + at, (numbers / scale).to(tl.float8e4nv), mask=inside)
        tl.store(out_scales + token, scale)
    else:
        tl.store(out + token * width + at, numbers.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _add_norm(
    hidden,
    added,
    token_scales,
    column_scales,
    weight,
    out,
    out_scales,
    scale_stride,
    width,
    epsilon,
    adds: tl.constexpr,
    scaled: tl.constexpr,
    form: tl.constexpr,
    block: tl.constexpr,
):
    """Add a product to a token, in place, and write its norm."""
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    inside = at < width
    numbers = tl.load(hidden + token * width + at, mask=inside, other=0.0).to(tl.float32)
    if adds:
        more = tl.load(added + token * width + at, mask=inside, other=0.0).to(tl.float32)
        if scaled:
            more *= tl.load(token_scales + token) * tl.load(column_scales + at, mask=inside, other=0.0)
        rounded = (numbers + more).to(hidden.dtype.element_ty)
        tl.store(hidden + token * width + at, rounded, mask=inside)
        numbers = rounded.to(tl.float32)
    mean = tl.sum(numbers * numbers, 0) / width
    numbers = numbers * tl.rsqrt(mean + epsilon) * tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    _store_row(numbers, out, out_scales, scale_stride, token, width, at, inside, form)


@triton.jit
def _gate_rounded(
    gate_up,
    token_scales,
    column_scales,
    out,
    out_scales,
    scale_stride,
    width,
    scaled: tl.constexpr,
    form: tl.constexpr,
    block: tl.constexpr,
):
    """silu(gate) * up of a token, rounded."""
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    inside = at < width
    row = gate_up + token * 2 * width + at
    gate = tl.load(row, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(row + width, mask=inside, other=0.0).to(tl.float32)
    if scaled:
        scale = tl.load(token_scales + token)
        gate *= scale * tl.load(column_scales + at, mask=inside, other=0.0)
        up *= scale * tl.load(column_scales + width + at, mask=inside, other=0.0)
    _store_row(gate * tl.sigmoid(gate) * up, out, out_scales, scale_stride, token, width, at, inside, form)


@triton.jit
def _round(tokens, out, out_scales, scale_stride, width, form: tl.constexpr, block: tl.constexpr):
    """A token, rounded."""
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    inside = at < width
    numbers = tl.load(tokens + token * width + at, mask=inside, other=0.0).to(tl.float32)
    _store_row(numbers, out, out_scales, scale_stride, token, width, at, inside, form)


@triton.jit
def _rescale(product, token_scales, column_scales, width, block: tl.constexpr):
    """Multiply a token's product by its scales, in place."""
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    inside = at < width
    numbers = tl.load(product + token * width + at, mask=inside, other=0.0).to(tl.float32)
    numbers *= tl.load(token_scales + token) * tl.load(column_scales + at, mask=inside, other=0.0)
    tl.store(product + token * width + at, numbers.to(product.dtype.element_ty), mask=inside)


def add_norm(hidden: torch.Tensor, added: torch.Tensor | UnscaledProduct | None, norm: Any) -> torch.Tensor:
    """Add a product to `hidden` [tokens, width], in place, and return `hidden` normalized by transformers' `norm`."""
    out = torch.empty_like(hidden)
    _run_add_norm(hidden, added, norm, (out, None, 0), "plain")
    return out


def add_norm_fp8(hidden: torch.Tensor, added: UnscaledProduct | None, norm: Any) -> Fp8Tokens:
    """As `add_norm`, in FP8."""
    out = _fp8_like(hidden, hidden.shape[1])
    _run_add_norm(hidden, added, norm, (*out, 0), "fp8")
    return out


def add_norm_int8(hidden: torch.Tensor, added: torch.Tensor | None, norm: Any) -> Int8Tokens:
    """As `add_norm`, in int8."""
    out = Int8Tokens.empty(len(hidden), hidden.shape[1], hidden.device)
    _run_add_norm(hidden, added, norm, _places(out), "int8")
    return out


def _run_add_norm(
    hidden: torch.Tensor,
    added: torch.Tensor | UnscaledProduct | None,
    norm: Any,
    places: tuple[torch.Tensor, torch.Tensor | None, int],
    form: str,
) -> None:
    tokens, width = hidden.shape
    scaled = isinstance(added, UnscaledProduct)
    sources = added if isinstance(added, UnscaledProduct) else (added, None, None)
    _add_norm[(tokens,)](
        *(hidden, *sources, norm.weight, *places, width, norm.variance_epsilon),
        adds=added is not None,
        scaled=scaled,
        form=form,
        block=triton.next_power_of_2(width),
        num_warps=8,
    )


def gate_fp8(gate_up: UnscaledProduct) -> Fp8Tokens:
    """silu(gate) * up [tokens, width] of gate and up [tokens, 2 * width], in FP8."""
    tokens, width = gate_up.values.shape[0], gate_up.values.shape[1] // 2
    out, block = _fp8_like(gate_up.values, width), triton.next_power_of_2(width)
    _gate_rounded[(tokens,)](*gate_up, *out, 0, width, scaled=True, form="fp8", block=block, num_warps=16)
    return out


def gate_int8(gate_up: torch.Tensor) -> Int8Tokens:
    """silu(gate) * up [tokens, width] of gate and up [tokens, 2 * width], in int8."""
    tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
    out, block = Int8Tokens.empty(tokens, width, gate_up.device), triton.next_power_of_2(width)
    sources = (gate_up, None, None)
    _gate_rounded[(tokens,)](*sources, *_places(out), width, scaled=False, form="int8", block=block, num_warps=16)
    return out


def to_fp8(tokens: torch.Tensor) -> Fp8Tokens:
    """Tokens [tokens, width] in FP8."""
    count, width = tokens.shape
    out = _fp8_like(tokens, width)
    _round[(count,)](tokens, *out, 0, width, form="fp8", block=triton.next_power_of_2(width), num_warps=8)
    return out


def to_int8(tokens: torch.Tensor) -> Int8Tokens:
    """Tokens [tokens, width] in int8."""
    count, width = tokens.shape
    out = Int8Tokens.empty(count, width, tokens.device)
    _round[(count,)](tokens, *_places(out), width, form="int8", block=triton.next_power_of_2(width), num_warps=8)
    return out


def rescaled(product: UnscaledProduct) -> torch.Tensor:
    """A product times its scales, in the same memory."""
    tokens, width = product.values.shape
    _rescale[(tokens,)](*product, width, block=triton.next_power_of_2(width), num_warps=8)
    return product.values


def compile_for(hidden: int, dtype: torch.dtype, device: torch.device, form: str) -> None:
    """Compile the kernels for a model's size by running them once; errors are raised.

    `form` is that of the tokens that weights multiply: `plain`, `fp8` or `int8`.
    """
    tokens, weight = torch.zeros(2, hidden, dtype=dtype, device=device), torch.ones(hidden, device=device)
    norm = SimpleNamespace(weight=weight.to(dtype), variance_epsilon=1e-5)
    for added in (None, tokens):
        add_norm(tokens, added, norm)
    if form == "int8":
        for added in (None, tokens):
            add_norm_int8(tokens, added, norm)
        to_int8(tokens)
    if form == "fp8":
        product = UnscaledProduct(tokens, torch.ones(2, device=device), weight)
        add_norm_fp8(tokens, None, norm)
        add_norm_fp8(tokens, product, norm)
        add_norm(tokens, product, norm)
        to_fp8(rescaled(product))
    # The gate compiles with its own width, in the first frame that is not captured.
    torch.cuda.synchronize(device)


def _places(tokens: Int8Tokens) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Where a kernel writes tokens, and the distance of a token's scales."""
    return tokens.values, tokens.scales, len(tokens.values)


def _fp8_like(tokens: torch.Tensor, width: int) -> Fp8Tokens:
    values = torch.empty(len(tokens), width, dtype=torch.float8_e4m3fn, device=tokens.device)
    return Fp8Tokens(values, torch.empty(len(tokens), dtype=torch.float32, device=tokens.device))
