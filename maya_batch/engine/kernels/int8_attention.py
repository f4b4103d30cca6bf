"""Attention of one token a sequence over a paged cache in 8 bits: two GPU kernels, in Triton.

The products are in float16, which has all whole numbers from -127 to 127. PTX turns four bytes into float16 with five
instructions, fewer than Triton's own conversion. Query heads are the columns of both products, positions or head_dim
the rows: a tile has 8 columns where query heads as rows would have 16, which took a quarter more time. Measured on an
H200, which copies 4.28 TB/s, in sequences of 100 to 1,500 positions: 512 in 261 us (3.3 TB/s) against 415 us with the
kernel for 16 bits, 25 in 21 us against 54 us.
"""

import torch
import triton
import triton.language as tl

from maya_batch.engine.paged_cache import BLOCK_SIZE

#: The fewest columns of a product. Maya1 has 3 query heads for each key head.
_LEAST_TILE = 8

#: The hardware computes exp2, not exp.
_LOG2_E = 1.4426950408889634

#: Weights are multiplied by the scales of their values, in float16. This factor keeps small products precise: values
#: may be as large as 32,000, and a weight of 1e-4 is exact to a thousandth for values of 0.01.
_VALUE_FACTOR = tl.constexpr(256.0)

#: Less than any score; not infinite, because differences of two are taken.
_NOTHING = tl.constexpr(-1e30)

#: A long sequence is split among programs, if there are fewer than this many for each multiprocessor, which runs six.
_PROGRAMS = 6

#: The most programs of one sequence and key head: a tile of the second kernel.
_MOST_PARTS = tl.constexpr(16)

#: Registers of a thread: with more, fewer programs fit a multiprocessor, and the kernel takes 2 % more time.
_REGISTERS = 80


@triton.jit
def _float16(whole, ptx: tl.constexpr):
    """Whole numbers in float16. In PTX: a byte plus 128 as the low bits of a float16 between 1,024 and 1,280."""
    if ptx:
        return tl.inline_asm_elementwise(
            """{
            .reg .b32 biased, middle;
            mov.b32 middle, 0x64806480;
            xor.b32 biased, $2, 0x80808080;
            prmt.b32 $0, biased, 0x64646464, 0x4140;
            prmt.b32 $1, biased, 0x64646464, 0x4342;
            sub.f16x2 $0, $0, middle;
            sub.f16x2 $1, $1, middle;
            }""",
            "=&r,=&r,r",
            [whole],
            dtype=tl.float16,
            is_pure=True,
            pack=4,
        )
    return whole.to(tl.float16)


@triton.jit
def quantized_vector(numbers):
    """One vector as `int8_numbers.quantized` has it: whole numbers in float32, and the scale."""
    scale = (tl.max(tl.abs(numbers), 0) * (1 / 127)).to(tl.float16)
    divisor = scale.to(tl.float32)
    whole = tl.floor(numbers / tl.where(divisor > 0, divisor, 1.0) + 0.5)
    return tl.minimum(tl.maximum(whole, -127.0), 127.0), scale


