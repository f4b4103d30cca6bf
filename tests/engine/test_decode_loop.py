from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from maya_batch.engine.api import EngineStats, Generation, Hooks, Request, Sampling
from maya_batch.engine.frame_runner import FrameRunner
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.paged_cache import PagedCache
from maya_batch.engine.sequence_state import SequenceState
from maya_batch.errors import MachineError
from tests.support.sequences import REQUESTS, SAMPLED, assert_same, generate, generate_all, request


@pytest.fixture(scope="module", params=[1.1, pytest.param(1.0, marks=pytest.mark.soak)])
def sampling(request: pytest.FixtureRequest) -> Sampling:
    """Hot, so that rounding would soon turn a draw."""
    return Sampling(temperature=1.0, top_p=1.0, repetition_penalty=request.param)


@pytest.fixture(scope="module")
def alone(engine: HfEngine, sampling: Sampling) -> dict[str, Generation]:
    """All sequences, one after the other."""
    found = generate_all(engine, REQUESTS, sampling, 1)
    assert [found[request.key].finish for request in REQUESTS] == ["cap"] * 6 + ["eos"] + ["cap"] * 5
    assert all(len(found[request.key].codes) == request.max_frames for request in REQUESTS if request.max_frames < 30)
    return found


def test_a_retry_that_is_too_long_after_the_memory_was_full_is_left_to_the_next_batch(
    engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest sequence has ended before the memory is full; the cache of the remaining ones has no room for it."""
    short, long = [request(number, 4) for number in range(2)], request(2, 30)
    came: list[Generation] = []
    again = [replace(long, seed=7)]

    def retries() -> list[Request]:
        return [again.pop()] if again and any(generation.key == "2" for generation in came) else []

    generate_constrained = engine._generate_constrained
    batches: list[list[str]] = []

    def full(requests: Sequence[Request], *rest: Any) -> Iterator[list[Generation]]:
        batches.append([request.key for request in requests])
        if len(requests) == 3:
            yield from generate_constrained([long], *rest)
            raise torch.OutOfMemoryError("full")
        yield from generate_constrained(requests, *rest)

    monkeypatch.setattr(engine, "_generate_constrained", full)
    for generations in generate(engine, [*short, long], SAMPLED, 3, Hooks(retries=retries)):
        came += generations
    assert Counter(generation.key for generation in came) == Counter(["0", "1", "2", "2"])
    assert batches == [["0", "1", "2"], ["0", "1"], ["2"]]


@pytest.mark.parametrize(("batch_size", "together"), [(1, 1), (3, 3), (5, 5), (100, 9)])
def test_sequences_together_are_never_more_than_the_batch_size(
    batch_size: int, together: int, engine: HfEngine
) -> None:
    stats = EngineStats()
    prompts = [len(engine.prompts.encode(request.description, request.text)) for request in REQUESTS]
    list(generate(engine, [request(number, 4) for number in range(9)], SAMPLED, batch_size, stats=stats))
    assert stats.max_sequences == together
    llama = engine._llama
    position = 2 * llama.layers * llama.kv_heads * llama.head_dim * 4
    least = stats.steps * (llama.layer_bytes + min(prompts) * position)
    assert least < stats.bytes_read < stats.steps * (llama.layer_bytes + together * (max(prompts) + 50) * position)


def test_frames_become_smaller_when_sequences_have_ended(
    engine: HfEngine, sampling: Sampling, alone: dict[str, Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first six of twelve sequences end together, and those behind them move up."""
    sizes: list[int] = []
    moved: list[tuple[int, int]] = []
    decode_frame, move = FrameRunner.decode, SequenceState.move

    def watched(runner: FrameRunner, batch_size: int, max_context: int) -> None:
        sizes.append(batch_size)
        decode_frame(runner, batch_size, max_context)

    def watched_move(state: SequenceState, sources: list[int], targets: list[int]) -> None:
        moved.extend(zip(sources, targets, strict=True))
        move(state, sources, targets)

    monkeypatch.setattr(FrameRunner, "decode", watched)
    monkeypatch.setattr(SequenceState, "move", watched_move)
    assert_same(generate_all(engine, REQUESTS, sampling, 12), alone)
    assert sizes[:5] == [16] * 5
    assert set(sizes[5:]) == {8}
    assert sorted(moved) == [(source, source - 6) for source in range(6, 12)]


def failing_at(calls: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the cache be full at its calls of these numbers, from 0 on."""
    reserve, count = PagedCache.reserve, 0

    def full(cache: PagedCache, batch_slot: int, tokens: int) -> bool:
        nonlocal count
        count += 1
        return count - 1 not in calls and reserve(cache, batch_slot, tokens)

    monkeypatch.setattr(PagedCache, "reserve", full)


def test_a_preempted_sequence_becomes_the_same(
    engine: HfEngine, sampling: Sampling, alone: dict[str, Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: Counter[str] = Counter()
    admit = SequenceState.admit

    def watched(
        state: SequenceState, batch_slots: Sequence[int], requests: Sequence[Request], prompts: Sequence[Sequence[int]]
    ) -> None:
        begun.update(request.key for request in requests)
        admit(state, batch_slots, requests, prompts)

    monkeypatch.setattr(SequenceState, "admit", watched)
    failing_at({6, 15, 16, 30, 42}, monkeypatch)
    stats = EngineStats()
    finished = [
        generation for found in generate(engine, REQUESTS[6:], sampling, 4, stats=stats) for generation in found
    ]
    assert (
        sorted(generation.key for generation in finished)
        == sorted(begun)
        == sorted(request.key for request in REQUESTS[6:])
    )
    assert_same({generation.key: generation for generation in finished}, alone)
    assert stats.preemptions == begun.total() - len(begun) > 2


def test_a_sequence_alone_that_the_cache_does_not_hold_is_an_error(
    engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at({3}, monkeypatch)
    with pytest.raises(MachineError, match=r"too small for one sequence of \d+ tokens"):
        generate_all(engine, REQUESTS[:1], SAMPLED, 1)


def test_a_prompt_alone_that_the_cache_does_not_hold_is_an_error(
    engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at({0}, monkeypatch)
    with pytest.raises(MachineError, match="too small for even one chunk"):
        generate_all(engine, REQUESTS[:2], SAMPLED, 2)


def logits_of(
    engine: HfEngine, requests: Sequence[Request], batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> list[torch.Tensor]:
    """The model's logits of all batch slots, step by step."""
    seen: list[torch.Tensor] = []
    sample = SequenceState.sample

    def watched(state: SequenceState, slot: int, logits: torch.Tensor) -> None:
        seen.append(logits.clone())
        sample(state, slot, logits)

    with monkeypatch.context() as patch:
        patch.setattr(SequenceState, "sample", watched)
        generate_all(engine, requests, SAMPLED, batch_size)
    return seen


def test_neighbours_change_no_bit_of_the_scores(engine: HfEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(number, 5) for number in range(12)]
    together = logits_of(engine, requests, 12, monkeypatch)
    for number in range(0, 12, 3):
        for one, all_slots in zip(logits_of(engine, [requests[number]], 1, monkeypatch), together, strict=True):
            assert torch.equal(one[0], all_slots[number])
