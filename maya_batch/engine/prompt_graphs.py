"""The CUDA graphs of passes of prompts: one for each number and length of prompts, both padded.

A pass has some 300 kernels. Called one by one, each may wait for another thread to let go of the interpreter, which
took 60 to 100 ms a pass beside threads that check and store takes, and the GPU waited.
"""

from collections.abc import Callable

import torch

from maya_batch.engine.graph_pool import GraphPool
from maya_batch.engine.paged_cache import upload


class PromptGraphs:
    """The graphs of one runner, and the memory that they read."""

    def __init__(self, prefill: Callable[[torch.Tensor, torch.Tensor], None], pool: GraphPool) -> None:
        """`prefill` runs ids [prompts, positions] of these batch slots [prompts] through the model."""
        self._prefill, self._pool = prefill, pool
        self._graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor]] = {}

    def replay(self, ids: torch.Tensor, batch_slots: torch.Tensor, device: torch.device) -> None:
        """Run prompts, which are in the host's memory, through the model."""
        if ids.shape not in self._graphs:
            given = torch.zeros_like(ids, device=device), torch.zeros_like(batch_slots, device=device)
            self._graphs[ids.shape] = (self._pool.capture(lambda: self._prefill(*given)), *given)
        graph, ids_there, slots_there = self._graphs[ids.shape]
        upload(ids, ids_there)
        upload(batch_slots, slots_there)
        graph.replay()
