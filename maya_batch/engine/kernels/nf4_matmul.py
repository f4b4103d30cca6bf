"""Multiplies few tokens by 4-bit weights in bitsandbytes' nf4, with tokens in 8 bits: a kernel in CUDA C++.

bitsandbytes mostly unpacks a whole matrix into memory for each product, which costs as much for one sequence as for a
hundred. This kernel unpacks in registers, to 8 bits, which tensor cores multiply twice to four times as fast as 16. A
block of 256 inputs of a token shares a scale, as in llama.cpp's Q8_K. At each upgrade of bitsandbytes or gemlite,
measure theirs again: a library that is as fast replaces this file.

Measured on an H200, the four products of a layer of Maya1's shape take, in us: 39 here, 61 in an earlier kernel with
tokens in 16 bits, and 157 in bitsandbytes for 16 sequences, 53, 80 and 180 for 48, and 108 here and 186 in bitsandbytes
for 128.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from maya_batch.engine.kernels.cuda_kernel import CudaKernel, compiled
from maya_batch.engine.kernels.int8_tokens import BLOCK, COUNTS, LARGEST, Int8Tokens

if TYPE_CHECKING:  # transformers is imported by another thread while this compiles
    from transformers import PreTrainedModel

#: Tensor cores for these products, and copies to shared memory beside them, exist from Ampere on.
_CAPABILITY = (8, 0)

#: Weights that share a scale: the default of bitsandbytes and transformers.
_GROUP = 64

#: The types of two results in PTX.
_PAIRS = {torch.bfloat16: "bf16x2", torch.float16: "f16x2"}


class _Shape(NamedTuple):
    """The shape of a block of threads, in the names of the kernel's source."""

    row_warps: int
    splits: int
    stages: int

    @property
    def rows(self) -> int:
        """Rows of the matrix that a block computes."""
        return 16 * self.row_warps

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * self.row_warps * self.splits

    def shared_bytes(self, tokens: int) -> int:
        """Shared memory of a block: the stages, or later the sums."""
        return max(self.stages * _stage_bytes(self.rows, tokens), 4 * self.splits * tokens * (self.rows + 4))


