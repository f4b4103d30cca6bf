"""Decodes a frame with PyTorch: seven steps of all sequences, each a CUDA graph with the GPU kernels."""

import torch
from torch.nn import functional

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.backend import padded_prompts
from maya_batch.engine.batch_budget import PROMPT_TOKENS, BatchBudget, graph_batch_size
from maya_batch.engine.frame_graphs import FrameGraphs
from maya_batch.engine.graph_pool import GraphPool
from maya_batch.engine.kernels.llama_layers import Attend, LlamaLayers
from maya_batch.engine.kernels.torch_attention import (
    attend_cached,
    attend_prompt,
    prompt_attention,
    split_heads,
)
from maya_batch.engine.paged_cache import PagedCache
from maya_batch.engine.prompt_graphs import PromptGraphs
from maya_batch.engine.sampling import in_grammar_probability
from maya_batch.engine.sequence_state import SequenceState

#: Columns of the output projection are a multiple of this: cuBLAS took 160 us over 4,097 and 20 us over 4,104.
_ALIGNED = 8


class TorchBackend:
    """A model whose layers PyTorch computes."""

    def __init__(self, llama: LlamaLayers, layout: TokenLayout, graphs: bool) -> None:
        """With `graphs`, frames are CUDA graphs."""
        self._llama, self._layout, self._graphs = llama, layout, graphs
        self.device = llama.head.device
        self.layer_bytes, self.position_bytes = llama.layer_bytes, llama.position_bytes
        self.prompt_tokens = PROMPT_TOKENS if self.device.type == "cuda" else 0

    def padded(self, sequences: int) -> int:
        """The batch size that a frame of so many sequences is computed with."""
        return graph_batch_size(sequences)

    def runner(self, budget: BatchBudget, state: SequenceState) -> "FrameRunner":
        """Start a batch of this size."""
        cache = PagedCache(
            layers=self._llama.layers,
            kv_heads=self._llama.kv_heads,
            head_dim=self._llama.head_dim,
            batch_slots=graph_batch_size(budget.sequences),
            positions=budget.positions,
            block_size=budget.block_size,
            blocks=budget.blocks,
            dtype=self._llama.dtype,
            device=self.device,
            int8=self._llama.int8_cache,
        )
        return FrameRunner(self._llama, cache, state, self._layout, budget.positions, self._graphs)


