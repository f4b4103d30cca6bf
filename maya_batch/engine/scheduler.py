"""The scheduler: admits waiting sequences, assigns batch slots and cache blocks, preempts and compacts."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.admission import BlockForecast
from maya_batch.engine.api import EngineStats, Request
from maya_batch.engine.backend import BlockCache
from maya_batch.engine.batch_budget import whole_strides
from maya_batch.errors import MachineError

log = logging.getLogger(__name__)

#: The percentage of the blocks that is left for sequences that become longer than expected. Of 860 texts in a cache of
#: 260,000 positions 10 began again without it, and none with it, in the same time (`tests.measure.batch_orders`).
_SPARE_PERCENT = 3


@dataclass(eq=False)
class RunningSequence:
    """A sequence in a batch slot. `frames` is an upper bound: the GPU may already have ended it."""

    request: Request
    prompt: list[int]
    batch_slot: int
    frames: int = 0
    done: bool = False

    @property
    def tokens(self) -> int:
        """The most tokens that it has in the cache."""
        return len(self.prompt) + self.frames * SLOTS


class Scheduler:
    """Schedules requests in the order given. It only decides; the caller moves the data on the device."""

    def __init__(
        self,
        requests: Sequence[Request],
        prompts: Sequence[list[int]],
        batch_size: int,
        cache: BlockCache,
        stats: EngineStats,
        padded: Callable[[int], int],
        admit_share: int | None,
    ) -> None:
        """At most `batch_size` sequences run together; `padded` makes of their number that which is computed.

        Waiting sequences are admitted as soon as they fit. With an `admit_share` of n, they wait until they are an n-th
        of the running ones, so that their prompts go through the model together.
        """
        self.batch_slots: list[RunningSequence | None] = [None] * batch_size
        self._waiting = deque(zip(requests, prompts, strict=True))
        self._cache, self._stats, self._padded, self._admit_share = cache, stats, padded, admit_share
        self._longest = max(request.max_frames for request in requests)
        # Where each sequence has one block, none can outgrow it.
        spare = cache.blocks * _SPARE_PERCENT // 100 if cache.block_size < self._longest * SLOTS else 0
        self._forecast = BlockForecast(cache.blocks - spare, cache.block_size)

    @property
    def running(self) -> list[RunningSequence]:
        """The running sequences, by batch slot."""
        return [sequence for sequence in self.batch_slots if sequence is not None]

    @property
    def done(self) -> bool:
        """Whether no sequence is running or waiting."""
        return not self._waiting and not self.running

    @property
    def waiting(self) -> int:
        """How many sequences wait for a batch slot."""
        return len(self._waiting)

    def add_first(self, requests: Sequence[tuple[Request, list[int]]]) -> None:
        """Queue requests with their prompts before all waiting ones; none is longer than the longest one so far."""
        self._waiting.extendleft(reversed(requests))

    def add_last(self, requests: Sequence[tuple[Request, list[int]]]) -> None:
        """Queue requests with their prompts after all waiting ones; none is longer than the longest one so far."""
        self._waiting.extend(requests)

    def admit(self) -> list[RunningSequence]:
        """Admit the waiting sequences that have a batch slot and, until they end, room in the cache.

        Raises:
            MachineError: the cache is too small for one prompt.
        """
        free = [batch_slot for batch_slot, sequence in enumerate(self.batch_slots) if sequence is None]
        running = len(self.batch_slots) - len(free)
        enough = min(max(running // self._admit_share, 1) if self._admit_share else 1, len(self._waiting))
        if not self._waiting or len(free) < enough:
            return []
        idle = running == 0
        fitting = self._fitting(len(free), idle)
        if fitting < enough and not idle:
            return []
        admitted: list[RunningSequence] = []
        for batch_slot in free[:fitting]:
            request, prompt = self._waiting[0]
            if not self._cache.reserve(batch_slot, len(prompt) + SLOTS):
                break
            self._waiting.popleft()
            self.batch_slots[batch_slot] = sequence = RunningSequence(request, prompt, batch_slot)
            admitted.append(sequence)
        if idle and not admitted:
            raise MachineError(
                "GPU memory is too small for even one chunk; use --quantization nf4 or a GPU with more memory"
            )
        return admitted

    def grow(self) -> list[RunningSequence]:
        """Reserve blocks for the next frame. If the cache is full, preempt sequences, and return these.

        Raises:
            MachineError: the cache is too small for one sequence.
        """
        preempted: list[RunningSequence] = []
        for sequence in self.running:
            while not sequence.done and not self._cache.reserve(sequence.batch_slot, sequence.tokens + SLOTS):
                preempted.append(self._preempt())
        return preempted

    def compact(self) -> list[tuple[int, int]]:
        """Move sequences to the front where that makes a frame smaller: (from, to) of each.

        Without an `admit_share` only if none is waiting, because waiting ones soon fill the gaps; with one, gaps stay
        for several frames, and in a small memory until the end.
        """
        running = self.running
        filled_soon = self._waiting and self._admit_share is None
        if filled_soon or self._padded(len(running)) == self._padded(running[-1].batch_slot + 1):
            return []
        gaps = [batch_slot for batch_slot in range(len(running)) if self.batch_slots[batch_slot] is None]
        behind = [sequence for sequence in running if sequence.batch_slot >= len(running)]
        moves = []
        for target, sequence in zip(gaps, behind, strict=True):
            self._cache.move(sequence.batch_slot, target)
            moves.append((sequence.batch_slot, target))
            self.batch_slots[sequence.batch_slot], self.batch_slots[target] = None, sequence
            sequence.batch_slot = target
        return moves

    def frame_size(self) -> tuple[int, int]:
        """The batch size of the next frame, and its max context length in whole strides."""
        running = self.running
        max_context = max(sequence.tokens for sequence in running) + SLOTS
        return self._padded(running[-1].batch_slot + 1), whole_strides(max_context)

    def count_frame(self, weight_bytes: int, position_bytes: int) -> None:
        """Count a frame. A sequence counts as running until the host has seen its end."""
        running = self.running
        positions = sum(sequence.tokens for sequence in running)
        self._stats.steps += SLOTS
        self._stats.tokens += SLOTS * len(running)
        self._stats.positions += SLOTS * positions
        self._stats.bytes_read += SLOTS * (weight_bytes + positions * position_bytes)
        self._stats.max_sequences = max(self._stats.max_sequences, len(running))
        for sequence in running:
            sequence.frames += 1

    def end(self, sequence: RunningSequence, frames: int) -> None:
        """Release a sequence that has ended after so many frames."""
        self._forecast.record_end(sequence.request.likely_frames, frames)
        self._release(sequence)

    def _fitting(self, limit: int, idle: bool) -> int:
        """How many waiting sequences have room until they end, next to the running ones; at least one if `idle`."""
        self._forecast.reset(self._longest)
        for sequence in self.running:
            self._forecast.add(sequence.tokens, sequence.request.likely_frames, sequence.frames)
        fitting = 0
        for request, prompt in islice(self._waiting, limit):
            alone = idle and not fitting
            if not alone and not self._forecast.fits(len(prompt), request.likely_frames):
                break
            self._forecast.add(len(prompt), request.likely_frames)
            fitting += 1
        return fitting

    def _preempt(self) -> RunningSequence:
        """Queue the sequence with the fewest frames, to start again from its prompt later."""
        running = self.running
        sequence = min(running, key=lambda sequence: (sequence.frames, -sequence.batch_slot))
        if len(running) == 1:
            raise MachineError(
                f"GPU memory is too small for one sequence of {sequence.tokens} tokens; use --quantization nf4, a "
                "lower render.chunk_words, or a GPU with more memory"
            )
        log.debug("cache full: preempting batch slot %d after %d frames", sequence.batch_slot, sequence.frames)
        self._stats.preemptions += 1
        self._release(sequence)
        self._waiting.appendleft((sequence.request, sequence.prompt))
        return sequence

    def _release(self, sequence: RunningSequence) -> None:
        sequence.done = True
        self.batch_slots[sequence.batch_slot] = None
        self._cache.release(sequence.batch_slot)
