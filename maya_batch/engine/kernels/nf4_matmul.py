"""Multiplies few tokens by 4-bit weights in bitsandbytes' format: a Triton kernel with hand-written PTX.

With the kernel, rendering on an 8 GiB card is 1.6 times as fast. At each upgrade of gemlite or bitsandbytes, measure
theirs again: a library that is as fast replaces this file.

bitsandbytes mostly unpacks a whole matrix into memory for each product, which costs as much for one sequence as for a
hundred. This kernel unpacks in registers: the PTX turns 4-bit numbers into the 16-bit numbers that they stand for.
Measured on an H200, the four products of a layer of Maya1's shape take, in us: 73 here and 229 in bitsandbytes for 25
sequences, 96 and 200 for 48.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl

from maya_batch.engine.kernels.products import Product, separate_products

if TYPE_CHECKING:  # transformers is imported by another thread while this compiles
    from transformers import PreTrainedModel

#: The levels of nf4, as bitsandbytes has them: quantiles of the normal distribution (Dettmers et al., QLoRA, 2023).
#: Repeated here, because the warm-up compiles while another thread imports bitsandbytes, and must not import it.
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)

#: The most tokens for this kernel: 96, in a tile of 128, took longer than in bitsandbytes.
MAX_TOKENS = 64

#: On GPUs older than Ampere, bitsandbytes uses tensor cores and Triton does not.
_CAPABILITY = (8, 0)

#: Weights that share a scale: the default of bitsandbytes and transformers.
_GROUP = 64

#: Columns of one program: the fastest of 16 to 128 for Maya1's products.
_TILE = 64

#: A product with fewer programs for each multiprocessor is split along its width into at most `_MAX_PARTS` parts, whose
#: sums are added by another kernel.
_PROGRAMS, _MAX_PARTS = 3, 8

#: Numbers that one program of the sum computes.
_BLOCK = 1024


def unpacking_ptx(levels: Sequence[float], dtype: torch.dtype) -> str:
    """PTX from four bytes ($4) to the levels of their upper ($0, $1) and lower halves ($2, $3), two to a register.

    `levels` are the sixteen that a number can stand for, `dtype` is float16 or bfloat16.

    `prmt` picks four bytes of eight by the lower three bits of as many numbers. For sixteen levels of two bytes each it
    runs four times: for their high and low bytes, and for the first and the last eight levels; the numbers' fourth bits
    choose between these. With a table in memory instead, products took a third longer.
    """
    numbers = torch.tensor(levels, dtype=dtype).view(torch.int16).numpy().view("<u2")
    bytes_of = {"low": (numbers & 0xFF).astype("u1"), "high": (numbers >> 8).astype("u1")}
    tables = {name: [f"{word:#010x}" for word in table.view("<u4")] for name, table in bytes_of.items()}
    lines = ["{", ".reg .b32 which, last, first8, last8, pick, low, high;"]
    for half in range(2):  # two bytes, which are four numbers
        lines += [
            f"shr.u32 which, $4, {16 * half};",
            "shr.u32 last, which, 3;",
            "and.b32 which, which, 0x7777;",
            "and.b32 last, last, 0x1111;",
            "prmt.b32 pick, 0xFF00, 0, last;",  # all ones in the bytes of the last eight levels
        ]
        for name, (a, b, c, d) in tables.items():
            lines += [
                f"prmt.b32 first8, {a}, {b}, which;",
                f"prmt.b32 last8, {c}, {d}, which;",
                f"lop3.b32 {name}, pick, last8, first8, 0xCA;",  # pick ? last8 : first8, bit by bit
            ]
        # The lower halves of the bytes are the first and the third of four numbers.
        lines += [f"prmt.b32 ${half}, low, high, 0x7351;", f"prmt.b32 ${2 + half}, low, high, 0x6240;"]
    return "\n".join([*lines, "}"])


@triton.jit(do_not_specialize=["count", "groups"])  # one kernel for all sizes of batch and matrix
def _multiply(
    tokens,
    packed,
    scales,
    parts,
    count,
    groups,
    unpacking: tl.constexpr,
    tile: tl.constexpr,
    tall: tl.constexpr,
    kind: tl.constexpr,
):
    """A tile of columns over one part of the width, for all tokens. Tokens are read two numbers at a time."""
    column, token, byte = tl.program_id(0) * tile + tl.arange(0, tile), tl.arange(0, tall), tl.arange(0, 32)
    inside = token < count
    share = groups // tl.num_programs(1)
    first = tl.program_id(1) * share
    total = tl.zeros([tile, tall], tl.float32)
    for group in range(first, first + share):
        weights = tl.load(packed + (column[:, None] * groups + group) * 32 + byte[None, :])
        pairs = tl.load(tokens + (token[None, :] * groups + group) * 32 + byte[:, None], mask=inside[None, :], other=0)
        scale = tl.load(scales + column * groups + group)
        upper, lower = tl.inline_asm_elementwise(
            unpacking, "=r,=r,=r,=r,r", [weights], dtype=(tl.int16, tl.int16), is_pure=True, pack=4
        )
        # The upper half of a byte comes first.
        even = (pairs & 0xFFFF).to(tl.int16).to(kind, bitcast=True)
        odd = (pairs >> 16).to(tl.int16).to(kind, bitcast=True)
        unscaled = tl.dot(upper.to(kind, bitcast=True), even)
        unscaled = tl.dot(lower.to(kind, bitcast=True), odd, unscaled)
        total += unscaled * scale[:, None]
    columns = tl.num_programs(0) * tile
    to = parts + (tl.program_id(1) * count + token[None, :]) * columns + column[:, None]
    tl.store(to, total, mask=inside[None, :])


@triton.jit(do_not_specialize=["size", "count"])
def _add(parts, out, size, count, block: tl.constexpr):
    """The sum of all parts, always in the same order."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < size
    total = tl.zeros([block], tl.float32)
    for part in range(count):
        total += tl.load(parts + part * size + at, mask=inside, other=0.0)
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside)


