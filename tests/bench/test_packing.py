"""The share of full batches' speed."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from maya_batch.bench.packing import Frame, Watched, packing_share
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
    ("lengths", "room", "most", "least"),
    [
        ([50] * 9 + [100], 1200, 10, 100),  # nothing is faster than the longest sequence
        ([10] * 55, 10_000, 10, 55),  # batch slots
        ([10] * 55, 1000, 100, POSITIONS / 1000),  # memory
    ],
)
def test_the_bound_is_the_time_of_the_fewest_frames(lengths: list[int], room: int, most: int, least: float) -> None:
    share = packing_share(FRAMES, lengths, room, most)
    assert share == pytest.approx((OWN * least + EACHS) / (OWN * 100 + EACHS), rel=1e-6)


def test_a_run_as_long_as_its_longest_sequence_is_at_the_bound() -> None:
    assert packing_share(FRAMES, [102], 10_000, 10) == pytest.approx(1.0)


def test_without_frames_of_different_sizes_nothing_is_said() -> None:
    assert packing_share(FRAMES[:20], [10] * 55, 1000, 10) is None
    assert packing_share(FRAMES, [], 1000, 10) is None
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
    least = max(positions / 1200, sequences / 4)
    assert watched.packing_share == pytest.approx((OWN * least + rest) / (OWN * 79 + rest), rel=1e-6)
