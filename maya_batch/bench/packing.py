"""How full a run's batches were, compared with the fullest that the same sequences allow."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
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
    """The time that the same sequences would take in full batches, divided by the time that they took.

    `lengths` are the sequences' lengths in frames. A batch is full with `room` positions or `most` sequences. The cost
    of a frame, of a sequence and of a position is fitted to `frames` (least squares). Full batches need fewer frames,
    but not fewer than the longest sequence has, and as many sequences and positions in total.

    None if the costs cannot be fitted: too few frames, frames that do not differ, or a frame that costs nothing. None
    without a cache.
    """
    if len(frames) < _FEWEST or not lengths or not room:
        return None
    table = np.array([(1.0, frame.sequences, frame.positions) for frame in frames])
    seconds = np.array([frame.seconds for frame in frames])
    scale = table.max(axis=0)
    times, _, rank, _ = np.linalg.lstsq(table / scale, seconds, rcond=None)
    if rank < len(scale) or times[0] <= 0:
        return None
    sums = table.sum(axis=0)
    # The first and the last frame of a run are not noted, so the longest sequence can be longer than all noted ones.
    least = min(max(sums[2] / room, sums[1] / most, max(lengths)), len(frames))
    return float((times / scale @ (least, *sums[1:])) / seconds.sum())


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
