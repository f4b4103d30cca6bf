from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.engine.kernels.int8_numbers import dequantized, quantized
from maya_batch.engine.paged_cache import PagedCache, upload

CPU = torch.device("cpu")
BATCH_SLOTS, POSITIONS, LAYERS, KV_HEADS, DIM = 5, 37, 2, 2, 4


def cache_of(block_size: int, blocks: int = 0, int8: bool = False) -> PagedCache:
    return PagedCache(
        layers=LAYERS,
        kv_heads=KV_HEADS,
        head_dim=DIM,
        batch_slots=BATCH_SLOTS,
        positions=POSITIONS,
        block_size=block_size,
        blocks=blocks,
        dtype=torch.float32,
        device=CPU,
        int8=int8,
    )


caches = st.one_of(
    st.just(0).map(cache_of),
    st.builds(cache_of, st.sampled_from([1, 4, 8, 64]), st.integers(1, 20)),
)
"""Contiguous ones and paged ones, some of which do not hold all sequences."""


@dataclass(frozen=True)
class Reserve:
    batch_slot: int
    tokens: int


@dataclass(frozen=True)
class Release:
    batch_slot: int


@dataclass(frozen=True)
class Move:
    source: int
    target: int


Step = Reserve | Release | Move

slot_numbers = st.integers(0, BATCH_SLOTS - 1)
steps = st.lists(
    st.one_of(
        st.builds(Reserve, slot_numbers, st.integers(0, POSITIONS)),
        st.builds(Release, slot_numbers),
        st.builds(Move, slot_numbers, slot_numbers),
    ),
    max_size=40,
)


def blocks_of(cache: PagedCache) -> list[list[int]]:
    """The blocks of each batch slot in order, as the device's block table has them."""
    cache.sync()
    block_table: list[list[int]] = cache.block_table.tolist()
    found = []
    for entries in block_table:
        blocks = [block for block in entries if block]
        assert entries[: len(blocks)] == blocks
        found.append(blocks)
    return found


def take(cache: PagedCache, step: Step, held: list[int]) -> None:
    """Take a step, and update the tokens that each batch slot has room for."""
    match step:
        case Reserve(batch_slot, tokens):
            if cache.reserve(batch_slot, tokens):
                held[batch_slot] = max(held[batch_slot], tokens)
        case Release(batch_slot):
            cache.release(batch_slot)
            held[batch_slot] = 0
        case Move(source, target):
            if held[source] and not held[target]:
                cache.move(source, target)
                held[target], held[source] = held[source], 0


@given(cache=caches, steps=steps)
def test_no_block_is_lost_or_shared_or_block_0(cache: PagedCache, steps: list[Step]) -> None:
    held = [0] * BATCH_SLOTS
    for step in steps:
        take(cache, step, held)
        owned = blocks_of(cache)
        assert [len(blocks) for blocks in owned] == [cache.blocks_for(tokens) for tokens in held]
        given_out = [block for blocks in owned for block in blocks]
        assert len(given_out) == len(set(given_out))
        assert set(given_out) <= set(range(1, cache.blocks + 1))
        if not cache.contiguous:
            assert cache.free_blocks == cache.blocks - len(given_out)
    for batch_slot in range(BATCH_SLOTS):
        cache.release(batch_slot)
    assert blocks_of(cache) == [[]] * BATCH_SLOTS
    assert cache.free_blocks == cache.blocks


@given(cache=caches, steps=steps, batch_slot=slot_numbers, tokens=st.integers(1, POSITIONS))
def test_room_is_given_whenever_it_is_there_and_else_nothing_is_changed(
    cache: PagedCache, steps: list[Step], batch_slot: int, tokens: int
) -> None:
    held = [0] * BATCH_SLOTS
    for step in steps:
        take(cache, step, held)
    before, free_blocks = blocks_of(cache), cache.free_blocks
    wanted = cache.blocks_for(tokens) - len(before[batch_slot])
    if cache.reserve(batch_slot, tokens):
        after = blocks_of(cache)
        assert after[batch_slot][: len(before[batch_slot])] == before[batch_slot]
        assert len(after[batch_slot]) == max(cache.blocks_for(tokens), len(before[batch_slot]))
        assert after[:batch_slot] + after[batch_slot + 1 :] == before[:batch_slot] + before[batch_slot + 1 :]
    else:
        assert not cache.contiguous
        assert wanted > free_blocks
        assert (blocks_of(cache), cache.free_blocks) == (before, free_blocks)


