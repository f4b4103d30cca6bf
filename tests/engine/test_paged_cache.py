from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.engine.paged_cache import KvCache, upload

CPU = torch.device("cpu")
ROWS, POSITIONS, LAYERS, KV_HEADS, DIM = 5, 37, 2, 2, 4


def cache_of(page_size: int, pages: int = 0) -> KvCache:
    return KvCache(
        layers=LAYERS,
        kv_heads=KV_HEADS,
        head_dim=DIM,
        rows=ROWS,
        positions=POSITIONS,
        page_size=page_size,
        pages=pages,
        dtype=torch.float32,
        device=CPU,
    )


caches = st.one_of(
    st.just(0).map(cache_of),
    st.builds(cache_of, st.sampled_from([1, 4, 8, 64]), st.integers(1, 20)),
)
"""Whole ones and paged ones, some of which do not hold all rows."""


@dataclass(frozen=True)
class Reserve:
    row: int
    tokens: int


@dataclass(frozen=True)
class Release:
    row: int


@dataclass(frozen=True)
class Move:
    source: int
    target: int


Step = Reserve | Release | Move

row_numbers = st.integers(0, ROWS - 1)
steps = st.lists(
    st.one_of(
        st.builds(Reserve, row_numbers, st.integers(0, POSITIONS)),
        st.builds(Release, row_numbers),
        st.builds(Move, row_numbers, row_numbers),
    ),
    max_size=40,
)


def rows_of(cache: KvCache) -> list[list[int]]:
    """The pages of each row in order, as the device's table has them."""
    cache.sync()
    table: list[list[int]] = cache.table.tolist()
    found = []
    for line in table:
        pages = [page for page in line if page]
        assert line[: len(pages)] == pages
        found.append(pages)
    return found


def take(cache: KvCache, step: Step, held: list[int]) -> None:
    """A step, and the tokens that each row has room for after it."""
    match step:
        case Reserve(row, tokens):
            if cache.reserve(row, tokens):
                held[row] = max(held[row], tokens)
        case Release(row):
            cache.release(row)
            held[row] = 0
        case Move(source, target):
            if held[source] and not held[target]:
                cache.move(source, target)
                held[target], held[source] = held[source], 0


@given(cache=caches, steps=steps)
def test_no_page_is_lost_or_shared_or_the_one_that_is_nobodys(cache: KvCache, steps: list[Step]) -> None:
    held = [0] * ROWS
    for step in steps:
        take(cache, step, held)
        rows = rows_of(cache)
        assert [len(pages) for pages in rows] == [cache.pages_for(tokens) for tokens in held]
        given_out = [page for pages in rows for page in pages]
        assert len(given_out) == len(set(given_out))
        assert set(given_out) <= set(range(1, cache.pages + 1))
        if not cache.whole:
            assert cache.free == cache.pages - len(given_out)
    for row in range(ROWS):
        cache.release(row)
    assert rows_of(cache) == [[]] * ROWS
    assert cache.free == cache.pages


@given(cache=caches, steps=steps, row=row_numbers, tokens=st.integers(1, POSITIONS))
def test_room_is_given_whenever_it_is_there_and_else_nothing_is_changed(
    cache: KvCache, steps: list[Step], row: int, tokens: int
) -> None:
    held = [0] * ROWS
    for step in steps:
        take(cache, step, held)
    before, free = rows_of(cache), cache.free
    wanted = cache.pages_for(tokens) - len(before[row])
    if cache.reserve(row, tokens):
        after = rows_of(cache)
        assert after[row][: len(before[row])] == before[row]
        assert len(after[row]) == max(cache.pages_for(tokens), len(before[row]))
        assert after[:row] + after[row + 1 :] == before[:row] + before[row + 1 :]
    else:
        assert not cache.whole
        assert wanted > free
        assert (rows_of(cache), cache.free) == (before, free)


def test_a_whole_row_has_the_page_behind_its_number() -> None:
    cache = cache_of(0)
    for row in (3, 0, 4):
        assert cache.reserve(row, 1)
    assert rows_of(cache) == [[1], [], [], [4], [5]]
    cache.move(4, 1)
    assert rows_of(cache) == [[1], [2], [], [4], []]


