"""The CUDA graphs of a frame: one for each step and batch size.

Capturing a step takes the host 20 ms alone and 60 ms beside other threads, and a GPU that waits for it is idle. So a
batch size is captured step by step, ahead of its use, while the GPU computes.
"""

from collections.abc import Callable

import torch

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.batch_budget import graph_batch_sizes
from maya_batch.engine.graph_pool import GraphPool


class FrameGraphs:
    """The graphs of one runner."""

    def __init__(self, step: Callable[[int, int], None], pool: GraphPool, batch_slots: int) -> None:
        """`step` computes the given slot for the given batch size, the largest of which is `batch_slots`."""
        self._step, self._pool = step, pool
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self._sizes = graph_batch_sizes(batch_slots)
        self._missing: list[tuple[int, int]] = []
        self._for = 0

    def replay(self, batch_size: int) -> None:
        """Run a frame; what is not captured yet is captured first."""
        for slot in range(SLOTS):
            if (batch_size, slot) not in self._graphs:
                self._capture(batch_size, slot)
            self._graphs[batch_size, slot].replay()

    def capture_ahead(self, batch_size: int) -> bool:
        """Capture a step of another batch size, the nearest to this one first; False if there is none."""
        if self._for != batch_size:
            self._for = batch_size
            # Of two as near, the smaller one: batches shrink.
            nearest = sorted(self._sizes, key=lambda size: (abs(size - batch_size), size))
            steps = ((size, slot) for size in nearest for slot in range(SLOTS))
            self._missing = [step for step in steps if step not in self._graphs][::-1]
        if self._missing:
            self._capture(*self._missing.pop())
        return bool(self._missing)

    def _capture(self, batch_size: int, slot: int) -> None:
        self._graphs[batch_size, slot] = self._pool.capture(lambda: self._step(batch_size, slot))
