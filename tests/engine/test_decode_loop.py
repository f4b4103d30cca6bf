from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import Decoding, Generation, Request, Sampling, Work
from maya_batch.engine.frame_runner import Frames
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.paged_cache import KvCache
from maya_batch.engine.sequence_state import Rows
from maya_batch.errors import MachineError
from tests.support.demo import FEMALE, MALE

TEXTS = ["Yes.", "Come in, my friend.", "He ran.", "<sigh> Well.", "Who is it?", "Go on.", "Stop now.", "The rain."]
CAPS = [4, 4, 4, 4, 4, 4, 30, 7, 5, 6, 7, 5]


def request(number: int, frames: int) -> Request:
    """Prompts of many lengths."""
    voice = (FEMALE, MALE, "Female.", f"{MALE} Slow pacing.", "Male voice.")[number % 5]
    text = "No!" if frames == 30 else TEXTS[number % len(TEXTS)]
    return Request(f"{number}", voice, text, 100 + number, frames)


REQUESTS = [request(number, frames) for number, frames in enumerate(CAPS)]


def generate(
    engine: HfEngine,
    requests: Sequence[Request],
    sampling: Sampling,
    rows: int,
    tick: Callable[[], None] | None = None,
    work: Work | None = None,
    more: Callable[[], Sequence[Request]] | None = None,
) -> Iterator[list[Generation]]:
    """At most so many rows together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "batch_size", rows)
        patch.setattr(engine, "work", work or Work())
        yield from engine.generate(requests, sampling, "framed", tick, more)


def speak(engine: HfEngine, requests: Sequence[Request], sampling: Sampling, rows: int) -> dict[str, Generation]:
    spoken = [row for found in generate(engine, requests, sampling, rows) for row in found]
    assert sorted(row.key for row in spoken) == sorted(request.key for request in requests)
    return {row.key: row for row in spoken}


def assert_same(found: dict[str, Generation], wanted: dict[str, Generation]) -> None:
    for key, row in found.items():
        assert row.finish == wanted[key].finish
        assert np.array_equal(row.codes, wanted[key].codes), key


SAMPLED = Sampling(temperature=1.0, top_p=1.0, repetition_penalty=1.1)


@pytest.fixture(scope="module", params=[1.0, 1.1])
def sampling(request: pytest.FixtureRequest) -> Sampling:
    """Hot, so that rounding would soon turn a draw."""
    return Sampling(temperature=1.0, top_p=1.0, repetition_penalty=request.param)


@pytest.fixture(scope="module")
def alone(engine: HfEngine, sampling: Sampling) -> dict[str, Generation]:
    """All rows, one after the other."""
    found = speak(engine, REQUESTS, sampling, 1)
    assert [found[request.key].finish for request in REQUESTS] == ["cap"] * 6 + ["eos"] + ["cap"] * 5
    assert all(len(found[request.key].codes) == request.max_frames for request in REQUESTS if request.max_frames < 30)
    return found


@pytest.mark.parametrize("rows", [3, 8, 16])
def test_a_row_is_the_same_whatever_is_spoken_beside_it(
    rows: int, engine: HfEngine, sampling: Sampling, alone: dict[str, Generation]
) -> None:
    assert_same(speak(engine, REQUESTS, sampling, rows), alone)
    if rows == 3:
        assert_same(speak(engine, REQUESTS[::-1], sampling, rows), alone)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(order=st.permutations(REQUESTS), count=st.integers(2, len(REQUESTS)), rows=st.integers(2, 12))
def test_so_it_is_in_any_order_with_any_rows_left_out(
    engine: HfEngine,
    sampling: Sampling,
    alone: dict[str, Generation],
    order: list[Request],
    count: int,
    rows: int,
) -> None:
    assert_same(speak(engine, order[:count], sampling, rows), alone)


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_what_is_asked_again_joins_the_batch_before_all_that_wait(decoding: Decoding, engine: HfEngine) -> None:
    first, second = [request(number, 4) for number in range(6)], replace(request(0, 4), seed=7)
    came: list[Generation] = []
    asked = False

    def more() -> list[Request]:
        nonlocal asked
        if asked or not came:
            return []
        asked = True
        return [second]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "batch_size", 2)
        for found in engine.generate(first, SAMPLED, decoding, None, more):
            came += found
    assert Counter(row.key for row in came) == Counter(["0", "0", "1", "2", "3", "4", "5"])
    again = max(at for at, row in enumerate(came) if row.key == "0")
    assert 0 < again < 4
    if decoding == "framed":
        assert_same({"0": came[again]}, speak(engine, [second], SAMPLED, 1))


def test_nobody_joins_rows_that_are_begun_anew_with_fewer_places(
    engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest row has ended before the memory is full; the cache of those that are left has no room for it."""
    short, long = [request(number, 4) for number in range(2)], request(2, 30)
    came: list[Generation] = []
    again = [replace(long, seed=7)]

    def more() -> list[Request]:
        return [again.pop()] if again and any(row.key == "2" for row in came) else []

    speak = engine._speak_framed

    def full(requests: Sequence[Request], *rest: Any) -> Iterator[list[Generation]]:
        if len(requests) == 3:
            yield from speak([long], *rest)
            raise torch.OutOfMemoryError("full")
        yield from speak(requests, *rest)

    monkeypatch.setattr(engine, "_speak_framed", full)
    for rows in generate(engine, [*short, long], SAMPLED, 3, more=more):
        came += rows
    assert Counter(row.key for row in came) == Counter(["0", "1", "2"])
    assert again


