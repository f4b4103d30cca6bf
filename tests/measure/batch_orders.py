"""How full batches are, and how long a book decodes, by the order of its texts: the real scheduler without a model.

    python -m tests.measure.batch_orders

The texts, lengths and caps are those of the benchmark; a step takes what was measured on one H200 (LOG.md, 2026-11-29).
`bound` is the time if the memory were always full: no order is faster.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.bench.workload import write_book
from maya_batch.book.plan import make_plan
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import EngineStats, Request
from maya_batch.engine.batch_budget import graph_batch_size
from maya_batch.engine.paged_cache import BLOCK_SIZE
from maya_batch.engine.scheduler import Scheduler
from maya_batch.manifest import Render
from maya_batch.run.generate import generation_order, sequence_seed
from maya_batch.run.pipeline_messages import TakeRequest

PROMPT = 110
"""Tokens of a prompt with its description."""


@dataclass(frozen=True)
class Card:
    """What a card holds, and how long it takes for a step."""

    name: str
    positions: int
    """The positions of the KV cache."""
    batch_size: int
    step: float
    """Milliseconds of a step, and of each of its sequences."""
    each: float
    hours: float

    def milliseconds(self, sequences: int) -> float:
        """Of a step."""
        return self.step + self.each * sequences


CARDS = (
    Card("24 GiB, bfloat16, int8", 200_000, 512, 1.46, 0.0217, 4),
    Card("24 GiB, bfloat16, int8", 200_000, 512, 1.46, 0.0217, 10),
    Card("8 GiB, nf4, int8", 58_000, 512, 5.62, 0.0215, 2),
    Card("8 GiB, nf4, int8", 58_000, 512, 5.62, 0.0215, 10),
    Card("80 GiB and more, bfloat16, int8", 1_000_000, 512, 1.46, 0.0217, 4),
    Card("80 GiB and more, bfloat16, int8", 1_000_000, 512, 1.46, 0.0217, 10),
)


class Blocks:
    """A cache that only counts, as `engine.backend.BlockCache`."""

    block_size = BLOCK_SIZE

    def __init__(self, blocks: int) -> None:
        self.blocks, self.free = blocks, blocks
        self._held: dict[int, int] = {}

    def reserve(self, batch_slot: int, tokens: int) -> bool:
        wanted = -(-tokens // self.block_size) - self._held.get(batch_slot, 0)
        if wanted > self.free:
            return False
        self._held[batch_slot] = self._held.get(batch_slot, 0) + max(wanted, 0)
        self.free -= max(wanted, 0)
        return True

    def release(self, batch_slot: int) -> None:
        self.free += self._held.pop(batch_slot, 0)

    def move(self, source: int, target: int) -> None:
        self._held[target] = self._held.pop(source)

    def sync(self) -> None:
        """Nothing is on a device."""


@dataclass
class Run:
    """What a run of all texts took."""

    milliseconds: float
    sequences: float
    """In a step, on average."""
    computed: float
    """Batch slots that a step computes, with those that are empty."""
    full: float
    """The share of the blocks that was in use, on average."""
    preemptions: int
    half: float
    """The share of the time after which half of the chapters were complete."""


def texts(hours: float) -> list[TakeRequest]:
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(write_book(Path(folder) / "book.yaml", hours, "maya"), Render())
        return [TakeRequest(chunk, f"{chunk.chapter}:{chunk.index}", 1) for chunk in plan.chunks()]


class Schedulable(Protocol):
    """What `run` needs of a card."""

    @property
    def positions(self) -> int:
        """The positions of the KV cache."""

    @property
    def batch_size(self) -> int:
        """The most sequences."""

    def milliseconds(self, sequences: int) -> float:
        """Of a step."""


def run(card: Schedulable, requests: Sequence[TakeRequest]) -> Run:
    """Schedule the texts in this order."""
    blocks = Blocks(card.positions // BLOCK_SIZE)
    stats = EngineStats()
    asked = [
        Request(each.key, "", each.chunk.text, 0, each.chunk.max_frames, each.chunk.expected_frames)
        for each in requests
    ]
    lengths = {each.key: drawn_frames(sequence_seed(each.key, 1), each.chunk.text) for each in requests}
    chapters: dict[int, int] = {}
    for each in requests:
        chapters[each.chunk.chapter] = chapters.get(each.chunk.chapter, 0) + 1
    chapter_of = {each.key: each.chunk.chapter for each in requests}
    scheduler = Scheduler(asked, [[0] * PROMPT] * len(asked), card.batch_size, blocks, stats, graph_batch_size, 32)
    milliseconds, frames, running, computed, used = 0.0, 0, 0, 0, 0
    complete: list[float] = []
    while not scheduler.done:
        scheduler.admit()
        scheduler.grow()
        scheduler.compact()
        computed += scheduler.frame_size()[0]
        scheduler.count_frame(0, 0)
        now = scheduler.running
        milliseconds += SLOTS * card.milliseconds(len(now))
        frames, running, used = frames + 1, running + len(now), used + blocks.blocks - blocks.free
        for sequence in now:
            if sequence.frames >= lengths[sequence.request.key]:
                scheduler.end(sequence, sequence.frames)
                chapter = chapter_of[sequence.request.key]
                chapters[chapter] -= 1
                if not chapters[chapter]:
                    complete.append(milliseconds)
    half = sorted(complete)[len(complete) // 2] / milliseconds
    full = used / frames / blocks.blocks
    return Run(milliseconds, running / frames, computed / frames, full, stats.preemptions, half)


def bound(card: Card, requests: Sequence[TakeRequest]) -> float:
    """Milliseconds if all memory were in use all the time, or all batch slots."""
    frames = [drawn_frames(sequence_seed(each.key, 1), each.chunk.text) for each in requests]
    positions = sum(length * (PROMPT + SLOTS * length / 2 + BLOCK_SIZE / 2) for length in frames)
    least = max(positions / card.positions, sum(frames) / card.batch_size, max(frames))
    return SLOTS * (card.step * least + card.each * sum(frames))


def longest_first(requests: Sequence[TakeRequest], _: int) -> list[TakeRequest]:
    return sorted(requests, key=lambda request: -request.chunk.expected_frames)


def in_any_order(requests: Sequence[TakeRequest], _: int) -> list[TakeRequest]:
    shuffled = list(requests)
    random.Random(0).shuffle(shuffled)
    return shuffled


def last_by_length(share: float) -> Callable[[Sequence[TakeRequest], int], list[TakeRequest]]:
    def order(requests: Sequence[TakeRequest], batch_size: int) -> list[TakeRequest]:
        last = max(round(min(batch_size, len(requests)) * share), 1)
        return [*requests[:-last], *longest_first(requests[-last:], 0)]

    return order


ORDERS: dict[str, Callable[[Sequence[TakeRequest], int], list[TakeRequest]]] = {
    "as rendered": generation_order,
    "longest first": longest_first,
    "any order": in_any_order,
    "last half batch by length": last_by_length(0.5),
    "last batch by length": last_by_length(1),
    "last two batches by length": last_by_length(2),
}


def main() -> None:
    """Print a line for each card and order."""
    for card in CARDS:
        requests = texts(card.hours)
        least = bound(card, requests)
        print(f"{card.name}, {card.hours:g} h, {len(requests)} texts, bound {least / 1000:.1f} s")
        for name, order in ORDERS.items():
            began = time.monotonic()
            done = run(card, order(requests, card.batch_size))
            print(
                f"  {name:28} {done.milliseconds / 1000:6.1f} s, {least / done.milliseconds:.3f} of the bound; "
                f"{done.sequences:5.1f} sequences in {done.computed:5.1f} batch slots, {done.full:.2f} of the memory, "
                f"{done.preemptions} begun again, half of the chapters after {done.half:.2f}  "
                f"({time.monotonic() - began:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
