from bisect import bisect_left
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from maya_batch.audio.decode_window import BYTES_A_SAMPLE, CLIP_BYTES_A_SAMPLE, CONTEXT, STEP
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.admission import BlockForecast
from maya_batch.engine.batch_budget import (
    BatchBudget,
    SequenceNeed,
    default_batch_size,
    graph_batch_size,
    plan_budget,
    predicted_peak,
)
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.paged_cache import BLOCK_SIZE, PagedCache

LAYOUT = TokenLayout()
LAYERS, KV_HEADS, HEAD_DIM = 2, 2, 16
#: Bytes of a position in float32, and in 8 bits with a float16 scale for each head.
POSITION = {False: 2 * LAYERS * KV_HEADS * HEAD_DIM * 4, True: 2 * LAYERS * KV_HEADS * (HEAD_DIM + 2)}
"""Bytes of a token's keys and values in float32."""
GIB = 2**30
PLENTY = 2**50
WINDOW = 100
WEIGHTS = 6 * GIB

needs = st.builds(
    lambda prompt, max_frames, share: SequenceNeed(prompt, max_frames, max(round(max_frames * share), 1)),
    st.integers(8, 300),
    st.integers(4, 300),
    st.floats(0.1, 1.0),
)
several = st.lists(needs, min_size=1, max_size=60)
batch_sizes = st.integers(1, 80)
spares = st.integers(0, 3 * GIB)


def llama(int8_cache: bool = False) -> LlamaLayers:
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=4 * HEAD_DIM,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=KV_HEADS,
    )
    return LlamaLayers(LlamaForCausalLM(config), int8_cache=int8_cache)


@pytest.fixture(scope="module")
def on_cpu() -> LlamaLayers:
    return llama()


@pytest.fixture(scope="module", params=[False, True], ids=["model", "int8"])
def on_gpu(request: pytest.FixtureRequest) -> Iterator[LlamaLayers]:
    """A model that says it is on a GPU; only its device and its memory can be asked for."""
    model = llama(request.param)
    model.head = SimpleNamespace(device=torch.device("cuda", 0))  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maya_batch.audio.decode_window.window_frames", lambda device, frame_samples: WINDOW)
        patch.setattr("torch.cuda.memory_allocated", lambda device: WEIGHTS)
        yield model