def test_a_row_comes_out_as_soon_as_it_has_ended(engine: HfEngine) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    requests = [request(7, 10), request(1, 4), request(2, 4)]
    came = [([row.key for row in found], ticks) for found in generate(engine, requests, SAMPLED, 2, tick)]
    # Whether a row goes on behind its last frame is settled when the next one begins, and before that is ticked.
    assert came == [(["1"], 4), (["2"], 9), (["7"], 10)]


def test_a_run_that_a_tick_stops_has_been_given_what_has_ended(engine: HfEngine) -> None:
    came: list[str] = []
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 5:
            raise TimeoutError

    assert len(list(generate(engine, [request(1, 4)], SAMPLED, 2, tick))) == 1  # its end comes before the fifth
    assert ticks == 4
    ticks = 0
    rows = generate(engine, [request(1, 4), request(7, 10)], SAMPLED, 2, tick)
    with pytest.raises(TimeoutError):
        came.extend(row.key for found in rows for row in found)
    assert came == ["1"]


def test_a_row_that_has_ended_makes_room_at_once(engine: HfEngine) -> None:
    """The others do not wait for the longest."""
    work = Work()
    requests = [request(7, 16), *(request(number, 4) for number in range(1, 7))]
    rows = [row for found in generate(engine, requests, SAMPLED, 3, work=work) for row in found]
    lengths = {row.key: len(row.codes) for row in rows}
    assert lengths == {"7": lengths["7"]} | dict.fromkeys("123456", 4)
    assert lengths["7"] > 12
    assert work.steps == max(lengths["7"] + 1, 3 * 5) * SLOTS


def test_ticks_come_once_a_frame_and_may_end_the_run(engine: HfEngine) -> None:
    work, ticks = Work(), []

    def tick() -> None:
        ticks.append(work.steps)
        if len(ticks) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(generate(engine, REQUESTS[:2], SAMPLED, 2, tick, work))
    assert ticks == [SLOTS, 2 * SLOTS, 3 * SLOTS]
    assert work.steps == 3 * SLOTS


def test_a_run_that_was_left_leaves_nothing_behind(engine: HfEngine) -> None:
    requests = [request(0, 4), request(1, 6)]
    whole = speak(engine, requests, SAMPLED, 2)
    left = generate(engine, requests, SAMPLED, 2)
    assert [row.key for row in next(left)] == ["0"]
    left.close()  # type: ignore[attr-defined]
    assert_same(speak(engine, requests, SAMPLED, 2), whole)


