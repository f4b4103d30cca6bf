"""The share of perfect packing."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from maya_batch.bench.packing import Frame, Watched, packing_share, perfect_frames
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import Engine, EngineStats, Generation, Hooks, Request, Sampling

#: Seconds of a frame, of each of its sequences and of each of their positions.
OWN, EACH, POSITION = 0.010, 0.001, 0.00001


def frame(sequences: int, positions: int) -> Frame:
    return Frame(OWN + EACH * sequences + POSITION * positions, sequences, positions)


#: Ten sequences grow for 50 frames; then one speaks on alone.
FRAMES = [frame(10, 700 + 10 * at) for at in range(50)] + [frame(1, 120 + at) for at in range(50)]
POSITIONS = sum(one.positions for one in FRAMES)
EACHS = EACH * 550 + POSITION * POSITIONS


@pytest.mark.parametrize(
    ("lengths", "room", "most", "frames"),
    [
        ([50] * 9 + [100], 10_000, 10, 100),  # nothing is faster than the longest sequence
        ([10] * 55, 10_000, 10, 60),  # batch slots
        ([10] * 4, 166, 10, 20),  # memory: 20 + 7 * 9 positions each at its end
        ([10] * 4, 165, 10, 21),  # one less, and every second one starts a frame later
        ([10] * 4, 10, 10, 40),  # too long for the memory: one after the other
        ([20, 20, 6], 220, 10, 33),  # 13 frames later the second one's 104 last positions fit beside the first one's
        ([20, 20, 20, 6], 170, 10, 60),  # no two long ones together, but the short one beside the first
    ],
)
def test_perfect_packing_knows_the_lengths(lengths: list[int], room: int, most: int, frames: int) -> None:
    assert perfect_frames(lengths, 20, room, most) == frames


def test_no_frame_of_perfect_packing_takes_more_than_the_memory_and_none_could_start_earlier() -> None:
    lengths = np.random.default_rng(3).integers(20, 200, 300).tolist()
    frames = perfect_frames(lengths, 100, 60_000, 64)
    positions = sum(100 * length + SLOTS * length * (length - 1) / 2 for length in lengths)
    assert frames >= max(positions / 60_000, sum(lengths) / 64, max(lengths))
    assert frames <= perfect_frames(lengths, 100, 50_000, 64)
    assert frames < 1.2 * sum(lengths) / 64


def test_the_bound_is_the_time_of_these_frames() -> None:
    lengths = [10] * 55
    prompt = (POSITIONS - 55 * SLOTS * 45) / 550
    least = perfect_frames(lengths, prompt, 1200, 100)
    assert 50 < least < 100
    share = packing_share(FRAMES, lengths, 1200, 100)
    assert share == pytest.approx((OWN * least + EACHS) / (OWN * 100 + EACHS), rel=1e-6)


def test_a_run_as_long_as_its_longest_sequence_is_at_the_bound() -> None:
    assert packing_share(FRAMES, [102], 10_000, 10) == pytest.approx(1.0)


def test_a_sequence_without_a_frame_takes_no_time() -> None:
    assert packing_share(FRAMES, [0, *[10] * 55, 0], 1200, 100) == packing_share(FRAMES, [10] * 55, 1200, 100)


def test_without_frames_of_different_sizes_nothing_is_said() -> None:
    assert packing_share(FRAMES[:20], [10] * 55, 1000, 10) is None
    assert packing_share(FRAMES, [], 1000, 10) is None
    assert packing_share(FRAMES, [0, 0], 1000, 10) is None
    assert packing_share(FRAMES, [10] * 55, 0, 10) is None
    assert packing_share([frame(10, 700)] * 40, [40] * 10, 10_000, 10) is None
    free = [Frame(EACH * one.sequences - 1e-4, one.sequences, one.positions) for one in FRAMES]
    assert packing_share(free, [10] * 55, 1000, 10) is None


class Speaking:
    """An engine that decodes 40 frames, and then as many of one sequence less, after a prompt of ten."""

    def __init__(self, clock: list[float]) -> None:
        self.stats, self.batch_size, self._clock = EngineStats(cache_positions=1200), 4, clock

    def generate(self, requests: Sequence[Request], *given: Any) -> Iterator[list[Generation]]:
        hooks = given[2]
        for number in range(80):
            sequences = 4 if number < 40 else 3
            held = sequences * (10 + SLOTS * (number % 40))
            self.stats.steps += SLOTS
            self.stats.tokens += SLOTS * sequences
            self.stats.positions += SLOTS * held
            self._clock[0] += OWN + EACH * sequences + POSITION * held
            hooks.tick()
        yield [Generation(request.key, np.zeros((40, SLOTS), np.uint16), "eos") for request in requests]


def test_frames_and_lengths_are_those_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ticks = [1.0], list[int]()
    monkeypatch.setattr("maya_batch.bench.packing.time.perf_counter", lambda: clock[0])
    watched = Watched(cast(Engine, Speaking(clock)))
    requests = [Request(str(number), "", "", 0, 40, 40) for number in range(7)]
    list(watched.generate(requests, Sampling(), "framed", Hooks(lambda: ticks.append(1))))
    assert watched.batch_size == 4
    assert len(ticks) == 80
    # 79 frames, of which the first one's own time is not known, by 7 sequences of 40 frames in 4 batch slots.
    sequences = 4 * 39 + 3 * 40
    positions = sum((4 if n < 40 else 3) * (10 + SLOTS * (n % 40)) for n in range(1, 80))
    rest = EACH * sequences + POSITION * positions
    prompt = (positions - 7 * SLOTS * 40 * 39 / 2) / 280
    least = min(perfect_frames([40] * 7, prompt, 1200, 4), 79)
    assert watched.packing_share == pytest.approx((OWN * least + rest) / (OWN * 79 + rest), rel=1e-6)