def _stage_bytes(rows: int, tokens: int) -> int:
    """A unit's 4-bit weights with four scales a row, and its tokens with their scales."""
    return rows * (BLOCK // 2 + 16) + tokens * (BLOCK + 4)


def shape_for(rows: int, tokens: int, processors: int, shared_block: int, shared_processor: int) -> _Shape:
    """How blocks are shaped for a matrix of `rows`, on a GPU with so many multiprocessors.

    `shared_block` and `shared_processor` are the most bytes of shared memory of a block and of a multiprocessor. Blocks
    of 64 rows read the tokens half as often as blocks of 32, but few rows in such blocks leave multiprocessors idle. A
    card with little shared memory has few multiprocessors, too.
    """
    stage = _stage_bytes(32, tokens)
    splits = next((count for count in (4, 2) if 2 * count * stage <= shared_block), 0)
    if splits and rows < 64 * 0.6 * processors:  # measured on an H200
        return _Shape(2, splits, 2 * splits)
    stage = _stage_bytes(64, tokens)
    # A second block hides waiting for the tensor cores, and a third stage waiting for the memory.
    stages = next((count for count in (3, 2) if 2 * count * stage <= shared_processor), 3)
    return _Shape(4, 1, stages if stages * stage <= shared_block else 2)


def magnitudes(levels: Sequence[float]) -> list[int]:
    """The tables of the kernel for nf4's sixteen levels: four words, as whole numbers with a sign.

    Raises:
        ValueError: the first eight levels are not negative or 0, or the last eight are not positive.
    """
    numbers = [round(-LARGEST * level) for level in levels[:8]] + [round(LARGEST * level) for level in levels[8:]]
    if not all(0 <= number <= LARGEST for number in numbers):
        raise ValueError("these are not the levels of nf4")
    return [int.from_bytes(bytes(numbers[at : at + 4]), "little", signed=True) for at in (0, 4, 8, 12)]


@dataclass(frozen=True)
class PackedWeight:
    """Concatenated nf4 weights that multiply the same input."""

    packed: torch.Tensor
    """[columns, width / 2] uint8; the upper half of a byte is the first of its two weights."""
    scales: torch.Tensor
    """[columns, width / 64] float32."""
    table: Sequence[int]
    """`magnitudes` of their levels."""
    dtype: torch.dtype
    """Of the product."""

    @classmethod
    def of(cls, modules: Sequence[Any]) -> "PackedWeight":
        """The weights of bitsandbytes' `Linear4bit` modules, which keep views of them, so memory holds them once.

        Quantized scales are unpacked once.
        """
        states = [module.weight.quant_state for module in modules]
        packed = torch.cat([module.weight.data.view(module.out_features, -1) for module in modules])
        scales = torch.cat([_scales(state).view(state.shape[0], -1) for state in states])
        start = 0
        for module, state in zip(modules, states, strict=True):
            end = start + module.out_features
            module.weight.data = packed[start:end].view(module.weight.shape)
            state.absmax, state.offset, state.state2, state.nested = scales[start:end].view(-1), None, None, False
            start = end
        return cls(packed, scales, magnitudes(states[0].code.tolist()), modules[0].compute_dtype)

    def times(self, tokens: Int8Tokens) -> torch.Tensor:
        """Multiply tokens by these weights, and sum in float32: [tokens, columns]."""
        (columns, groups), filled = self.scales.shape, len(tokens.values)
        out = torch.empty(tokens.count, columns, dtype=self.dtype, device=self.packed.device)
        shape = _shape_on(out.device, columns, filled)
        operands = (self.packed, self.scales, tokens.values, tokens.scales)
        sizes = (tokens.count, columns, groups * _GROUP // BLOCK)
        _kernel(shape, filled, self.dtype, out.device).run(columns // shape.rows, (*operands, *self.table, out, *sizes))
        return out


def is_fast_on(device: torch.device) -> bool:
    """Whether this is an NVIDIA GPU that is recent enough."""
    return (
        device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device) >= _CAPABILITY
    )


def can_multiply(model: "PreTrainedModel") -> bool:
    """Whether all projections of a model are 4-bit weights of the format and the sizes that the kernel takes."""
    projections = [
        getattr(block, f"{name}_proj")
        for layer in model.model.layers
        for block, names in ((layer.self_attn, ("q", "k", "v", "o")), (layer.mlp, ("gate", "up", "down")))
        for name in names
    ]
    return all(_is_packed(module) for module in projections) and is_fast_on(torch.device(model.device))


def compile_for(dtype: torch.dtype, device: torch.device) -> None:
    """Compile the kernel for products in `dtype`, in all shapes, and run it; errors are raised.

    Kernels cannot compile while a graph is captured. A core compiles each of the twelve in a quarter of a second.
    """
    few, many = 64, 64 * torch.cuda.get_device_properties(device).multi_processor_count
    cases = [(columns, tokens) for columns in (few, many) for tokens in COUNTS]
    capability = torch.cuda.get_device_capability(device)
    with ThreadPoolExecutor() as pool:  # the compiler works outside of Python's lock
        shapes = [(_shape_on(device, *case), case[1]) for case in cases]
        list(pool.map(lambda case: _code(*case, dtype, capability), shapes))
    for columns, tokens in cases:
        packed = torch.zeros(columns, BLOCK // 2, dtype=torch.uint8, device=device)
        weight = PackedWeight(packed, torch.zeros(columns, BLOCK // _GROUP, device=device), (0, 0, 0, 0), dtype)
        weight.times(Int8Tokens.empty(tokens, BLOCK, device))
    torch.cuda.synchronize(device)


@cache
def _shape_on(device: torch.device, rows: int, tokens: int) -> _Shape:
    card: Any = torch.cuda.get_device_properties(device)
    shared = card.shared_memory_per_block_optin, card.shared_memory_per_multiprocessor
    return shape_for(rows, tokens, card.multi_processor_count, *shared)


@cache
def _code(shape: _Shape, tokens: int, dtype: torch.dtype, capability: tuple[int, int]) -> bytes:
    """The compiled kernel, of which a process needs each once."""
    names = {"TILES": tokens // 8, "ROW_WARPS": shape.row_warps, "SPLITS": shape.splits, "STAGES": shape.stages}
    source = Path(__file__).with_suffix(".cu").read_text(encoding="utf-8")
    return compiled(source, {**names, "PAIR": f'"{_PAIRS[dtype]}"'}, capability)


@cache
def _kernel(shape: _Shape, tokens: int, dtype: torch.dtype, device: torch.device) -> CudaKernel:
    code = _code(shape, tokens, dtype, torch.cuda.get_device_capability(device))
    return CudaKernel(code, "nf4_matmul", shape.threads, shape.shared_bytes(tokens), device)


def _is_packed(module: Any) -> bool:
    """Whether a module is a `Linear4bit` whose weights have the format and the size that the kernel takes."""
    state = getattr(module.weight, "quant_state", None)
    return bool(
        state is not None
        and module.bias is None
        and state.quant_type == "nf4"
        and state.blocksize == _GROUP
        and module.weight.dtype == torch.uint8
        and module.compute_dtype in _PAIRS
        and tuple(state.shape) == (module.out_features, module.in_features)
        and module.out_features % 64 == 0
        and module.in_features % BLOCK == 0
    )


def _scales(state: Any) -> torch.Tensor:
    """The scales of a weight [columns * width / 64] in float32."""
    from bitsandbytes.functional import dequantize_blockwise

    scales: torch.Tensor = state.absmax
    if state.nested:
        scales = dequantize_blockwise(state.absmax, state.state2) + state.offset
    return scales.float()