@pytest.mark.parametrize(("rows", "together"), [(1, 1), (3, 3), (5, 5), (100, 9)])
def test_rows_together_are_never_more_than_the_batch_size(rows: int, together: int, engine: HfEngine) -> None:
    work = Work()
    prompts = [len(engine.prompts.encode(request.description, request.text)) for request in REQUESTS]
    list(generate(engine, [request(number, 4) for number in range(9)], SAMPLED, rows, work=work))
    assert work.most_rows == together
    llama = engine._llama
    position = 2 * llama.layers * llama.kv_heads * llama.head_dim * 4
    least = work.steps * (llama.layer_bytes + min(prompts) * position)
    assert least < work.bytes_read < work.steps * (llama.layer_bytes + together * (max(prompts) + 50) * position)


def test_frames_become_smaller_when_rows_have_ended(
    engine: HfEngine, sampling: Sampling, alone: dict[str, Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first six of twelve rows end at once, and those behind them move up."""
    places: list[int] = []
    moved: list[tuple[int, int]] = []
    speak_frame, move = Frames.speak, Rows.move

    def watched(frames: Frames, rows: int, extent: int) -> None:
        places.append(rows)
        speak_frame(frames, rows, extent)

    def watched_move(rows: Rows, source: int, target: int) -> None:
        moved.append((source, target))
        move(rows, source, target)

    monkeypatch.setattr(Frames, "speak", watched)
    monkeypatch.setattr(Rows, "move", watched_move)
    assert_same(speak(engine, REQUESTS, sampling, 12), alone)
    assert places[:5] == [16] * 5
    assert set(places[5:]) == {8}
    assert sorted(moved) == [(source, source - 6) for source in range(6, 12)]


def failing_at(calls: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache says that it is full at its calls of these numbers, from 0 on."""
    reserve, count = KvCache.reserve, 0

    def full(cache: KvCache, row: int, tokens: int) -> bool:
        nonlocal count
        count += 1
        return count - 1 not in calls and reserve(cache, row, tokens)

    monkeypatch.setattr(KvCache, "reserve", full)


def test_a_row_that_the_cache_does_not_hold_begins_anew_and_says_the_same(
    engine: HfEngine, sampling: Sampling, alone: dict[str, Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: Counter[str] = Counter()
    admit = Rows.admit

    def watched(
        rows: Rows, places: Sequence[int], requests: Sequence[Request], prompts: Sequence[Sequence[int]]
    ) -> None:
        begun.update(request.key for request in requests)
        admit(rows, places, requests, prompts)

    monkeypatch.setattr(Rows, "admit", watched)
    failing_at({6, 15, 16, 30, 42}, monkeypatch)
    work = Work()
    spoken = [row for found in generate(engine, REQUESTS[6:], sampling, 4, work=work) for row in found]
    assert sorted(row.key for row in spoken) == sorted(begun) == sorted(request.key for request in REQUESTS[6:])
    assert_same({row.key: row for row in spoken}, alone)
    assert work.restarts == begun.total() - len(begun) > 2


def test_a_row_alone_that_the_cache_does_not_hold_is_an_error(
    engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at({3}, monkeypatch)
    with pytest.raises(MachineError, match=r"does not hold one row of \d+ tokens"):
        speak(engine, REQUESTS[:1], SAMPLED, 1)


def test_a_prompt_alone_that_the_cache_does_not_hold_is_an_error(
    engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at({0}, monkeypatch)
    with pytest.raises(MachineError, match="does not hold one prompt"):
        speak(engine, REQUESTS[:2], SAMPLED, 2)


def scores_of(
    engine: HfEngine, requests: Sequence[Request], rows: int, monkeypatch: pytest.MonkeyPatch
) -> list[torch.Tensor]:
    """What the model says of all places, step by step."""
    seen: list[torch.Tensor] = []
    take = Rows.take

    def watched(state: Rows, slot: int, logits: torch.Tensor) -> None:
        seen.append(logits.clone())
        take(state, slot, logits)

    with monkeypatch.context() as patch:
        patch.setattr(Rows, "take", watched)
        speak(engine, requests, SAMPLED, rows)
    return seen


def test_neighbours_change_no_bit_of_the_scores(engine: HfEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(number, 5) for number in range(12)]
    together = scores_of(engine, requests, 12, monkeypatch)
    for number in range(0, 12, 3):
        for one, all_rows in zip(scores_of(engine, [requests[number]], 1, monkeypatch), together, strict=True):
            assert torch.equal(one[0], all_rows[number])
