"""Decodes a frame with llama.cpp: seven steps of all sequences, which look at the codes of one slot each."""

import numpy as np
import torch
from numpy.typing import NDArray

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.batch_budget import BatchBudget
from maya_batch.engine.llama_model import LlamaContext
from maya_batch.engine.sampling import in_grammar_probability
from maya_batch.engine.sequence_state import SequenceState

#: The fewest sequences that are computed together where sums must not depend on their number: one alone goes through
#: other products, which sum in another order. In quantized types, sums depend on the number anyway.
LEAST_TOGETHER = 2


class GgufCache:
    """llama.cpp's cache as one block for each batch slot: the sequence in a batch slot has its number."""

    def __init__(self, context: LlamaContext, budget: BatchBudget) -> None:
        self._context = context
        self.blocks, self.block_size = budget.blocks, budget.positions
        self.next_position: NDArray[np.int64] = np.zeros(context.size.sequences, dtype=np.int64)
        """The position of the next token in each batch slot."""

    def reserve(self, batch_slot: int, tokens: int) -> bool:
        """Whether a batch slot has room for this many tokens, which it always has up to a block's size."""
        return tokens <= self.block_size

    def release(self, batch_slot: int) -> None:
        """Empty a batch slot."""
        self._context.clear(batch_slot)
        self.next_position[batch_slot] = 0

    def move(self, source: int, target: int) -> None:
        """Move a sequence to another batch slot."""
        self._context.move(source, target)
        self.next_position[target], self.next_position[source] = self.next_position[source], 0

    def sync(self) -> None:
        """Nothing is left to do: llama.cpp applies changes before it decodes."""


class GgufRunner:
    """Runs the model on the sequences of one batch."""

    def __init__(self, context: LlamaContext, budget: BatchBudget, state: SequenceState, layout: TokenLayout) -> None:
        self._context, self._state, self._layout = context, state, layout
        self.cache = GgufCache(context, budget)
        for batch_slot in range(context.size.sequences):
            self.cache.release(batch_slot)  # a batch that was left may have sequences in it
        # Views: what the state writes to its tensors is here.
        self._token, self._live = state.token.numpy(), state.live.numpy()
        self._scores = torch.zeros(len(self._token), layout.codebook_size + 1)

    def warm_up(self, batch_size: int) -> None:
        """Nothing needs it."""

    def prefill(self, batch_slots: list[int], prompts: list[list[int]]) -> None:
        """Write these prompts to the cache, without their last ids."""
        for batch_slot, prompt in zip(batch_slots, prompts, strict=True):
            self._context.prefill(batch_slot, prompt[:-1])
            self.cache.next_position[batch_slot] = len(prompt) - 1

    def decode(self, batch_size: int, max_context: int) -> None:
        """Decode a frame of the first `batch_size` batch slots."""
        self._decode_frame(batch_size, None)

    def prepare(self, batch_size: int) -> bool:
        """Nothing needs it."""
        return False

    def in_grammar_probabilities(self, batch_size: int, max_context: int) -> torch.Tensor:
        """Decode a frame; return the probability [batch size, 7] that an unconstrained token is of its slot.

        It is NaN if a logit is not finite.
        """
        probabilities: list[torch.Tensor] = []
        self._decode_frame(batch_size, probabilities)
        return torch.stack(probabilities, dim=1)

    def _decode_frame(self, batch_size: int, probabilities: list[torch.Tensor] | None) -> None:
        for batch_slot in np.flatnonzero(self._live[:batch_size] == 0):
            self.cache.release(int(batch_slot))  # it starts again at position 0, and stays within the cache
        for slot in range(SLOTS):
            logits = self._step(batch_size)
            scores = self._slot_scores(slot, logits)
            if probabilities is not None:
                probabilities.append(in_grammar_probability(scores, torch.from_numpy(logits)))
            self._state.sample(slot, scores)
        self._state.finish_frame(batch_size)

    def _step(self, batch_size: int) -> NDArray[np.float32]:
        """Run the newest token of each batch slot through the model: logits [batch size, vocabulary].

        Batch slots without a running sequence decode a token, too, because sequences must follow each other without a
        gap.
        """
        tokens = np.where(self._live[:batch_size] == 1, self._token[:batch_size], self._layout.pad)
        positions = self.cache.next_position[:batch_size]
        logits = self._context.decode(tokens, positions, np.arange(batch_size))
        positions += 1
        return logits

    def _slot_scores(self, slot: int, logits: NDArray[np.float32]) -> torch.Tensor:
        """The scores of a slot's codes, in the first slot with EOS last: [batch size, columns]."""
        start, size = self._layout.slot_start(slot), self._layout.codebook_size
        scores = self._scores[: len(logits), : size + (slot == 0)]
        numbers = scores.numpy()
        numbers[:, :size] = logits[:, start : start + size]
        if slot == 0:
            numbers[:, size] = logits[:, self._layout.eos]
        return scores


class GgufBackend:
    """A model that llama.cpp computes. Tokens are drawn on the CPU, wherever its layers are."""

    def __init__(
        self, context: LlamaContext, layout: TokenLayout, layer_bytes: int, position_bytes: int, least: int
    ) -> None:
        """`least` is the fewest sequences that are computed together."""
        self._context, self._layout, self._least = context, layout, least
        self.device = torch.device("cpu")
        self.layer_bytes, self.position_bytes = layer_bytes, position_bytes
        self.prompt_tokens = 0

    def padded(self, sequences: int) -> int:
        """The batch size that a frame of so many sequences is computed with."""
        return max(sequences, self._least)

    def runner(self, budget: BatchBudget, state: SequenceState) -> GgufRunner:
        """Start a batch of this size."""
        return GgufRunner(self._context, budget, state, self._layout)
