"""Multiplies few tokens by 4-bit weights in bitsandbytes' format: a Triton kernel with hand-written PTX.

With the kernel, rendering on an 8 GiB card is 1.6 times as fast. At each upgrade of gemlite or bitsandbytes, measure
theirs again: a library that is as fast replaces this file.

bitsandbytes mostly unpacks a whole matrix into memory for each product, which costs as much for one sequence as for a
hundred. This kernel unpacks in registers: the PTX turns 4-bit numbers into the 16-bit numbers that they stand for.
Measured on an H200, the four products of a layer of Maya1's shape take, in us: 70 here and 229 in bitsandbytes for 25
sequences, 81 and 200 for 48.
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

#: The most tokens for this kernel: more fill a tile of 128, in which 96 take half as long again as 64.
MAX_TOKENS = 64

#: On GPUs older than Ampere, bitsandbytes uses tensor cores and Triton does not.
_CAPABILITY = (8, 0)

#: Weights that share a scale: the default of bitsandbytes and transformers.
_GROUP = 64

#: Columns of one program: the fastest of 16 to 128 for Maya1's products.
_TILE = 64

#: A product with fewer programs for each multiprocessor is split along its width into at most `_MAX_PARTS` parts.
_PROGRAMS, _MAX_PARTS = 3, 8

#: PTX that looks four numbers up. `prmt` picks four bytes of eight by the lower three bits of each number. The sixteen
#: entries have two bytes each, so it runs four times: for low and high bytes, and for the first and last eight entries;
#: the fourth bits choose between these. With a table in memory instead, products took a third longer.
_FOUR_NUMBERS = """prmt.b32 pick, 0xFF00, 0, last;
prmt.b32 first8, $5, $6, which;
prmt.b32 last8, $7, $8, which;
lop3.b32 low, pick, last8, first8, 0xCA;
prmt.b32 first8, $9, $10, which;
prmt.b32 last8, $11, $12, which;
lop3.b32 high, pick, last8, first8, 0xCA;
prmt.b32 ${}, low, high, 0x4051;
prmt.b32 ${}, low, high, 0x6273;"""

#: PTX from eight 4-bit numbers ($4) to the 16-bit numbers that they stand for ($0 to $3, two each). A byte's upper half
#: comes first. The table is split into low bytes ($5 to $8) and high bytes ($9 to $12).
UNPACKING = f"""{{
.reg .b32 which, last, pick, first8, last8, low, high;
and.b32 which, $4, 0x77777777;
shr.u32 last, $4, 3;
and.b32 last, last, 0x11111111;
{_FOUR_NUMBERS.format(0, 1)}
shr.u32 which, which, 16;
shr.u32 last, last, 16;
{_FOUR_NUMBERS.format(2, 3)}
}}"""


def table_of(levels: Sequence[float], dtype: torch.dtype) -> torch.Tensor:
    """The tables of `UNPACKING` for sixteen levels in a 16-bit `dtype`: int32 [8], four bytes each."""
    numbers = torch.tensor(levels, dtype=dtype).view(torch.uint8).view(16, 2)
    return numbers.T.contiguous().view(torch.int32).flatten()


@triton.jit(do_not_specialize=["count", "groups"])  # one kernel for all sizes of batch and matrix
def _multiply(
    tokens,
    packed,
    scales,
    table,
    parts,
    done,
    out,
    count,
    groups,
    unpacking: tl.constexpr,
    tile: tl.constexpr,
    tall: tl.constexpr,
):
    """A tile of columns over one part of the width, for all tokens. The last of a tile's programs adds their sums."""
    column, token = tl.program_id(0) * tile + tl.arange(0, tile), tl.arange(0, tall)
    word, number = tl.arange(0, 8), tl.arange(0, 64)
    inside = token < count
    share = groups // tl.num_programs(1)
    first = tl.program_id(1) * share
    # In registers: as constants they would be copied there in each round.
    low0, low1, low2, low3 = tl.load(table), tl.load(table + 1), tl.load(table + 2), tl.load(table + 3)
    high0, high1, high2, high3 = tl.load(table + 4), tl.load(table + 5), tl.load(table + 6), tl.load(table + 7)
    packed_at = packed + (column[:, None] * groups + first) * 8 + word[None, :]
    tokens_at = tokens + (token[:, None] * groups + first) * 64 + number[None, :]
    scales_at = scales + column * groups + first
    total = tl.zeros([tile, tall], tl.float32)
    for _ in range(share):
        words = tl.load(packed_at)
        some = tl.load(tokens_at, mask=inside[:, None], other=0)
        scale = tl.load(scales_at)
        a, b, c, d = tl.inline_asm_elementwise(
            unpacking,
            "=&r,=&r,=&r,=&r,r,r,r,r,r,r,r,r,r",
            [words, low0, low1, low2, low3, high0, high1, high2, high3],
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
            is_pure=True,
            pack=1,
        )
        pairs = tl.join(tl.join(a, c), tl.join(b, d))  # [tile, 8, 2, 2]: a, b, c, d of each word
        weights = tl.join((pairs & 0xFFFF).to(tl.int16), (pairs >> 16).to(tl.int16)).reshape(tile, 64)
        total += tl.dot(weights.to(some.dtype, bitcast=True), some.trans()) * scale[:, None]
        packed_at += 8
        tokens_at += 64
        scales_at += 1
    columns = tl.num_programs(0) * tile
    at = token[None, :] * columns + column[:, None]
    if tl.num_programs(1) == 1:
        tl.store(out + at, total.to(out.dtype.element_ty), mask=inside[None, :])
    else:
        tl.store(parts + tl.program_id(1) * count * columns + at, total, mask=inside[None, :])
        tl.debug_barrier()  # all threads have stored
        if tl.atomic_add(done + tl.program_id(0), 1) == tl.num_programs(1) - 1:
            tl.store(done + tl.program_id(0), 0)
            by_token = token[:, None] * columns + column[None, :]
            added = tl.zeros([tall, tile], tl.float32)
            for part in range(tl.num_programs(1)):  # always in the same order
                sums = parts + part * count * columns + by_token
                added += tl.load(sums, mask=inside[:, None], other=0.0, cache_modifier=".cg")
            tl.store(out + by_token, added.to(out.dtype.element_ty), mask=inside[:, None])