def numbered(rows: list[int], positions: int) -> torch.Tensor:
    """Keys [rows, positions, kv heads, head_dim], of which no two numbers are the same."""
    first = torch.tensor(rows).view(-1, 1, 1, 1) * 10_000
    return (first + 1 + torch.arange(positions * KV_HEADS * DIM).view(1, positions, KV_HEADS, DIM)).float()


def read(cache: KvCache, layer: int, row: int, tokens: int) -> torch.Tensor:
    """Keys and values [2, tokens, kv heads, head_dim] of a row, page by page."""
    pages = rows_of(cache)[row]
    parts = [cache.pool[layer, :, page].transpose(1, 2) for page in pages]
    return torch.cat(parts, dim=1)[:, :tokens]


@pytest.mark.parametrize("page_size", [0, 4, 8, 64])
@given(lengths=st.lists(st.integers(1, POSITIONS), min_size=1, max_size=ROWS))
def test_keys_and_values_lie_where_the_table_says(page_size: int, lengths: list[int]) -> None:
    cache = cache_of(page_size, pages=60)
    rows = list(range(ROWS))[-len(lengths) :]
    for row, length in zip(reversed(rows), reversed(lengths), strict=True):
        assert cache.reserve(row, length)
    cache.sync()
    keys = numbered(rows, max(lengths))
    lines = cache.lines(torch.tensor(rows), max(lengths))
    for layer in range(LAYERS):
        cache.write(layer, lines, keys + layer, -keys - layer)
    for layer in range(LAYERS):
        for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            wanted = keys[number, :length] + layer
            assert torch.equal(read(cache, layer, row, length), torch.stack([wanted, -wanted]))
    owned = {page for pages in rows_of(cache) for page in pages}
    others = [page for page in range(1, cache.pages + 1) if page not in owned]
    assert not cache.pool[:, :, others].any()


def test_padding_behind_a_rows_pages_goes_to_page_0() -> None:
    cache = cache_of(4, pages=20)
    assert cache.reserve(0, 3)
    assert cache.reserve(1, 9)
    cache.sync()
    keys = numbered([0, 1], 12)
    cache.write(0, cache.lines(torch.tensor([0, 1]), 12), keys, keys)
    assert torch.equal(read(cache, 0, 0, 4)[0], keys[0, :4])
    assert torch.equal(read(cache, 0, 1, 12)[0], keys[1])
    assert set(cache.pool[0, 0, 0].flatten().tolist()) <= set(keys[0, 4:].flatten().tolist())
    assert not cache.pool[1].any()


@pytest.mark.parametrize("page_size", [0, 4, 64])
def test_a_moved_row_keeps_what_it_has(page_size: int) -> None:
    cache = cache_of(page_size, pages=30)
    for row in (1, 4):
        assert cache.reserve(row, 11 + row)
    cache.sync()
    keys = numbered([1, 4], 15)
    for layer in range(LAYERS):
        cache.write(layer, cache.lines(torch.tensor([1, 4]), 15), keys + layer, -keys)
    kept = [read(cache, layer, 4, 15) for layer in range(LAYERS)]
    others = [read(cache, layer, 1, 12) for layer in range(LAYERS)]
    cache.move(4, 0)
    assert rows_of(cache)[4] == []
    for layer in range(LAYERS):
        assert torch.equal(read(cache, layer, 0, 15), kept[layer])
        assert torch.equal(read(cache, layer, 1, 12), others[layer])


def test_the_table_changes_when_it_is_synced_and_not_before() -> None:
    cache = cache_of(4, pages=20)
    table = cache.table
    assert cache.reserve(2, 5)
    assert not cache.table.any()
    cache.sync()
    assert cache.table is table
    assert table[2].count_nonzero() == 2
    cache.release(2)
    assert table[2].count_nonzero() == 2
    cache.sync()
    assert not table.any()


def test_a_position_is_a_key_and_a_value_in_all_layers_and_heads() -> None:
    cache = cache_of(8, pages=3)
    assert cache.pool.numel() == 2 * LAYERS * KV_HEADS * DIM * 8 * (3 + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_an_upload_is_a_copy(dtype: torch.dtype) -> None:
    source, target = torch.arange(6).to(dtype), torch.zeros(6, dtype=dtype)
    upload(source, target)
    assert torch.equal(source, target)
    source[0] = 9
    assert target[0] == 0