def test_a_whole_sequence_has_the_block_behind_its_number() -> None:
    cache = cache_of(0)
    for batch_slot in (3, 0, 4):
        assert cache.reserve(batch_slot, 1)
    assert blocks_of(cache) == [[1], [], [], [4], [5]]
    cache.move(4, 1)
    assert blocks_of(cache) == [[1], [2], [], [4], []]


def numbered(batch_slots: list[int], positions: int) -> torch.Tensor:
    """Keys [batch slots, positions, kv heads, head_dim], of which no two numbers are the same."""
    first = torch.tensor(batch_slots).view(-1, 1, 1, 1) * 10_000
    return (first + 1 + torch.arange(positions * KV_HEADS * DIM).view(1, positions, KV_HEADS, DIM)).float()


def read(cache: PagedCache, layer: int, batch_slot: int, tokens: int) -> torch.Tensor:
    """Keys and values [2, tokens, kv heads, head_dim] of a batch slot, block by block."""
    blocks = blocks_of(cache)[batch_slot]
    parts = [cache.pool[layer, :, block].transpose(1, 2) for block in blocks]
    return torch.cat(parts, dim=1)[:, :tokens]


@pytest.mark.parametrize("block_size", [0, 4, 8, 64])
@given(lengths=st.lists(st.integers(1, POSITIONS), min_size=1, max_size=BATCH_SLOTS))
def test_keys_and_values_lie_where_the_block_table_says(block_size: int, lengths: list[int]) -> None:
    cache = cache_of(block_size, blocks=60)
    batch_slots = list(range(BATCH_SLOTS))[-len(lengths) :]
    for batch_slot, length in zip(reversed(batch_slots), reversed(lengths), strict=True):
        assert cache.reserve(batch_slot, length)
    cache.sync()
    keys = numbered(batch_slots, max(lengths))
    locations = cache.locations(torch.tensor(batch_slots), max(lengths))
    for layer in range(LAYERS):
        cache.write(layer, locations, keys + layer, -keys - layer)
    for layer in range(LAYERS):
        for number, (batch_slot, length) in enumerate(zip(batch_slots, lengths, strict=True)):
            wanted = keys[number, :length] + layer
            assert torch.equal(read(cache, layer, batch_slot, length), torch.stack([wanted, -wanted]))
    owned = {block for blocks in blocks_of(cache) for block in blocks}
    others = [block for block in range(1, cache.blocks + 1) if block not in owned]
    assert not cache.pool[:, :, others].any()


def unpacked(cache: PagedCache, layer: int, batch_slot: int, tokens: int) -> torch.Tensor:
    """Keys and values [2, tokens, kv heads, head_dim] of a batch slot of a cache in 8 bits, block by block."""
    assert cache.scales is not None
    parts = []
    for block in blocks_of(cache)[batch_slot]:
        keys, turned = cache.pool[layer, :, block]
        values = turned.reshape(KV_HEADS, DIM, cache.block_size).transpose(1, 2)
        both = dequantized(torch.stack([keys, values]), cache.scales[layer, :, block], torch.float32)
        parts.append(both.transpose(1, 2))
    return torch.cat(parts, dim=1)[:, :tokens]


def rounded(numbers: torch.Tensor) -> torch.Tensor:
    return dequantized(*quantized(numbers), torch.float32)


@pytest.mark.parametrize("block_size", [0, 4, 8, 64])
@given(lengths=st.lists(st.integers(1, POSITIONS), min_size=1, max_size=BATCH_SLOTS))
def test_in_8_bits_prompts_lie_where_the_block_table_says(block_size: int, lengths: list[int]) -> None:
    cache = cache_of(block_size, blocks=60, int8=True)
    batch_slots = list(range(len(lengths)))
    for batch_slot, length in enumerate(lengths):
        assert cache.reserve(batch_slot, length)
    cache.sync()
    keys = torch.randn(len(lengths), max(lengths), KV_HEADS, DIM)
    values = torch.randn_like(keys) * 40
    cache.write(1, cache.locations(torch.tensor(batch_slots), max(lengths)), keys, values)
    for batch_slot, length in enumerate(lengths):
        wanted = torch.stack([rounded(keys[batch_slot, :length]), rounded(values[batch_slot, :length])])
        assert torch.equal(unpacked(cache, 1, batch_slot, length), wanted)
    assert not cache.pool[0].any()


