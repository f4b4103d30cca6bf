"""Speaking a frame: seven steps of all rows, as one CUDA graph where the GPU kernels run, else step by step."""

from typing import Any

import torch
from torch.nn import functional

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.kernels.llama_layers import Attend, Llama
from maya_batch.engine.kernels.torch_attention import attend_cached, attend_prompt, split_heads
from maya_batch.engine.paged_cache import KvCache
from maya_batch.engine.sequence_state import Rows

#: Columns of the output projection are a multiple of this: cuBLAS took 160 us over 4,097 and 20 us over 4,104.
_ALIGNED = 8


class Frames:
    """The model, the cache and the rows, put together."""

    def __init__(
        self, llama: Llama, cache: KvCache, rows: Rows, layout: TokenLayout, positions: int, graphs: bool
    ) -> None:
        """`positions` is how long a row may get, prompt and all. With `graphs`, a frame is captured and replayed."""
        self._llama, self._cache, self._rows, self._layout = llama, cache, rows, layout
        self._cos, self._sin = llama.rotary(positions)
        self._heads = _slot_heads(llama.head, layout)
        self._graphs: dict[int, torch.cuda.CUDAGraph] | None = {} if graphs else None
        # One stream for all captures, since each stream has workspaces of its own. A frame's kernels go before those of
        # the codec, whose stream has no priority.
        device = llama.head.device
        self._stream = torch.cuda.Stream(device, priority=-1) if graphs else None  # type: ignore[no-untyped-call]
        self._pool: Any = None

    def prompt(self, places: list[int], prompts: list[list[int]]) -> None:
        """Put all of these prompts but their last ids into the cache."""
        longest = max(len(prompt) for prompt in prompts) - 1
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt) - 1] = torch.tensor(prompt[:-1])
        device = self._cos.device
        pinned = device.type == "cuda"
        at = torch.tensor(places)
        if pinned:
            ids, at = ids.pin_memory(), at.pin_memory()
        ids, at = ids.to(device, non_blocking=True), at.to(device, non_blocking=True)
        cos, sin = self._cos[:longest], self._sin[:longest]
        lines = self._cache.lines(at, longest)

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            projected = qkv.view(*ids.shape, -1)
            queries, keys, values = split_heads(projected, self._llama.kv_heads, self._llama.head_dim, cos, sin)
            self._cache.write(layer, lines, keys, values)
            return attend_prompt(queries, keys, values)

        self._llama.forward(self._llama.embed(ids.flatten()), attend)

    def speak(self, rows: int, extent: int) -> None:
        """A frame of the first `rows` rows, none of which has more than `extent` positions before its end."""
        if self._graphs is None:
            self._frame(rows, extent)
            return
        if rows not in self._graphs:
            self._graphs[rows] = self._capture(rows)
        self._graphs[rows].replay()

    def in_grammar_probability(self, rows: int, extent: int) -> torch.Tensor:
        """Speak a frame; the probability [rows, 7] that a draw from the whole vocabulary keeps to each slot, NaN where
        a score is not a finite number.
        """
        masses: list[torch.Tensor] = []
        self._frame(rows, extent, masses)
        return torch.stack(masses, dim=1)

    def warm_up(self, rows: int) -> None:
        """Compile, load and allocate what a frame needs, while no row speaks."""
        self._frame(rows, 1)

    def _frame(self, rows: int, extent: int, masses: list[torch.Tensor] | None = None) -> None:
        for slot in range(SLOTS):
            hidden = self._step(rows, extent)
            width = self._layout.codebook_size + (slot == 0)
            logits = functional.linear(hidden, self._heads[slot])[:, :width]
            if masses is not None:
                whole = functional.linear(hidden, self._llama.head).float()
                mass = (logits.float().logsumexp(dim=-1) - whole.logsumexp(dim=-1)).exp()
                masses.append(mass.masked_fill(~whole.isfinite().all(dim=-1), torch.nan))
            self._rows.take(slot, logits)
        self._rows.finish_frame(rows)

    def _step(self, rows: int, extent: int) -> torch.Tensor:
        """The newest token of each row through the model: [rows, hidden]."""
        position = self._rows.position[:rows]
        if self._cache.whole:
            attend = self._attend_whole(rows, extent, position)
        else:
            from maya_batch.engine.kernels.triton_kernels import attend_one

            cache, table = self._cache, self._cache.table[:rows]

            def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
                return attend_one(qkv, cache.pool[layer], table, position, self._cos, self._sin)

        return self._llama.forward(self._llama.embed(self._rows.token[:rows]), attend)

    def _attend_whole(self, rows: int, extent: int, position: torch.Tensor) -> Attend:
        cache, llama = self._cache, self._llama
        cos, sin = self._cos[position], self._sin[position]
        hidden = torch.arange(extent, device=position.device) > position.unsqueeze(1)
        at = torch.arange(1, rows + 1, device=position.device)

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            queries, keys, values = split_heads(qkv, llama.kv_heads, llama.head_dim, cos, sin)
            pool = cache.pool[layer]
            pool[0][at, :, position] = keys
            pool[1][at, :, position] = values
            mine = pool[:, 1 : rows + 1, :, :extent]
            return attend_cached(queries, mine[0], mine[1], hidden)

        return attend

    def _capture(self, rows: int) -> torch.cuda.CUDAGraph:
        """A frame as a graph. By hand, since `torch.cuda.graph` first waits until the GPU has nothing left to do."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                self._frame(rows, 0)
            finally:
                graph.capture_end()
        self._pool = graph.pool()
        return graph


def _slot_heads(head: torch.Tensor, layout: TokenLayout) -> list[torch.Tensor]:
    """The rows of the output embedding that a frame's slots can say: of the first slot with EOS, and filled up."""
    heads = []
    for slot in range(SLOTS):
        start = layout.slot_start(slot)
        heads.append(head[start : start + layout.codebook_size])
    first = torch.cat([heads[0], head[layout.eos].unsqueeze(0)])
    heads[0] = functional.pad(first, (0, 0, 0, -len(first) % _ALIGNED))
    return heads
