"""How well a run's batches were packed, compared with the same sequences, longest first, whose lengths are known."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Any

import numpy as np

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import NO_HOOKS, Decoding, Engine, EngineStats, Generation, Hooks, Request, Sampling

#: Frames below which the time of a frame is not estimated.
_FEWEST = 30


@dataclass(frozen=True)
class Frame:
    """What the host saw of a frame."""

    seconds: float
    """Since the frame before it."""
    sequences: float
    positions: float
    """Of the cache that its sequences held."""


def packing_share(frames: Sequence[Frame], lengths: Sequence[int], room: int, most: int) -> float | None:
    """The time that the same sequences would take if they were packed perfectly, divided by the time that they took.

    `lengths` are the sequences' lengths in frames. A batch is full with `room` positions or `most` sequences. The cost
    of a frame, of a sequence and of a position is fitted to `frames` (least squares). Perfect packing needs fewer
    frames, but as many sequences and positions in total.

    None if the costs cannot be fitted: too few frames, frames that do not differ, or a frame that costs nothing. None
    without a cache.
    """
    lengths = [length for length in lengths if length]
    if len(frames) < _FEWEST or not lengths or not room:
        return None
    table = np.array([(1.0, frame.sequences, frame.positions) for frame in frames])
    seconds = np.array([frame.seconds for frame in frames])
    scale = table.max(axis=0)
    times, _, rank, _ = np.linalg.lstsq(table / scale, seconds, rcond=None)
    if rank < len(scale) or times[0] <= 0:
        return None
    sums = table.sum(axis=0)
    spoken = sum(SLOTS * length * (length - 1) / 2 for length in lengths)
    prompt = max((sums[2] - spoken) / sum(lengths), 0.0)  # of a sequence, on average
    # The first and the last frame of a run are not noted, so the longest sequence can be longer than all noted ones.
    least = min(perfect_frames(lengths, prompt, room, most), len(frames))
    return float((times / scale @ (least, *sums[1:])) / seconds.sum())


def perfect_frames(lengths: Sequence[int], prompt: float, room: int, most: int) -> int:
    """The frames that sequences of these lengths take, each after `prompt` positions, if their lengths are known.

    At each frame, the longest waiting sequence starts with which `room` positions are enough until all have ended; at
    most `most` run. One that is too long for an empty batch runs alone.
    """
    waiting = sorted(lengths)
    held = prompt + SLOTS * np.arange(waiting[-1])
    used = np.zeros(sum(lengths))
    ends = list[int]()
    now = last = 0
    while waiting:
        while ends and ends[0] <= now:
            heappop(ends)
        # If one has room until it ends, so has each shorter one.
        fitting = bisect_left(waiting, True, key=lambda length: (used[now:][:length] + held[:length]).max() > room)
        if len(ends) == most or (ends and not fitting):
            now = ends[0] if len(ends) == most else now + 1
            continue
        length = waiting.pop(max(fitting, 1) - 1)
        used[now : now + length] += held[:length]
        heappush(ends, now + length)
        last = max(last, now + length)
    return last


@dataclass
class _Call:
    """What was noted of a call of `generate`."""

    frames: list[Frame] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    room: int = 0
    most: int = 0


class Watched:
    """Wraps an engine, and notes its frames and the lengths of its sequences."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._calls: list[_Call] = []

    def __getattr__(self, name: str) -> Any:
        """Everything but `generate` comes from the engine."""
        return getattr(self._engine, name)

    @property
    def packing_share(self) -> float | None:
        """That of the longest call of `generate`; others are trials, and retries of a few."""
        longest = max(self._calls, key=lambda call: len(call.frames), default=_Call())
        return packing_share(longest.frames, longest.lengths, longest.room, longest.most)

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        """Generate with the wrapped engine."""
        before, began, call = EngineStats(), 0.0, _Call()
        self._calls.append(call)

        def noted() -> None:
            nonlocal before, began
            stats, now = self._engine.stats, time.perf_counter()
            if began and stats.steps == before.steps + SLOTS:
                sequences, positions = stats.tokens - before.tokens, stats.positions - before.positions
                call.frames.append(Frame(now - began, sequences / SLOTS, positions / SLOTS))
            # Where memory is full, the batch is halved, and the rest is planned with what is left.
            call.room, call.most = max(call.room, stats.cache_positions), max(call.most, self._engine.batch_size)
            before, began = replace(stats), now
            hooks.tick()

        for generations in self._engine.generate(requests, sampling, decoding, replace(hooks, tick=noted)):
            call.lengths += [len(generation.codes) for generation in generations]
            yield generations