class FrameRunner:
    """Runs the model on the cache and the state of the sequences."""

    def __init__(
        self,
        llama: LlamaLayers,
        cache: PagedCache,
        state: SequenceState,
        layout: TokenLayout,
        positions: int,
        graphs: bool,
    ) -> None:
        """`positions` is the most that a sequence takes, with its prompt. With `graphs`, frames are CUDA graphs."""
        self._llama, self.cache, self._state, self._layout = llama, cache, state, layout
        self._cos, self._sin = llama.rotary(positions)
        self._heads = _slot_heads(llama.head, layout)
        slots = len(state.position)
        self._order = torch.arange(slots, device=llama.head.device)
        pool = GraphPool(llama.head.device) if graphs else None
        self._graphs = None if pool is None else FrameGraphs(self._decode_step, pool, slots)
        self._prompt_graphs = None if pool is None else PromptGraphs(self._prefill, pool)

    def prefill(self, batch_slots: list[int], prompts: list[list[int]]) -> None:
        """Write these prompts to the cache, without their last ids."""
        device, longest = self._cos.device, max(map(len, prompts)) - 1
        contiguous = self.cache.contiguous
        count, length = (len(prompts), longest) if contiguous else padded_prompts(len(prompts), longest)
        # The first prompt fills the rest: it is computed, and written to its place, several times.
        fill = count - len(prompts)
        slots = torch.tensor([*batch_slots, *batch_slots[:1] * fill])
        ids = torch.zeros(count, length, dtype=torch.long)
        for number, prompt in enumerate([*prompts, *prompts[:1] * fill]):
            ids[number, : len(prompt) - 1] = torch.tensor(prompt[:-1])
        if self._prompt_graphs is None:
            self._prefill(ids.to(device), slots.to(device))
        else:
            self._prompt_graphs.replay(ids, slots, device)

    def _prefill(self, ids: torch.Tensor, batch_slots: torch.Tensor) -> None:
        attend = (
            self._attend_prompts_plainly(batch_slots, ids.shape[1])
            if self.cache.contiguous
            else self._attend_prompts(batch_slots)
        )
        with prompt_attention(ids.device):
            self._llama.forward(self._llama.embed(ids.flatten()), attend)

    def _attend_prompts(self, batch_slots: torch.Tensor) -> Attend:
        from maya_batch.engine.kernels.prompt_kernel import store_prompt

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            return attend_prompt(*store_prompt(qkv, self.cache, layer, batch_slots, self._cos, self._sin))

        return attend

    def _attend_prompts_plainly(self, batch_slots: torch.Tensor, longest: int) -> Attend:
        llama, locations = self._llama, self.cache.locations(batch_slots, longest)
        cos, sin = self._cos[:longest], self._sin[:longest]

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            projected = qkv.view(len(batch_slots), longest, -1)
            queries, keys, values = split_heads(projected, llama.kv_heads, llama.head_dim, cos, sin)
            self.cache.write(layer, locations, keys, values)
            return attend_prompt(queries, keys, values)

        return attend

    def decode(self, batch_size: int, max_context: int) -> None:
        """Decode a frame of the first `batch_size` batch slots, whose contexts are at most `max_context` after it."""
        if self._graphs is None:
            self._decode_frame(batch_size, max_context)
        else:
            self._graphs.replay(batch_size)

    def prepare(self, batch_size: int) -> bool:
        """Capture a step of another batch size than this one; False if all are captured."""
        return self._graphs is not None and self._graphs.capture_ahead(batch_size)

    def in_grammar_probabilities(self, batch_size: int, max_context: int) -> torch.Tensor:
        """Decode a frame; return the probability [batch size, 7] that an unconstrained token is of its slot.

        It is NaN if a logit is not finite.
        """
        probabilities: list[torch.Tensor] = []
        self._decode_frame(batch_size, max_context, probabilities)
        return torch.stack(probabilities, dim=1)

    def warm_up(self, batch_size: int) -> None:
        """Compile, load and allocate all that a frame needs, before the first sequence starts."""
        self._decode_frame(batch_size, 1)

    def _decode_frame(self, batch_size: int, max_context: int, probabilities: list[torch.Tensor] | None = None) -> None:
        for slot in range(SLOTS):
            self._decode_step(batch_size, slot, max_context, probabilities)

    def _decode_step(
        self, batch_size: int, slot: int, max_context: int = 0, probabilities: list[torch.Tensor] | None = None
    ) -> None:
        """One step of a frame. The paged cache does without `max_context`."""
        if slot == 0 and not self.cache.contiguous:
            # The longest first, also in the other steps of the frame.
            self._order[:batch_size] = self._state.position[:batch_size].argsort(descending=True)
        hidden = self._step(batch_size, max_context)
        width = self._layout.codebook_size + (slot == 0)
        logits = functional.linear(hidden, self._heads[slot])[:, :width]
        if probabilities is not None:
            unconstrained = functional.linear(hidden, self._llama.head)
            probabilities.append(in_grammar_probability(logits, unconstrained))
        if self.cache.contiguous:
            self._state.sample(slot, logits)
        else:
            self._state.sample_on_gpu(slot, logits)
        if slot == SLOTS - 1:
            self._state.finish_frame(batch_size)

    def _step(self, batch_size: int, max_context: int) -> torch.Tensor:
        """Run the newest token of each sequence through the model: [batch size, hidden]."""
        position = self._state.position[:batch_size]
        if self.cache.contiguous:
            attend = self._attend_contiguous(batch_size, max_context, position)
        else:
            attend = self._attend_paged(batch_size, position)
        return self._llama.forward(self._llama.embed(self._state.token[:batch_size]), attend)

    def _attend_paged(self, batch_size: int, position: torch.Tensor) -> Attend:
        from maya_batch.engine.kernels.int8_attention import attend_int8
        from maya_batch.engine.kernels.triton_kernels import attend_one

        pool, scales, block_table = self.cache.pool, self.cache.scales, self.cache.block_table[:batch_size]
        order, angles = self._order[:batch_size], (self._cos, self._sin)

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            if scales is None:
                return attend_one(qkv, pool[layer], block_table, position, order, *angles)
            return attend_int8(qkv, pool[layer], scales[layer], block_table, position, order, *angles)

        return attend

    def _attend_contiguous(self, batch_size: int, max_context: int, position: torch.Tensor) -> Attend:
        cache, llama = self.cache, self._llama
        used = _used_slots(position)
        position = position[:used]
        cos, sin = self._cos[position], self._sin[position]
        masked = torch.arange(max_context, device=position.device) > position.unsqueeze(1)
        block = torch.arange(1, used + 1, device=position.device)

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            queries, keys, values = split_heads(qkv[:used], llama.kv_heads, llama.head_dim, cos, sin)
            cache.write(layer, (block, position), keys, values)
            mixed = attend_cached(queries, *cache.context(layer, used, max_context), masked)
            return functional.pad(mixed, (0, 0, 0, batch_size - used))

        return attend


def _used_slots(position: torch.Tensor) -> int:
    """The batch slots that attention computes, of those with the positions [batch size] of their next inputs.

    On a CPU, the slots behind the last sequence only pad the other products: attention to a long context takes as long
    as these. A GPU would have to be waited for.
    """
    if position.device.type != "cpu":
        return len(position)
    return 1 + int(position.nonzero().amax()) if position.any() else len(position)


def _slot_heads(head: torch.Tensor, layout: TokenLayout) -> list[torch.Tensor]:
    """The part of the output embedding for each slot's codes; the first slot's also has EOS, and is padded."""
    heads = []
    for slot in range(SLOTS):
        start = layout.slot_start(slot)
        heads.append(head[start : start + layout.codebook_size])
    first = torch.cat([heads[0], head[layout.eos].unsqueeze(0)])
    heads[0] = functional.pad(first, (0, 0, 0, -len(first) % _ALIGNED))
    return heads