def plan(model: LlamaLayers, asked: list[SequenceNeed], batch_size: int, spare: int, paged: bool = True) -> BatchBudget:
    """The budget on a GPU with so many bytes to spare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maya_batch.engine.batch_budget.free_bytes", lambda device: spare)
        return plan_budget(model, LAYOUT, asked, batch_size, paged)


def test_a_frame_has_room_for_its_sequences_in_a_few_sizes() -> None:
    sizes = [graph_batch_size(sequences) for sequences in range(1, 513)]
    assert all(size >= sequences and size % 8 == 0 for sequences, size in enumerate(sizes, start=1))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) <= 20  # each is captured as graphs
    assert sizes[-1] == 512
    assert graph_batch_size(513) == 640
    assert graph_batch_size(300) == 320


@pytest.mark.parametrize(
    ("device", "quantization", "gibibytes", "share", "size"),
    [
        ("cpu", "none", 0, 1.0, 16),
        ("cuda:0", "none", 140, 1.0, 512),
        ("cuda:0", "nf4", 24, 1.0, 512),
        ("cuda:0", "nf4", 80, 1.0, 1024),
        ("cuda:0", "nf4", 16, 1.0, 512),
        ("cuda:0", "nf4", 12, 1.0, 128),
        ("cuda:0", "nf4", 80, 0.1, 64),
        ("cuda:0", "none", 8, 1.0, 512),
    ],
)
def test_weights_that_are_unpacked_at_each_step_are_shared_by_more_sequences_if_there_is_memory(
    device: str, quantization: str, gibibytes: int, share: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(total_memory=gibibytes * GIB)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: memory)
    monkeypatch.setattr("torch.cuda.get_per_process_memory_fraction", lambda device: share)
    assert default_batch_size(torch.device(device), quantization) == size


@given(need=needs)
def test_a_sequence_may_take_its_prompt_and_its_max_frames_and_a_few_unseen_frames(need: SequenceNeed) -> None:
    assert (
        need.prompt_tokens + (need.max_frames + 1) * SLOTS
        <= need.max_positions
        <= need.prompt_tokens + (need.max_frames + 10) * SLOTS
    )


@given(asked=several, batch_size=batch_sizes)
def test_on_a_cpu_each_sequence_has_the_room_of_the_longest(
    on_cpu: LlamaLayers, asked: list[SequenceNeed], batch_size: int
) -> None:
    budget = plan_budget(on_cpu, LAYOUT, asked, batch_size, False)
    assert budget.sequences == min(batch_size, len(asked))
    assert 0 <= budget.positions - max(need.max_positions for need in asked) < BLOCK_SIZE
    assert budget.block_size == 0


@given(asked=several, batch_size=batch_sizes)
def test_with_memory_in_plenty_there_are_blocks_for_all_sequences_as_long_as_expected(
    on_gpu: LlamaLayers, asked: list[SequenceNeed], batch_size: int
) -> None:
    budget = plan(on_gpu, asked, batch_size, PLENTY)
    assert (budget.sequences, budget.block_size) == (min(batch_size, len(asked)), BLOCK_SIZE)
    assert 0 <= budget.positions - max(need.max_positions for need in asked) < BLOCK_SIZE
    assert budget.blocks * BLOCK_SIZE >= budget.positions
    forecast = BlockForecast(budget.blocks, BLOCK_SIZE)
    forecast.reset(max(need.expected_frames for need in asked))
    for need in asked[: budget.sequences]:
        assert forecast.fits(need.prompt_tokens, need.expected_frames)
        forecast.add(need.prompt_tokens, need.expected_frames)
    longest = -(-(budget.positions + 16 * SLOTS) // BLOCK_SIZE)
    assert budget.blocks <= 1.25 * budget.sequences * longest


@given(asked=several, batch_size=batch_sizes, spare=spares)
def test_blocks_are_no_more_than_there_is_memory_for(
    on_gpu: LlamaLayers, asked: list[SequenceNeed], batch_size: int, spare: int
) -> None:
    budget = plan(on_gpu, asked, batch_size, spare)
    assert 1 <= budget.blocks <= plan(on_gpu, asked, batch_size, spare + GIB).blocks
    assert budget.blocks <= plan(on_gpu, asked, batch_size, PLENTY).blocks
    assert budget.blocks == 1 or budget.blocks * BLOCK_SIZE * POSITION[on_gpu.int8_cache] < spare
    assert budget.sequences == min(batch_size, len(asked))


def test_a_small_gpu_gets_the_blocks_that_it_holds(on_gpu: LlamaLayers) -> None:
    asked = [SequenceNeed(100, 200, 150)] * 64
    everything = plan(on_gpu, asked, 64, PLENTY).blocks
    block = BLOCK_SIZE * POSITION[on_gpu.int8_cache]
    enough = bisect_left(range(8 * GIB), everything, key=lambda spare: plan(on_gpu, asked, 64, spare).blocks)
    assert plan(on_gpu, asked, 64, enough - 100 * block).blocks == everything - 100
    assert plan(on_gpu, asked, 64, 0).blocks == 1


@given(asked=several, batch_size=batch_sizes, spare=spares)
def test_without_blocks_the_sequences_are_no_more_than_there_is_memory_for(
    on_gpu: LlamaLayers, asked: list[SequenceNeed], batch_size: int, spare: int
) -> None:
    budget = plan(on_gpu, asked, batch_size, spare, paged=False)
    longest = max(need.max_positions for need in asked)
    assert budget.block_size == 0
    assert 0 <= budget.positions - longest < BLOCK_SIZE
    assert 1 <= budget.sequences <= min(batch_size, len(asked))
    assert budget.sequences == 1 or budget.sequences * longest * POSITION[on_gpu.int8_cache] < spare
    assert budget.sequences <= plan(on_gpu, asked, batch_size, spare + GIB, paged=False).sequences
    assert plan(on_gpu, asked, batch_size, PLENTY, paged=False).sequences == min(batch_size, len(asked))


@given(asked=several, batch_size=batch_sizes, spare=st.integers(GIB, 4 * GIB))
def test_the_peak_that_is_foretold_holds_the_cache_and_is_held_by_the_gpu(
    on_gpu: LlamaLayers, asked: list[SequenceNeed], batch_size: int, spare: int
) -> None:
    budget = plan(on_gpu, asked, batch_size, spare)
    peak = predicted_peak(on_gpu, LAYOUT, budget, max(need.max_frames for need in asked))
    cache = PagedCache(
        layers=LAYERS,
        kv_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        batch_slots=graph_batch_size(budget.sequences),
        positions=budget.positions,
        block_size=budget.block_size,
        blocks=budget.blocks,
        dtype=torch.float32,
        device=torch.device("cpu"),
        int8=on_gpu.int8_cache,
    )
    held = sum(part.nbytes for part in (cache.pool, cache.scales) if part is not None)
    assert held == (budget.blocks + 1) * BLOCK_SIZE * on_gpu.position_bytes
    assert peak > WEIGHTS + held
    assert budget.blocks == 1 or peak <= WEIGHTS + spare


def test_a_clip_takes_the_memory_of_a_window_however_long_it_is(on_gpu: LlamaLayers) -> None:
    budget = BatchBudget(8, 8192, 64, BLOCK_SIZE)
    short, window, long = (predicted_peak(on_gpu, LAYOUT, budget, frames) for frames in (10, WINDOW, 40 * WINDOW))
    a_frame = LAYOUT.frame_samples * BYTES_A_SAMPLE
    assert window - short >= (WINDOW + 2 * CONTEXT - STEP) * a_frame
    kept = 8 * SLOTS * 8 + LAYOUT.frame_samples * CLIP_BYTES_A_SAMPLE  # of each frame: codes of 8 rows, noise, samples
    assert long - window <= 2 * CONTEXT * a_frame + 40 * WINDOW * kept