@dataclass(frozen=True)
class PackedWeight:
    """Concatenated 4-bit weights that multiply the same input."""

    packed: torch.Tensor
    """[columns, width / 2] uint8; the upper half of a byte is the first of its two weights."""
    scales: torch.Tensor
    """[columns, width / 64] float32."""
    table: torch.Tensor
    """Of the levels, in the type of the tokens."""
    done: torch.Tensor
    """[columns / 64] int32 zeros: counts programs that have stored their sums. One product at a time may use it."""
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
        table = table_of(states[0].code.tolist(), modules[0].compute_dtype).to(packed.device)
        done = torch.zeros(columns // _TILE, dtype=torch.int32, device=packed.device)
        return cls(packed, scales, table, done, parts)

    def times(self, tokens: torch.Tensor) -> torch.Tensor:
        """Multiply tokens [up to 64, width] by these weights, and sum in float32: [tokens, columns]."""
        count, (columns, groups) = len(tokens), self.scales.shape
        sums = torch.empty(self.parts, count, columns, dtype=torch.float32, device=tokens.device)
        out = torch.empty(count, columns, dtype=tokens.dtype, device=tokens.device)
        _multiply[(columns // _TILE, self.parts)](
            *(tokens.contiguous(), self.packed.view(torch.int32), self.scales, self.table, sums, self.done, out),
            *(count, groups),
            unpacking=UNPACKING,
            tile=_TILE,
            tall=max(16, triton.next_power_of_2(count)),
            num_warps=4,
            num_stages=3,
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


def has_packed(model: "PreTrainedModel") -> bool:
    """Whether a model has 4-bit weights."""
    return any(getattr(getattr(module, "weight", None), "quant_state", None) is not None for module in model.modules())


def compile_for(dtype: torch.dtype, device: torch.device) -> None:
    """Compile the kernel for tokens in `dtype` by running it once for each height of a tile; errors are raised.

    Kernels cannot compile while a graph is captured. Compiling takes a second, or less with Triton's cache on disk.
    """
    if not _is_fast_on(device):
        return
    packed = torch.zeros(_TILE, _GROUP // 2, dtype=torch.uint8, device=device)
    scales, done = torch.zeros(_TILE, 1, device=device), torch.zeros(1, dtype=torch.int32, device=device)
    weight = PackedWeight(packed, scales, table_of([0.0] * 16, dtype).to(device), done, 1)
    for count in (16, 32, MAX_TOKENS):
        weight.times(torch.zeros(count, _GROUP, dtype=dtype, device=device))
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
