"""What both engines promise: the same tests with the demo voice in PyTorch and, as a GGUF file, in llama.cpp."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS
from maya_batch.engine.api import Decoding, Engine, EngineStats, Generation, Hooks, Request, Sampling
from maya_batch.engine.load import load_engine
from maya_batch.errors import MachineError
from tests.support.sequences import REQUESTS, SAMPLED, assert_same, generate, generate_all, request

if TYPE_CHECKING:
    pass

GREEDY = Sampling(temperature=0, top_p=1.0, repetition_penalty=1.0)


@pytest.fixture(scope="module")
def gguf_engine(demo_gguf: Path) -> Engine:
    """The demo voice as f16 in llama.cpp."""
    return load_engine("auto", demo_gguf, device="cpu", dtype="auto", quantization="none", batch_size=None)


@pytest.fixture(scope="module", params=["hf", "gguf"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine with the demo voice."""
    engine: Engine = request.getfixturevalue("hf_engine" if request.param == "hf" else "gguf_engine")
    assert engine.name == request.param
    return engine


@pytest.fixture(scope="module")
def alone(engine: Engine) -> dict[str, Generation]:
    """All sequences, one after the other."""
    found = generate_all(engine, REQUESTS, SAMPLED, 1)
    assert [found[request.key].finish for request in REQUESTS] == ["cap"] * 6 + ["eos"] + ["cap"] * 5
    assert all(len(found[request.key].codes) == request.max_frames for request in REQUESTS if request.max_frames < 30)
    return found


@pytest.mark.parametrize("batch_size", [3, 16])
def test_a_sequence_is_the_same_in_any_batch(batch_size: int, engine: Engine, alone: dict[str, Generation]) -> None:
    assert_same(generate_all(engine, REQUESTS, SAMPLED, batch_size), alone)
    if batch_size == 3:
        assert_same(generate_all(engine, REQUESTS[::-1], SAMPLED, batch_size), alone)


@settings(max_examples=3)
@given(order=st.permutations(REQUESTS), count=st.integers(2, len(REQUESTS)), batch_size=st.integers(2, 12))
def test_a_sequence_is_the_same_in_any_order_with_any_others_left_out(
    engine: Engine,
    alone: dict[str, Generation],
    order: list[Request],
    count: int,
    batch_size: int,
) -> None:
    assert_same(generate_all(engine, order[:count], SAMPLED, batch_size), alone)


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_what_is_asked_again_joins_the_batch_before_all_that_wait(decoding: Decoding, engine: Engine) -> None:
    first, second = [request(number, 4) for number in range(6)], replace(request(0, 4), seed=7)
    came: list[Generation] = []
    asked = False

    def retries() -> list[Request]:
        nonlocal asked
        if asked or not came:
            return []
        asked = True
        return [second]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "batch_size", 2)
        for found in engine.generate(first, SAMPLED, decoding, Hooks(retries=retries)):
            came += found
    assert Counter(generation.key for generation in came) == Counter(["0", "0", "1", "2", "3", "4", "5"])
    again = max(at for at, generation in enumerate(came) if generation.key == "0")
    assert 0 < again < 4
    if decoding == "framed":
        assert_same({"0": came[again]}, generate_all(engine, [second], SAMPLED, 1))


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_later_requests_join_when_none_waits(decoding: Decoding, engine: Engine) -> None:
    came: list[Generation] = []
    asked: list[int] = []
    parts = [[request(number, 4) for number in (2, 3, 4)], [], [request(5, 4)]]

    def later() -> list[Request]:
        asked.append(len(came))
        return parts.pop(0) if parts else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "batch_size", 2)
        for found in engine.generate([request(0, 4), request(1, 4)], SAMPLED, decoding, Hooks(later=later)):
            came += found
    keys = [generation.key for generation in came]
    assert sorted(keys) == list("012345")
    assert set(keys[:2]) == {"0", "1"}
    assert keys[-1] == "5"
    assert not parts
    if decoding == "framed":
        assert_same({one.key: one for one in came}, generate_all(engine, [request(n, 4) for n in range(6)], SAMPLED, 1))


def test_a_later_request_that_is_too_long_begins_the_next_batch(engine: Engine) -> None:
    """Those that follow it wait, too: requests start in the order given."""
    came: list[str] = []
    asked = 0
    parts = [[request(2, 5), request(7, 12), request(3, 4)], [request(4, 4)], [request(5, 12)]]

    def later() -> list[Request]:
        nonlocal asked
        asked += 1
        return parts.pop(0) if parts else []

    for found in engine.generate([request(0, 4), request(1, 5)], SAMPLED, "framed", Hooks(later=later)):
        came += [generation.key for generation in found]
        if "7" not in came and asked == 1:
            assert "4" not in came
    assert sorted(came) == list("0123457")
    assert came.index("2") < came.index("7")
    assert came.index("3") < came.index("4") < came.index("5")


