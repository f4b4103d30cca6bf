"""Attention of one token a sequence over a paged cache in 8 bits: two GPU kernels, in Triton.

Both products are of whole numbers in 8 bits, as the cache has them, so that nothing is unpacked. A query, or the
weights of a block's values, is rounded to 16 bits, and its upper and lower 8 bits are two columns of the product:
positions or head_dim are the rows. Maya1 has 3 query heads for each key head, which are 6 of the 8 columns that a
product has at least. Measured on an H200, which copies 4.25 TB/s, in sequences of 100 to 1,500 positions, the longest
first: 512 in 221 us (3.8 TB/s), 25 in 19 us. With all blocks in the GPU's own cache 512 take 126 us, so memory is what
limits it.
"""

import torch
import triton
import triton.language as tl

from maya_batch.engine.paged_cache import BLOCK_SIZE

#: The fewest query heads of a product: twice as many columns are the fewest that it has.
_LEAST_HEADS = 4

#: The hardware computes exp2, not exp.
_LOG2_E = 1.4426950408889634

#: The largest number that is rounded to 16 bits: its upper byte is 127.
_LARGEST = tl.constexpr(127.0 * 256.0)

#: Scales are no smaller, so that zeros have one.
_LEAST_SCALE = tl.constexpr(1e-30)

#: Less than any score; not infinite, because differences of two are taken.
_NOTHING = tl.constexpr(-1e30)

#: A long sequence is split among programs, if there are fewer than this many for each multiprocessor.
_PROGRAMS = 6

#: The most programs of one sequence and key head: a tile of the second kernel.
_MOST_PARTS = tl.constexpr(16)

#: Registers of a thread: with so many, a multiprocessor runs eight programs.
_REGISTERS = 64


@triton.jit
def _larger(first, second, other_first, other_second):
    """The larger one of each of two numbers."""
    return tl.maximum(first, other_first), tl.maximum(second, other_second)


@triton.jit
def _bytes(whole, rows: tl.constexpr, columns: tl.constexpr):
    """Whole numbers [rows, columns] of 16 bits as columns [rows, 2 * columns] of 8: upper and lower in turn."""
    # Rows last: so a thread reads four of a column at a time from shared memory, and not one. Joining two tensors would
    # do the same, but then the compiler loads what it multiplies in smaller pieces.
    both = tl.broadcast_to(tl.trans(whole)[:, None, :], [columns, 2, rows])
    upper = (both + 128) >> 8
    which = tl.arange(0, 2)[None, :, None]
    return tl.trans(tl.reshape(tl.where(which == 0, upper, both - (upper << 8)).to(tl.int8), [2 * columns, rows]))


