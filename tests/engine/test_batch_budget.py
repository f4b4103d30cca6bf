from bisect import bisect_left
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from maya_batch.audio.decode_window import BYTES_A_SAMPLE, CLIP_BYTES_A_SAMPLE, CONTEXT
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.admission import Forecast
from maya_batch.engine.batch_budget import Budget, Need, bucket, plan_budget, predicted_peak
from maya_batch.engine.kernels.llama_layers import Llama
from maya_batch.engine.paged_cache import PAGE, KvCache

LAYOUT = TokenLayout()
LAYERS, KV_HEADS, HEAD_DIM = 2, 2, 16
POSITION = 2 * LAYERS * KV_HEADS * HEAD_DIM * 4
"""Bytes of a token's keys and values in float32."""
GIB = 2**30
PLENTY = 2**50
WINDOW = 100
WEIGHTS = 6 * GIB

needs = st.builds(
    lambda prompt, cap, share: Need(prompt, cap, max(round(cap * share), 1)),
    st.integers(8, 300),
    st.integers(4, 300),
    st.floats(0.1, 1.0),
)
several = st.lists(needs, min_size=1, max_size=60)
row_counts = st.integers(1, 80)
spares = st.integers(0, 3 * GIB)


def llama() -> Llama:
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=4 * HEAD_DIM,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=KV_HEADS,
    )
    return Llama(LlamaForCausalLM(config))


@pytest.fixture(scope="module")
def on_cpu() -> Llama:
    return llama()


@pytest.fixture(scope="module")
def on_gpu() -> Iterator[Llama]:
    """What passes for a model on a GPU as long as only its place and its memory are asked for."""
    model = llama()
    model.head = SimpleNamespace(device=torch.device("cuda", 0))  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maya_batch.engine.batch_budget.window_frames", lambda device, frame_samples: WINDOW)
        patch.setattr("torch.cuda.memory_allocated", lambda device: WEIGHTS)
        yield model


def plan(model: Llama, asked: list[Need], rows: int, spare: int, paged: bool = True) -> Budget:
    """The budget on a GPU with so many bytes to spare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maya_batch.engine.batch_budget._spare", lambda device: spare)
        return plan_budget(model, LAYOUT, asked, rows, paged)


def test_a_frame_has_room_for_its_rows_in_a_few_sizes() -> None:
    budget = Budget(300, 1000, 10, PAGE)
    sizes = [bucket(rows) for rows in range(1, 513)]
    assert all(size >= rows and size % 8 == 0 for rows, size in enumerate(sizes, start=1))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) <= 16  # each is a captured graph
    assert sizes[-1] == 512
    assert bucket(513) == 640
    assert budget.places == 320


@given(need=needs)
def test_a_row_may_take_its_prompt_and_its_cap_and_a_few_frames_that_nobody_saw(need: Need) -> None:
    assert need.prompt + (need.max_frames + 1) * SLOTS <= need.most <= need.prompt + (need.max_frames + 10) * SLOTS


@given(asked=several, rows=row_counts)
def test_on_a_cpu_each_row_has_the_room_of_the_longest(on_cpu: Llama, asked: list[Need], rows: int) -> None:
    budget = plan_budget(on_cpu, LAYOUT, asked, rows, False)
    assert budget.rows == min(rows, len(asked))
    assert 0 <= budget.positions - max(need.most for need in asked) < PAGE
    assert budget.page_size == 0


@given(asked=several, rows=row_counts)
def test_with_memory_in_plenty_there_are_pages_for_all_rows_as_long_as_expected(
    on_gpu: Llama, asked: list[Need], rows: int
) -> None:
    budget = plan(on_gpu, asked, rows, PLENTY)
    assert (budget.rows, budget.page_size) == (min(rows, len(asked)), PAGE)
    assert 0 <= budget.positions - max(need.most for need in asked) < PAGE
    assert budget.pages * PAGE >= budget.positions
    forecast = Forecast(budget.pages, PAGE)
    forecast.begin(max(need.max_frames for need in asked))
    for need in asked[: budget.rows]:
        assert forecast.fits(need.prompt, need.expected_frames)
        forecast.add(need.prompt, need.expected_frames)
    longest = -(-(budget.positions + 16 * SLOTS) // PAGE)
    assert budget.pages <= 1.25 * budget.rows * longest


@given(asked=several, rows=row_counts, spare=spares)
def test_pages_are_no_more_than_there_is_memory_for(on_gpu: Llama, asked: list[Need], rows: int, spare: int) -> None:
    budget = plan(on_gpu, asked, rows, spare)
    assert 1 <= budget.pages <= plan(on_gpu, asked, rows, spare + GIB).pages
    assert budget.pages <= plan(on_gpu, asked, rows, PLENTY).pages
    assert budget.pages == 1 or budget.pages * PAGE * POSITION < spare
    assert budget.rows == min(rows, len(asked))


def test_a_small_gpu_gets_the_pages_that_it_holds(on_gpu: Llama) -> None:
    asked = [Need(100, 200, 150)] * 64
    everything = plan(on_gpu, asked, 64, PLENTY).pages
    page = PAGE * POSITION
    enough = bisect_left(range(8 * GIB), everything, key=lambda spare: plan(on_gpu, asked, 64, spare).pages)
    assert plan(on_gpu, asked, 64, enough - 100 * page).pages == everything - 100
    assert plan(on_gpu, asked, 64, 0).pages == 1


@given(asked=several, rows=row_counts, spare=spares)
def test_without_pages_the_rows_are_no_more_than_there_is_memory_for(
    on_gpu: Llama, asked: list[Need], rows: int, spare: int
) -> None:
    budget = plan(on_gpu, asked, rows, spare, paged=False)
    longest = max(need.most for need in asked)
    assert budget.page_size == 0
    assert 0 <= budget.positions - longest < PAGE
    assert 1 <= budget.rows <= min(rows, len(asked))
    assert budget.rows == 1 or budget.rows * longest * POSITION < spare
    assert budget.rows <= plan(on_gpu, asked, rows, spare + GIB, paged=False).rows
    assert plan(on_gpu, asked, rows, PLENTY, paged=False).rows == min(rows, len(asked))


@given(asked=several, rows=row_counts, spare=st.integers(GIB, 4 * GIB))
def test_the_peak_that_is_foretold_holds_the_cache_and_is_held_by_the_gpu(
    on_gpu: Llama, asked: list[Need], rows: int, spare: int
) -> None:
    budget = plan(on_gpu, asked, rows, spare)
    peak = predicted_peak(on_gpu, LAYOUT, budget, max(need.max_frames for need in asked))
    cache = KvCache(
        layers=LAYERS,
        kv_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        rows=budget.places,
        positions=budget.positions,
        page_size=budget.page_size,
        pages=budget.pages,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    assert peak > WEIGHTS + cache.pool.numel() * cache.pool.element_size()
    assert budget.pages == 1 or peak <= WEIGHTS + spare


def test_a_clip_takes_the_memory_of_a_window_however_long_it_is(on_gpu: Llama) -> None:
    budget = Budget(8, 8192, 64, PAGE)
    short, window, long = (predicted_peak(on_gpu, LAYOUT, budget, frames) for frames in (10, WINDOW, 40 * WINDOW))
    a_frame = LAYOUT.frame_samples * BYTES_A_SAMPLE
    assert window - short >= (WINDOW - 10) * a_frame
    kept = 8 * SLOTS * 8 + LAYOUT.frame_samples * CLIP_BYTES_A_SAMPLE  # of each frame: codes of 8 rows, noise, samples
    assert long - window <= 2 * CONTEXT * a_frame + 40 * WINDOW * kept
