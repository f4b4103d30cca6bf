"""Two GPU kernels, in Triton: attention of one token a sequence over a paged cache, and the gate of the MLP.

PyTorch's own attention takes sequences of equal length. Here each sequence reads only its own keys and values, so
sequences start and end at any time and nothing is padded or masked. Measured on an H200, which copies 4.2 TB/s, with
512 sequences of 800 positions: 3.9 TB/s. On sequences of equal length, cuDNN's kernel reached 3.4 and flash attention
2.3.
"""

import torch
import triton
import triton.language as tl

from maya_batch.engine.kernels.operations import MOST_QUERY_HEADS
from maya_batch.engine.paged_cache import BLOCK_SIZE

#: Numbers of a token that one program of the gate computes.
_BLOCK = 1024

#: The hardware computes exp2, not exp.
_LOG2_E = 1.4426950408889634


@triton.jit(do_not_specialize=["blocks_a_sequence", "blocks"])  # one kernel for all sizes of the cache
def _attend_one(
    qkv,
    pool,
    block_table,
    position,
    order,
    cos,
    sin,
    out,
    scale,
    blocks_a_sequence,
    blocks,
    kv_heads: tl.constexpr,
    group: tl.constexpr,
    half: tl.constexpr,
    block_size: tl.constexpr,
    tile: tl.constexpr,
):
    """One sequence and key head: rotate query and key, store key and value, and attend."""
    dim: tl.constexpr = 2 * half
    sequence = tl.load(order + tl.program_id(0) // kv_heads).to(tl.int32)
    head = tl.program_id(0) % kv_heads
    here = tl.load(position + sequence)
    low, whole, query = tl.arange(0, half), tl.arange(0, dim), tl.arange(0, tile)
    offset = tl.arange(0, block_size)
    c = tl.load(cos + here * dim + low).to(tl.float32)
    s = tl.load(sin + here * dim + low).to(tl.float32)

    start = qkv + sequence * ((group + 2) * kv_heads * dim)
    q = start + (head * group + query[:, None]) * dim + low[None, :]
    inside = query[:, None] < group
    q1 = tl.load(q, mask=inside, other=0.0).to(tl.float32)
    q2 = tl.load(q + half, mask=inside, other=0.0).to(tl.float32)
    kind = qkv.dtype.element_ty
    r1 = (q1 * c[None, :] - q2 * s[None, :]).to(kind)
    r2 = (q2 * c[None, :] + q1 * s[None, :]).to(kind)

    k = start + (group * kv_heads + head) * dim + low
    k1, k2 = tl.load(k).to(tl.float32), tl.load(k + half).to(tl.float32)
    t1, t2 = (k1 * c - k2 * s).to(kind), (k2 * c + k1 * s).to(kind)
    v = tl.load(start + ((group + 1) * kv_heads + head) * dim + whole)
    # The values come after the keys of all blocks. Their distance is counted in blocks, so that the compiler sees how
    # they are aligned: with a distance in numbers it loads two bytes at a time, and the kernel takes 1.5 times as long.
    last = tl.load(block_table + sequence * blocks_a_sequence + here // block_size).to(tl.int64)
    within = (here % block_size) * dim
    key = pool + (last * kv_heads + head) * (block_size * dim) + within
    tl.store(key + low, t1)
    tl.store(key + half + low, t2)
    tl.store(pool + ((last + blocks) * kv_heads + head) * (block_size * dim) + within + whole, v)

    # The newest key comes from registers; the loop reads those before it.
    largest = tl.sum(r1.to(tl.float32) * t1.to(tl.float32)[None, :] + r2.to(tl.float32) * t2.to(tl.float32)[None, :], 1)
    largest = largest * scale
    total = tl.full([tile], 1.0, tl.float32)
    gathered = tl.zeros([tile, dim], tl.float32) + v.to(tl.float32)[None, :]
    for first in tl.range(0, here, block_size):
        number = tl.load(block_table + sequence * blocks_a_sequence + first // block_size).to(tl.int64)
        keys = pool + (number * kv_heads + head) * (block_size * dim)
        there = first + offset < here
        rotated = keys + offset[None, :] * dim + low[:, None]
        scores = tl.dot(r1, tl.load(rotated, mask=there[None, :], other=0.0))
        scores = tl.dot(r2, tl.load(rotated + half, mask=there[None, :], other=0.0), scores) * scale
        scores = tl.where(there[None, :], scores, float("-inf"))
        raised = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.exp2(scores - raised[:, None])
        shrunk = tl.exp2(largest - raised)
        total = total * shrunk + tl.sum(weights, 1)
        values = (
            pool + ((number + blocks) * kv_heads + head) * (block_size * dim) + offset[:, None] * dim + whole[None, :]
        )
        value = tl.load(values, mask=there[:, None], other=0.0)
        gathered = tl.dot(weights.to(kind), value, gathered * shrunk[:, None])
        largest = raised
    to = out + (sequence * kv_heads * group + head * group + query[:, None]) * dim + whole[None, :]
    tl.store(to, (gathered / total[:, None]).to(kind), mask=inside)


@triton.jit
def _gate(gate_up, out, width, block: tl.constexpr):
    """silu(gate) * up of one stretch of a token."""
    token, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    inside = at < width
    gate = tl.load(gate_up + token * 2 * width + at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + token * 2 * width + width + at, mask=inside, other=0.0)
    tl.store(out + token * width + at, (gate * tl.sigmoid(gate)).to(up.dtype) * up, mask=inside)


def attend_one(
    qkv: torch.Tensor,
    pool: torch.Tensor,
    block_table: torch.Tensor,
    position: torch.Tensor,
    order: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
) -> torch.Tensor:
    """Attention of each sequence's newest token, which is also written to the cache: [sequences, heads * head_dim].

    `qkv` [sequences, (heads + 2 kv heads) * head_dim] before rotation; `pool` [2, blocks, kv heads, block size,
    head_dim]; `block_table` [sequences, blocks a sequence] int32; `position` [sequences] of the token; `order`
    [sequences], the sequences in the order in which they are begun: the longest first, so that the GPU is busy until
    the end; `cos` and `sin` [positions, head_dim].
    """
    sequences, (_, _, kv_heads, block_size, dim) = qkv.shape[0], pool.shape
    group = qkv.shape[1] // (dim * kv_heads) - 2
    out = torch.empty(sequences, kv_heads * group * dim, dtype=qkv.dtype, device=qkv.device)
    _attend_one[(sequences * kv_heads,)](
        *(qkv, pool, block_table, position, order, cos, sin, out),
        dim**-0.5 * _LOG2_E,
        block_table.shape[1],
        pool.shape[1],
        kv_heads=kv_heads,
        group=group,
        half=dim // 2,
        block_size=block_size,
        tile=MOST_QUERY_HEADS,
        num_warps=8,
        num_stages=2,  # more were no faster, and do not fit the shared memory of smaller GPUs
    )
    return out


def gate(gate_up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up [tokens, width] of gate and up [tokens, 2 * width], contiguous."""
    tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
    out = torch.empty(tokens, width, dtype=gate_up.dtype, device=gate_up.device)
    _gate[(tokens, triton.cdiv(width, _BLOCK))](gate_up, out, width, block=_BLOCK, num_warps=4)
    return out


def compile_for(heads: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> None:
    """Compile both kernels for a model's shape by running them once; errors are raised.

    Triton caches the result on disk, so only the first run waits, for two to three seconds.
    """
    qkv = torch.zeros(1, (heads + 2 * kv_heads) * head_dim, dtype=dtype, device=device)
    pool = torch.zeros(2, 1, kv_heads, BLOCK_SIZE, head_dim, dtype=dtype, device=device)
    block_table = torch.zeros(1, 1, dtype=torch.int32, device=device)
    angles = torch.zeros(1, head_dim, dtype=dtype, device=device)
    first = torch.zeros(1, dtype=torch.long, device=device)
    attend_one(qkv, pool, block_table, first, first, angles, angles)
    gate(torch.zeros(1, 2 * _BLOCK, dtype=dtype, device=device))
    torch.cuda.synchronize(device)