@triton.jit(do_not_specialize=["blocks_a_sequence", "blocks", "parts"])  # one kernel for all sizes of the cache
def _attend_int8(
    qkv,
    pool,
    scales,
    block_table,
    position,
    cos,
    sin,
    out,
    gathered_parts,
    sums,
    scale,
    blocks_a_sequence,
    blocks,
    parts,
    kv_heads: tl.constexpr,
    group: tl.constexpr,
    half: tl.constexpr,
    block_size: tl.constexpr,
    tile: tl.constexpr,
    split: tl.constexpr,
    ptx: tl.constexpr,
):
    """A part of one sequence, for one key head: rotate queries, and attend. The first part also stores the newest key
    and value, and attends to them as they are stored.
    """
    dim: tl.constexpr = 2 * half
    sequence = tl.program_id(0) // kv_heads
    head = tl.program_id(0) % kv_heads
    part = tl.program_id(1)
    here = tl.load(position + sequence).to(tl.int32)
    whole, query, offset = tl.arange(0, dim), tl.arange(0, tile), tl.arange(0, block_size)
    kind = qkv.dtype.element_ty
    partner = (whole + half) % dim
    c = tl.load(cos + here * dim + whole).to(tl.float32)
    s = tl.load(sin + here * dim + whole).to(tl.float32)
    s = tl.where(whole < half, -s, s)

    start = qkv + sequence * ((group + 2) * kv_heads * dim)
    inside = query[None, :] < group
    q = start + (head * group + query[None, :]) * dim
    straight = tl.load(q + whole[:, None], mask=inside, other=0.0).to(tl.float32)
    crossed = tl.load(q + partner[:, None], mask=inside, other=0.0).to(tl.float32)
    rotated = (straight * c[:, None] + crossed * s[:, None]).to(kind).to(tl.float16)

    largest = tl.full([tile], _NOTHING, tl.float32)
    total = tl.zeros([block_size, tile], tl.float32)
    gathered = tl.zeros([dim, tile], tl.float32)
    if part == 0:
        k = start + (group * kv_heads + head) * dim
        newest = tl.load(k + whole).to(tl.float32) * c + tl.load(k + partner).to(tl.float32) * s
        key, key_scale = quantized_vector(newest.to(kind).to(tl.float32))
        v = tl.load(start + ((group + 1) * kv_heads + head) * dim + whole)
        value, value_scale = quantized_vector(v.to(tl.float32))
        last = tl.load(block_table + sequence * blocks_a_sequence + here // block_size).to(tl.int64)
        # The values come after the keys of all blocks. Their distance is counted in blocks, so that the compiler sees
        # how they are aligned.
        key_block, value_block, at = last * kv_heads + head, (last + blocks) * kv_heads + head, here % block_size
        tl.store(pool + key_block * (block_size * dim) + at * dim + whole, key.to(tl.int8))
        tl.store(pool + value_block * (block_size * dim) + whole * block_size + at, value.to(tl.int8))
        tl.store(scales + key_block * block_size + at, key_scale)
        tl.store(scales + value_block * block_size + at, value_scale)
        largest = tl.sum(rotated.to(tl.float32) * key[:, None], 0) * (key_scale.to(tl.float32) * scale)
        total = tl.where(offset[:, None] == 0, total + 1.0, total)
        gathered += (value * (value_scale.to(tl.float32) * _VALUE_FACTOR))[:, None]

    # The newest key comes from registers; the loop reads those before it.
    first, end = 0, tl.cdiv(here, block_size)
    if split:
        share = tl.cdiv(end, parts)
        first = part * share
        end = tl.minimum(first + share, end)
    for index in tl.range(first, end):
        number = tl.load(block_table + sequence * blocks_a_sequence + index).to(tl.int64)
        key_block, value_block = number * kv_heads + head, (number + blocks) * kv_heads + head
        there = index * block_size + offset < here
        key_scales = tl.load(scales + key_block * block_size + offset, mask=there, other=0.0).to(tl.float32)
        value_scales = tl.load(scales + value_block * block_size + offset, mask=there, other=0.0).to(tl.float32)
        keys = pool + key_block * (block_size * dim) + offset[:, None] * dim + whole[None, :]
        key = tl.load(keys, mask=there[:, None], other=0)
        scores = tl.dot(_float16(key, ptx), rotated) * (key_scales * scale)[:, None]
        scores = tl.where(there[:, None], scores, float("-inf"))
        raised = tl.maximum(largest, tl.max(scores, 0))
        weights = tl.exp2(scores - raised[None, :])
        shrunk = tl.exp2(largest - raised)
        total = total * shrunk[None, :] + weights
        weights = (weights * (value_scales * _VALUE_FACTOR)[:, None]).to(tl.float16)
        # Of 16 positions all or none are read, so that a thread reads 16 bytes at a time.
        near = index * block_size + offset // 16 * 16 < here
        values = pool + value_block * (block_size * dim) + offset[None, :] + whole[:, None] * block_size
        value = tl.load(values, mask=near[None, :], other=0)
        gathered = tl.dot(_float16(value, ptx), weights, gathered * shrunk[None, :])
        largest = raised

    summed = tl.sum(total, 0)
    row = (sequence * kv_heads + head) * group + query
    if split:
        row = row * parts + part
        tl.store(gathered_parts + row[None, :] * dim + whole[:, None], gathered, mask=inside)
        tl.store(sums + row * 2, largest, mask=query < group)
        tl.store(sums + row * 2 + 1, summed, mask=query < group)
    else:
        mixed = gathered / (summed * _VALUE_FACTOR)[None, :]
        tl.store(out + row[None, :] * dim + whole[:, None], mixed.to(kind), mask=inside)


@triton.jit(do_not_specialize=["parts"])
def _join_parts(gathered_parts, sums, out, parts, dim: tl.constexpr):
    """The attention of one query head from its parts."""
    row = tl.program_id(0)
    part, whole = tl.arange(0, _MOST_PARTS), tl.arange(0, dim)
    there = part < parts
    at = row * parts + part
    largest = tl.load(sums + at * 2, mask=there, other=_NOTHING)
    weights = tl.exp2(largest - tl.max(largest, 0))
    total = tl.sum(weights * tl.load(sums + at * 2 + 1, mask=there, other=0.0), 0)
    gathered = tl.load(gathered_parts + at[:, None] * dim + whole[None, :], mask=there[:, None], other=0.0)
    mixed = tl.sum(gathered * weights[:, None], 0) / (total * _VALUE_FACTOR)
    tl.store(out + row * dim + whole, mixed.to(out.dtype.element_ty))


def attend_int8(
    qkv: torch.Tensor,
    pool: torch.Tensor,
    scales: torch.Tensor,
    block_table: torch.Tensor,
    position: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    parts: int | None = None,
) -> torch.Tensor:
    """Attention of each sequence's newest token, which is also written to the cache: [sequences, heads * head_dim].

    `qkv` [sequences, (heads + 2 kv heads) * head_dim] before rotation; `pool` [2, blocks, kv heads, block size,
    head_dim] and `scales` [2, blocks, kv heads, block size] as in `PagedCache`, which has the values of a block as
    [head_dim, block size]; `block_table` [sequences, blocks a sequence] int32; `position` [sequences] of the token;
    `cos` and `sin` [positions, head_dim]. Each sequence is split into so many `parts`; default: as many as keep the
    GPU busy.
    """
    sequences, (_, blocks, kv_heads, block_size, dim) = qkv.shape[0], pool.shape
    group = qkv.shape[1] // (dim * kv_heads) - 2
    rows, programs = sequences * kv_heads * group, sequences * kv_heads
    if parts is None:
        parts = _parts(programs, qkv.device)
    split = parts > 1
    out = torch.empty(sequences, kv_heads * group * dim, dtype=qkv.dtype, device=qkv.device)
    gathered_parts = torch.empty(rows * parts if split else 1, dim, dtype=torch.float32, device=qkv.device)
    sums = torch.empty(rows * parts if split else 1, 2, dtype=torch.float32, device=qkv.device)
    nvidia = qkv.is_cuda and torch.version.hip is None
    _attend_int8[(programs, parts)](
        *(qkv, pool, scales, block_table, position, cos, sin, out, gathered_parts, sums),
        dim**-0.5 * _LOG2_E,
        block_table.shape[1],
        blocks,
        parts,
        kv_heads=kv_heads,
        group=group,
        half=dim // 2,
        block_size=block_size,
        tile=max(triton.next_power_of_2(group), _LEAST_TILE),
        split=split,
        ptx=nvidia,
        num_warps=4,
        num_stages=2,
        **({"maxnreg": _REGISTERS} if nvidia else {}),
    )
    if split:
        _join_parts[(rows,)](gathered_parts, sums, out, parts, dim=dim, num_warps=4)
    return out


def compile_for(heads: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> None:
    """Compile both kernels for a model's shape by running them once; errors are raised.

    Triton caches the result on disk, so only the first run waits, for two to four seconds.
    """
    qkv = torch.zeros(1, (heads + 2 * kv_heads) * head_dim, dtype=dtype, device=device)
    pool = torch.zeros(2, 1, kv_heads, BLOCK_SIZE, head_dim, dtype=torch.int8, device=device)
    scales = torch.zeros(2, 1, kv_heads, BLOCK_SIZE, dtype=torch.float16, device=device)
    block_table = torch.zeros(1, 1, dtype=torch.int32, device=device)
    angles = torch.zeros(1, head_dim, dtype=dtype, device=device)
    position = torch.zeros(1, dtype=torch.long, device=device)
    for parts in (1, 2):
        attend_int8(qkv, pool, scales, block_table, position, angles, angles, parts)
    torch.cuda.synchronize(device)


def _parts(programs: int, device: torch.device) -> int:
    """The number of programs for each sequence and key head."""
    multiprocessors: int = torch.cuda.get_device_properties(device).multi_processor_count
    return min(max(round(_PROGRAMS * multiprocessors / programs), 1), int(_MOST_PARTS.value))