@dataclass(frozen=True)
class PackedWeight:
    """Concatenated 4-bit weights that multiply the same input."""

    packed: torch.Tensor
    """[columns, width / 2] uint8; the upper half of a byte is the first of its two weights."""
    scales: torch.Tensor
    """[columns, width / 64] float32."""
    unpacking: str
    """PTX that unpacks bytes into numbers."""
    parts: int
    """The number of programs that share a column's width."""

    @classmethod
    def of(cls, modules: Sequence[Any]) -> "PackedWeight | None":
        """The weights of bitsandbytes' `Linear4bit` modules, which keep views of them, so memory holds them once.

        Quantized scales are unpacked once. None if a module has another type or shape, or bitsandbytes is faster on its
        device.
        """
        if not all(_is_packed(module) and _is_fast_on(module.weight.device) for module in modules):
            return None
        if sum(module.out_features for module in modules) % _TILE:
            return None
        states = [module.weight.quant_state for module in modules]
        packed = torch.cat([module.weight.data.view(module.out_features, -1) for module in modules])
        scales = torch.cat([_scales(state).view(state.shape[0], -1) for state in states])
        start = 0
        for module, state in zip(modules, states, strict=True):
            end = start + module.out_features
            module.weight.data = packed[start:end].view(module.weight.shape)
            state.absmax, state.offset, state.state2, state.nested = scales[start:end].view(-1), None, None, False
            start = end
        columns, groups = scales.shape
        processors = torch.cuda.get_device_properties(packed.device).multi_processor_count
        parts = 1
        while parts < _MAX_PARTS and groups % (2 * parts) == 0 and columns // _TILE * parts < _PROGRAMS * processors:
            parts *= 2
        return cls(packed, scales, unpacking_ptx(states[0].code.tolist(), modules[0].compute_dtype), parts)

    def times(self, tokens: torch.Tensor) -> torch.Tensor:
        """Multiply tokens [up to 64, width] by these weights, and sum in float32: [tokens, columns]."""
        count, (columns, groups) = len(tokens), self.scales.shape
        tall = max(16, triton.next_power_of_2(count))
        sums = torch.empty(self.parts, count, columns, dtype=torch.float32, device=tokens.device)
        _multiply[(columns // _TILE, self.parts)](
            *(tokens.contiguous().view(torch.int32), self.packed, self.scales, sums, count, groups),
            unpacking=self.unpacking,
            tile=_TILE,
            tall=tall,
            kind=tl.bfloat16 if tokens.dtype == torch.bfloat16 else tl.float16,
            num_warps=4 if tall > 32 else 2,
            num_stages=3,
        )
        out = torch.empty(count, columns, dtype=tokens.dtype, device=tokens.device)
        _add[(triton.cdiv(out.numel(), _BLOCK),)](
            *(sums, out, out.numel(), self.parts),
            block=_BLOCK,
        )
        return out


def product_of(modules: Sequence[Any]) -> Product:
    """The product with 4-bit modules: by the kernel for few tokens, by the modules for more or for other types."""
    by_modules = separate_products(modules)
    weight = PackedWeight.of(modules)
    if weight is None:
        return by_modules

    def product(tokens: torch.Tensor) -> torch.Tensor:
        return weight.times(tokens) if len(tokens) <= MAX_TOKENS else by_modules(tokens)

    return product


def levels_of(model: "PreTrainedModel") -> list[float] | None:
    """The sixteen levels of a model's 4-bit weights, before scaling; None if it has no 4-bit weights."""
    states = (getattr(getattr(module, "weight", None), "quant_state", None) for module in model.modules())
    return next((state.code.tolist() for state in states if state is not None), None)


def compile_for(levels: Sequence[float], dtype: torch.dtype, device: torch.device) -> None:
    """Compile the kernels for weights with these levels by running them once; errors are raised.

    Kernels cannot compile while a graph is captured. Compiling takes a second, or less with Triton's cache on disk.
    """
    if not _is_fast_on(device):
        return
    packed = torch.zeros(_TILE, _GROUP // 2, dtype=torch.uint8, device=device)
    weight = PackedWeight(packed, torch.zeros(_TILE, 1, device=device), unpacking_ptx(levels, dtype), 1)
    for count in (16, 32, MAX_TOKENS):
        tokens = torch.zeros(count, _GROUP, dtype=dtype, device=device)
        weight.times(tokens)
    torch.cuda.synchronize(device)


def _is_fast_on(device: torch.device) -> bool:
    """Whether this is an NVIDIA GPU, which PTX needs, and recent enough."""
    return torch.version.hip is None and torch.cuda.get_device_capability(device) >= _CAPABILITY


def _is_packed(module: Any) -> bool:
    """Whether a module is a `Linear4bit` whose weights have the layout that the kernel reads."""
    state = getattr(module.weight, "quant_state", None)
    return bool(
        state is not None
        and module.bias is None
        and state.blocksize == _GROUP
        and module.weight.dtype == torch.uint8
        and module.compute_dtype in (torch.float16, torch.bfloat16)
        and tuple(state.shape) == (module.out_features, module.in_features)
        and module.in_features % _GROUP == 0
    )


def _scales(state: Any) -> torch.Tensor:
    """The scales of a weight [columns * width / 64] in float32."""
    from bitsandbytes.functional import dequantize_blockwise

    scales: torch.Tensor = state.absmax
    if state.nested:
        scales = dequantize_blockwise(state.absmax, state.state2) + state.offset
    return scales.float()
