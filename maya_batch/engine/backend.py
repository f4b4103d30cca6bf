"""What the decode loop needs from a library that runs the model: PyTorch, or llama.cpp."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch

from maya_batch.engine.batch_budget import BatchBudget
from maya_batch.engine.sequence_state import SequenceState


class BlockCache(Protocol):
    """A KV cache of blocks; a sequence in a batch slot reserves them as it grows."""

    @property
    def blocks(self) -> int:
        """The number of blocks."""

    @property
    def block_size(self) -> int:
        """The positions of a block."""

    def reserve(self, batch_slot: int, tokens: int) -> bool:
        """Give a batch slot blocks for this many tokens. If too few are free, return False and change nothing."""

    def release(self, batch_slot: int) -> None:
        """Take back the blocks of a batch slot."""

    def move(self, source: int, target: int) -> None:
        """Move a sequence from one batch slot to another one, which has no blocks."""

    def sync(self) -> None:
        """Apply the changes before the next prompts or the next frame."""


class Runner(Protocol):
    """Runs the model on the sequences of one batch, and draws their tokens."""

    @property
    def cache(self) -> BlockCache:
        """The KV cache of the batch."""

    def warm_up(self, batch_size: int) -> None:
        """Compile, load and allocate all that a frame needs, before the first sequence starts."""

    def prefill(self, batch_slots: list[int], prompts: list[list[int]]) -> None:
        """Write these prompts to the cache, without their last ids."""

    def decode(self, batch_size: int, max_context: int) -> None:
        """Decode a frame of the first `batch_size` batch slots, whose contexts are at most `max_context` after it."""

    def prepare(self, batch_size: int) -> bool:
        """While the device computes a frame of so many batch slots, prepare a part of others; False if none is left."""

    def in_grammar_probabilities(self, batch_size: int, max_context: int) -> torch.Tensor:
        """Decode a frame; return the probability [batch size, 7] that an unconstrained token is of its slot.

        It is NaN if a logit is not finite.
        """


class Backend(Protocol):
    """A loaded model."""

    @property
    def device(self) -> torch.device:
        """The device of the logits, where tokens are drawn."""

    @property
    def layer_bytes(self) -> int:
        """Bytes of the weights that a step reads."""

    @property
    def position_bytes(self) -> int:
        """Bytes of the keys and values of one position of one sequence, in all layers."""

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens that go through the model together; 0: each prompt alone, to the same bit in any batch."""

    def padded(self, sequences: int) -> int:
        """The batch size that a frame of so many sequences is computed with."""

    def runner(self, budget: BatchBudget, state: SequenceState) -> Runner:
        """Start a batch of this size."""


#: Numbers of prompts that go through the model together on a GPU, and what their length is a multiple of: few sizes,
#: because each is a CUDA graph.
_PROMPTS, _PROMPT_LENGTH = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48), 32


def padded_prompts(count: int, length: int) -> tuple[int, int]:
    """The number and length that so many prompts, of at most this length, are padded to."""
    return (
        next((size for size in _PROMPTS if size >= count), -(-count // _PROMPTS[-1]) * _PROMPTS[-1]),
        -(-length // _PROMPT_LENGTH) * _PROMPT_LENGTH,
    )


def prompt_batches(prompts: Sequence[list[int]], tokens: int) -> list[list[int]]:
    """The indexes of the prompts that go through the model together: at most so many padded tokens, or each alone."""
    if not tokens:
        return [[index] for index in range(len(prompts))]
    batches: list[list[int]] = []
    for index in sorted(range(len(prompts)), key=lambda index: len(prompts[index])):
        if batches and math.prod(padded_prompts(len(batches[-1]) + 1, len(prompts[index]))) <= tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