@triton.jit
def _joined(products, rows: tl.constexpr, columns: tl.constexpr):
    """The products [rows, 2 * columns] with `_bytes` as those with the whole numbers [rows, columns]."""
    which = tl.arange(0, 2)[None, None, :]
    return tl.sum(tl.reshape(products, [rows, columns, 2]) * tl.where(which == 0, 256, 1), 2).to(tl.float32)


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
    order,
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
):
    """A part of one sequence, for one key head: rotate queries, and attend. The first part also stores the newest key
    and value, and attends to them as they are stored.
    """
    dim: tl.constexpr = 2 * half
    sequence = tl.load(order + tl.program_id(0) // kv_heads).to(tl.int32)
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
    rotated = (straight * c[:, None] + crossed * s[:, None]).to(kind).to(tl.float32)
    query_scale = tl.maximum(tl.max(tl.abs(rotated), 0) / _LARGEST, _LEAST_SCALE)
    queries = _bytes(tl.floor(rotated / query_scale[None, :] + 0.5).to(tl.int32), dim, tile)

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
        largest = tl.sum(rotated * key[:, None], 0) * (key_scale.to(tl.float32) * scale)
        total = tl.where(offset[:, None] == 0, total + 1.0, total)
        gathered += (value * value_scale.to(tl.float32))[:, None]

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
        scores = _joined(tl.dot(key, queries), block_size, tile)
        scores = scores * (key_scales * scale)[:, None] * query_scale[None, :]
        scores = tl.where(there[:, None], scores, float("-inf"))
        of_heads = tl.broadcast_to(value_scales[:, None], [block_size, tile])
        top, value_scale_here = tl.reduce((scores, of_heads), 0, _larger)
        raised = tl.maximum(largest, top)
        shrunk, share_here = tl.exp2(largest - raised), tl.exp2(top - raised)
        weights = tl.exp2(scores - top[None, :])
        total = total * shrunk[None, :] + weights * share_here[None, :]
        # The largest of these is at most `_LARGEST`, whatever share of the sum the block has.
        value_scale_here = tl.maximum(value_scale_here, _LEAST_SCALE)
        weights = weights * value_scales[:, None] * (_LARGEST / value_scale_here)[None, :]
        weights = _bytes((weights + 0.5).to(tl.int32), block_size, tile)
        # Of 16 positions all or none are read, so that a thread reads 16 bytes at a time.
        near = index * block_size + offset // 16 * 16 < here
        values = pool + value_block * (block_size * dim) + offset[None, :] + whole[:, None] * block_size
        value = tl.load(values, mask=near[None, :], other=0)
        mixed_here = _joined(tl.dot(value, weights), dim, tile)
        gathered = gathered * shrunk[None, :] + mixed_here * (share_here * (value_scale_here / _LARGEST))[None, :]
        largest = raised

    summed = tl.sum(total, 0)
    row = (sequence * kv_heads + head) * group + query
    if split:
        row = row * parts + part
        tl.store(gathered_parts + row[None, :] * dim + whole[:, None], gathered, mask=inside)
        tl.store(sums + row * 2, largest, mask=query < group)
        tl.store(sums + row * 2 + 1, summed, mask=query < group)
    else:
        mixed = gathered / summed[None, :]
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
    mixed = tl.sum(gathered * weights[:, None], 0) / total
    tl.store(out + row * dim + whole, mixed.to(out.dtype.element_ty))


def attend_int8(
    qkv: torch.Tensor,
    pool: torch.Tensor,
    scales: torch.Tensor,
    block_table: torch.Tensor,
    position: torch.Tensor,
    order: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    parts: int | None = None,
) -> torch.Tensor:
    """Attention of each sequence's newest token, which is also written to the cache: [sequences, heads * head_dim].

    `qkv` [sequences, (heads + 2 kv heads) * head_dim] before rotation; `pool` [2, blocks, kv heads, block size,
    head_dim] and `scales` [2, blocks, kv heads, block size] as in `PagedCache`, which has the values of a block as
    [head_dim, block size]; `block_table` [sequences, blocks a sequence] int32; `position` [sequences] of the token;
    `order` [sequences], the sequences in the order in which they are begun: the longest first, so that the GPU is busy
    until the end; `cos` and `sin` [positions, head_dim]. Each sequence is split into so many `parts`; default: as many
    as keep the GPU busy.
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
        *(qkv, pool, scales, block_table, position, order, cos, sin, out, gathered_parts, sums),
        dim**-0.5 * _LOG2_E,
        block_table.shape[1],
        blocks,
        parts,
        kv_heads=kv_heads,
        group=group,
        half=dim // 2,
        block_size=block_size,
        tile=max(triton.next_power_of_2(group), _LEAST_HEADS),
        split=split,
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
        attend_int8(qkv, pool, scales, block_table, position, position, angles, angles, parts)
    torch.cuda.synchronize(device)


def _parts(programs: int, device: torch.device) -> int:
    """The number of programs for each sequence and key head."""
    multiprocessors: int = torch.cuda.get_device_properties(device).multi_processor_count
    return min(max(round(_PROGRAMS * multiprocessors / programs), 1), int(_MOST_PARTS.value))
