"""Captures work on a GPU as CUDA graphs."""

from collections.abc import Callable
from typing import Any

import torch

from maya_batch.torch_errors import capture_ending


class GraphPool:
    """Graphs that share their memory: they run one after the other, and leave nothing in it."""

    def __init__(self, device: torch.device) -> None:
        # One stream for all captures, because each stream has its own workspaces.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = None

    def capture(self, work: Callable[[], object]) -> torch.cuda.CUDAGraph:
        """Capture `work`. `torch.cuda.graph` is not used: it first waits until the GPU is idle."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            with capture_ending(graph):
                work()
        self._pool = graph.pool()
        return graph