def test_in_8_bits_one_token_of_each_sequence_is_written_and_the_context_is_read() -> None:
    cache = cache_of(0, int8=True)
    for batch_slot in range(BATCH_SLOTS):
        assert cache.reserve(batch_slot, POSITIONS)
    cache.sync()
    keys, values = torch.randn(2, 3, 9, KV_HEADS, DIM)
    keys[1, 4] = 0.0
    for at in range(9):
        position = torch.full((3,), at)
        cache.write(0, (torch.arange(1, 4), position), keys[:, at], values[:, at])
    context = cache.context(0, 3, 9)
    assert torch.equal(context[0], rounded(keys).transpose(1, 2))
    assert torch.equal(context[1], rounded(values).transpose(1, 2))
    cache.move(2, 4)
    assert torch.equal(cache.context(0, 5, 9)[0][4], context[0][2])
    assert torch.equal(cache.context(0, 5, 9)[1][4], context[1][2])


def test_in_8_bits_a_released_block_serves_the_next_sequence() -> None:
    cache = cache_of(8, blocks=2, int8=True)
    assert cache.reserve(0, 16)
    assert not cache.reserve(1, 1)
    cache.sync()
    first = torch.randn(1, 16, KV_HEADS, DIM)
    cache.write(0, cache.locations(torch.tensor([0]), 16), first, first)
    cache.release(0)
    assert cache.reserve(1, 11)
    cache.sync()
    second = torch.randn(1, 11, KV_HEADS, DIM)
    cache.write(0, cache.locations(torch.tensor([1]), 11), second, -second)
    assert torch.equal(unpacked(cache, 0, 1, 11), torch.stack([rounded(second[0]), rounded(-second[0])]))


def test_padding_behind_a_sequences_blocks_goes_to_block_0() -> None:
    cache = cache_of(4, blocks=20)
    assert cache.reserve(0, 3)
    assert cache.reserve(1, 9)
    cache.sync()
    keys = numbered([0, 1], 12)
    cache.write(0, cache.locations(torch.tensor([0, 1]), 12), keys, keys)
    assert torch.equal(read(cache, 0, 0, 4)[0], keys[0, :4])
    assert torch.equal(read(cache, 0, 1, 12)[0], keys[1])
    assert set(cache.pool[0, 0, 0].flatten().tolist()) <= set(keys[0, 4:].flatten().tolist())
    assert not cache.pool[1].any()


@pytest.mark.parametrize("block_size", [0, 4, 64])
def test_a_moved_sequence_keeps_what_it_has(block_size: int) -> None:
    cache = cache_of(block_size, blocks=30)
    for batch_slot in (1, 4):
        assert cache.reserve(batch_slot, 11 + batch_slot)
    cache.sync()
    keys = numbered([1, 4], 15)
    for layer in range(LAYERS):
        cache.write(layer, cache.locations(torch.tensor([1, 4]), 15), keys + layer, -keys)
    kept = [read(cache, layer, 4, 15) for layer in range(LAYERS)]
    others = [read(cache, layer, 1, 12) for layer in range(LAYERS)]
    cache.move(4, 0)
    assert blocks_of(cache)[4] == []
    for layer in range(LAYERS):
        assert torch.equal(read(cache, layer, 0, 15), kept[layer])
        assert torch.equal(read(cache, layer, 1, 12), others[layer])


def test_the_block_table_changes_when_it_is_synced_and_not_before() -> None:
    cache = cache_of(4, blocks=20)
    block_table = cache.block_table
    assert cache.reserve(2, 5)
    assert not cache.block_table.any()
    cache.sync()
    assert cache.block_table is block_table
    assert block_table[2].count_nonzero() == 2
    cache.release(2)
    assert block_table[2].count_nonzero() == 2
    cache.sync()
    assert not block_table.any()


def test_a_position_is_a_key_and_a_value_in_all_layers_and_heads() -> None:
    cache = cache_of(8, blocks=3)
    assert cache.pool.numel() == 2 * LAYERS * KV_HEADS * DIM * 8 * (3 + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_an_upload_is_a_copy(dtype: torch.dtype) -> None:
    source, target = torch.arange(6).to(dtype), torch.zeros(6, dtype=dtype)
    upload(source, target)
    assert torch.equal(source, target)
    source[0] = 9
    assert target[0] == 0
