"""A GPU kernel, in Triton, for the tokens of prompts: it rotates queries and keys, and writes to the cache.

PyTorch takes thirty operations a layer for it, which kept the host busy for 39 ms a pass of prompts, and the GPU
waiting: it computes such a pass in 18 ms.
"""

import torch
import triton
import triton.language as tl

from maya_batch.engine.kernels.int8_attention import quantized_vector
from maya_batch.engine.paged_cache import BLOCK_SIZE, PagedCache


@triton.jit(do_not_specialize=["longest", "blocks_a_sequence", "blocks"])  # one kernel for all prompts
def _store_prompt(
    qkv,
    pool,
    scales,
    block_table,
    batch_slots,
    cos,
    sin,
    queries,
    keys,
    longest,
    blocks_a_sequence,
    blocks,
    kv_heads: tl.constexpr,
    group: tl.constexpr,
    dim: tl.constexpr,
    block_size: tl.constexpr,
    int8: tl.constexpr,
):
    """One token and key head: its query heads, key and value."""
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    position = token % longest
    slot = tl.load(batch_slots + token // longest)
    whole = tl.arange(0, dim)
    partner = (whole + dim // 2) % dim
    kind = qkv.dtype.element_ty
    c = tl.load(cos + position * dim + whole).to(tl.float32)
    s = tl.load(sin + position * dim + whole).to(tl.float32)
    s = tl.where(whole < dim // 2, -s, s)
    start = qkv + token * ((group + 2) * kv_heads * dim)
    for number in tl.static_range(group):
        at = (head * group + number) * dim
        straight, crossed = tl.load(start + at + whole), tl.load(start + at + partner)
        rotated = straight.to(tl.float32) * c + crossed.to(tl.float32) * s
        tl.store(queries + (token * kv_heads * group + head * group + number) * dim + whole, rotated.to(kind))
    at = (group * kv_heads + head) * dim
    key = (tl.load(start + at + whole).to(tl.float32) * c + tl.load(start + at + partner).to(tl.float32) * s).to(kind)
    value = tl.load(start + ((group + 1) * kv_heads + head) * dim + whole)
    tl.store(keys + (token * kv_heads + head) * dim + whole, key)

    # A position behind a sequence's blocks is in block 0, which belongs to none.
    number = tl.load(block_table + slot * blocks_a_sequence + position // block_size).to(tl.int64)
    key_block, value_block = number * kv_heads + head, (number + blocks) * kv_heads + head
    at = position % block_size
    if int8:
        key, key_scale = quantized_vector(key.to(tl.float32))
        value, value_scale = quantized_vector(value.to(tl.float32))
        tl.store(scales + key_block * block_size + at, key_scale)
        tl.store(scales + value_block * block_size + at, value_scale)
        tl.store(pool + key_block * (block_size * dim) + at * dim + whole, key.to(tl.int8))
        tl.store(pool + value_block * (block_size * dim) + whole * block_size + at, value.to(tl.int8))
    else:
        tl.store(pool + key_block * (block_size * dim) + at * dim + whole, key)
        tl.store(pool + value_block * (block_size * dim) + at * dim + whole, value)


def store_prompt(
    qkv: torch.Tensor,
    cache: PagedCache,
    layer: int,
    batch_slots: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Write the prompts of these batch slots to a layer of the cache; return their rotated queries and keys, and values
    [prompts, positions, heads, head_dim].

    `qkv` [prompts * positions, (heads + 2 kv heads) * head_dim] before rotation; `cos` and `sin` [positions or more,
    head_dim].
    """
    pool, scales = cache.pool[layer], None if cache.scales is None else cache.scales[layer]
    _, blocks, kv_heads, block_size, dim = pool.shape
    tokens, prompts = len(qkv), len(batch_slots)
    group = qkv.shape[1] // (dim * kv_heads) - 2
    queries = torch.empty(prompts, tokens // prompts, kv_heads * group, dim, dtype=qkv.dtype, device=qkv.device)
    keys = torch.empty(prompts, tokens // prompts, kv_heads, dim, dtype=qkv.dtype, device=qkv.device)
    _store_prompt[(tokens, kv_heads)](
        *(qkv, pool, pool if scales is None else scales, cache.block_table, batch_slots, cos, sin, queries, keys),
        tokens // prompts,
        cache.block_table.shape[1],
        blocks,
        kv_heads=kv_heads,
        group=group,
        dim=dim,
        block_size=block_size,
        int8=scales is not None,
        num_warps=1,
    )
    return queries, keys, qkv.view(prompts, tokens // prompts, -1, dim)[:, :, (group + 1) * kv_heads :]


def compile_for(heads: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> None:
    """Compile the kernel for a model's shape and both formats of the cache by running it once; errors are raised."""
    qkv = torch.zeros(1, (heads + 2 * kv_heads) * head_dim, dtype=dtype, device=device)
    angles = torch.zeros(1, head_dim, dtype=dtype, device=device)
    for int8 in (False, True):
        cache = PagedCache(
            layers=1,
            kv_heads=kv_heads,
            head_dim=head_dim,
            batch_slots=1,
            positions=BLOCK_SIZE,
            block_size=BLOCK_SIZE,
            blocks=1,
            dtype=dtype,
            device=device,
            int8=int8,
        )
        store_prompt(qkv, cache, 0, torch.zeros(1, dtype=torch.long, device=device), angles, angles)
    torch.cuda.synchronize(device)
