"""The CUDA graphs of a frame: one for each step and batch size.

Capturing a step takes the host 20 ms alone and 60 ms beside other threads, and a GPU that waits for it is idle. So a
batch size is captured step by step, ahead of its use, while the GPU computes.
"""

from collections.abc import Callable
from typing import Any

import torch

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.batch_budget import graph_batch_sizes


class FrameGraphs:
    """The graphs of one runner, in one memory pool: they run one after the other, and leave nothing in it."""

    def __init__(self, step: Callable[[int, int], None], device: torch.device, batch_slots: int) -> None:
        """`step` computes the given slot for the given batch size, the largest of which is `batch_slots`."""
        self._step = step
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self._sizes = graph_batch_sizes(batch_slots)
        # One stream for all captures, because each stream has its own workspaces.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = None
        self._missing: list[tuple[int, int]] = []
        self._for = 0

    def replay(self, batch_size: int) -> None:
        """Run a frame; what is not captured yet is captured first."""
        for slot in range(SLOTS):
            if (batch_size, slot) not in self._graphs:
                self._capture(batch_size, slot)
            self._graphs[batch_size, slot].replay()

    def capture_ahead(self, batch_size: int) -> None:
        """Capture a step of another batch size, the nearest to this one first."""
        if self._for != batch_size:
            self._for = batch_size
            # Of two as near, the smaller one: batches shrink.
            nearest = sorted(self._sizes, key=lambda size: (abs(size - batch_size), size))
            steps = ((size, slot) for size in nearest for slot in range(SLOTS))
            self._missing = [step for step in steps if step not in self._graphs][::-1]
        if self._missing:
            self._capture(*self._missing.pop())

    def _capture(self, batch_size: int, slot: int) -> None:
        """Capture a step. `torch.cuda.graph` is not used: it first waits until the GPU is idle."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                self._step(batch_size, slot)
            finally:
                graph.capture_end()
        self._pool = graph.pool()
        self._graphs[batch_size, slot] = graph