def test_a_sequence_comes_out_as_soon_as_it_has_ended(engine: Engine) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    requests = [request(7, 10), request(1, 4), request(2, 4)]
    came = [
        ([generation.key for generation in found], ticks)
        for found in generate(engine, requests, SAMPLED, 2, Hooks(tick))
    ]
    # The next frame decides whether a sequence ends after its last frame, and `tick` is called before that.
    assert came == [(["1"], 4), (["2"], 9), (["7"], 10)]


def test_a_run_that_a_tick_stops_has_been_given_what_has_ended(engine: Engine) -> None:
    came: list[str] = []
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 5:
            raise TimeoutError

    assert len(list(generate(engine, [request(1, 4)], SAMPLED, 2, Hooks(tick)))) == 1  # its end comes before the fifth
    assert ticks == 4
    ticks = 0
    decoding = generate(engine, [request(1, 4), request(7, 10)], SAMPLED, 2, Hooks(tick))
    with pytest.raises(TimeoutError):
        came.extend(generation.key for found in decoding for generation in found)
    assert came == ["1"]


def test_a_sequence_that_has_ended_makes_room_at_once(engine: Engine) -> None:
    """The others do not wait for the longest."""
    stats = EngineStats()
    requests = [request(7, 16), *(request(number, 4) for number in range(1, 7))]
    finished = [generation for found in generate(engine, requests, SAMPLED, 3, stats=stats) for generation in found]
    lengths = {generation.key: len(generation.codes) for generation in finished}
    assert lengths == {"7": lengths["7"]} | dict.fromkeys("123456", 4)
    assert lengths["7"] > 12
    assert stats.steps == max(lengths["7"] + 1, 3 * 5) * SLOTS


def test_ticks_come_once_a_frame_and_may_end_the_run(engine: Engine) -> None:
    stats, ticks = EngineStats(), []

    def tick() -> None:
        ticks.append(stats.steps)
        if len(ticks) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(generate(engine, REQUESTS[:2], SAMPLED, 2, Hooks(tick), stats))
    assert ticks == [SLOTS, 2 * SLOTS, 3 * SLOTS]
    assert stats.steps == 3 * SLOTS


def test_a_run_that_was_left_leaves_nothing_behind(engine: Engine) -> None:
    requests = [request(0, 4), request(1, 6)]
    whole = generate_all(engine, requests, SAMPLED, 2)
    left = generate(engine, requests, SAMPLED, 2)
    assert [generation.key for generation in next(left)] == ["0"]
    left.close()  # type: ignore[attr-defined]
    assert_same(generate_all(engine, requests, SAMPLED, 2), whole)


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_a_sequence_has_at_least_the_fewest_frames_and_at_most_its_own(engine: Engine, decoding: Decoding) -> None:
    requests = [request(number, MIN_FRAMES + number % 3) for number in range(5)]
    for found in engine.generate(requests, GREEDY, decoding):
        for generation in found:
            most = requests[int(generation.key)].max_frames
            assert MIN_FRAMES <= len(generation.codes) <= most
            assert generation.codes.max() < engine.layout.codebook_size
            assert (generation.finish, len(generation.codes)) == ("cap", most) or generation.finish == "eos"


def test_a_sequence_can_be_told_when_to_end(engine: Engine) -> None:
    requests = [replace(request(number, 20), stop_after_frames=3 + number) for number in range(3)]
    finished = generate_all(engine, requests, SAMPLED, 2)
    assert {key: (generation.finish, len(generation.codes)) for key, generation in finished.items()} == {
        "0": ("eos", 3),
        "1": ("eos", 4),
        "2": ("eos", 5),
    }


def test_unconstrained_decoding_draws_what_constrained_decoding_draws(engine: Engine) -> None:
    """The demo voice keeps to its frames, and a greedy draw needs no random numbers."""
    requests = [request(number, 12) for number in (6, 1, 2)]
    free = {one.key: one for found in engine.generate(requests, GREEDY, "free") for one in found}
    assert_same(free, generate_all(engine, requests, GREEDY, 3))


def test_the_model_follows_the_frame_format(engine: Engine) -> None:
    probabilities = engine.in_grammar_probabilities(REQUESTS, SAMPLED)
    assert len(probabilities) == SLOTS
    assert all(0.99 < probability <= 1.0001 for probability in probabilities)


def test_a_text_that_leaves_no_room_in_the_context_is_an_error(engine: Engine) -> None:
    with pytest.raises(MachineError, match="do not fit the model's context of 4096"):
        list(engine.generate([request(0, 600)], SAMPLED, "framed"))


def test_all_tags_of_the_layout_are_one_token(engine: Engine) -> None:
    assert engine.tags() == engine.layout.tags


def test_without_requests_nothing_is_generated(engine: Engine) -> None:
    assert list(engine.generate([], SAMPLED, "framed")) == list(engine.generate([], SAMPLED, "free")) == []
