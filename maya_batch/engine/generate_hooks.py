"""Hooks into transformers' `generate`: what draws its tokens, and what ends its sequences."""

from collections.abc import Callable

import torch
from transformers import LogitsProcessor, StoppingCriteria

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.unconstrained import UnconstrainedSampler


class SamplingProcessor(LogitsProcessor):  # type: ignore[misc]
    """Draws with our sampler. In the scores that it returns, the drawn token has 0 and all others minus infinity, so
    `generate` takes the drawn one.
    """

    def __init__(self, sampler: UnconstrainedSampler, prompt_length: int) -> None:
        self._sampler, self._prompt_length = sampler, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores [sequences, vocabulary] that allow only the drawn token of each sequence."""
        tokens = self._sampler.draw(input_ids.shape[1] - self._prompt_length, scores)
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens.unsqueeze(1), 0.0)


class MaxFramesCriteria(StoppingCriteria):  # type: ignore[misc]
    """Ends each sequence one token after its max_frames: that token may be its EOS.

    If the logits of one are not `finite`, all sequences end, and the caller raises an error.
    """

    def __init__(
        self, max_frames: torch.Tensor, prompt_length: int, finite: torch.Tensor, tick: Callable[[], None] | None
    ) -> None:
        self._steps = max_frames * SLOTS + 1
        self._prompt_length, self._finite, self._tick = prompt_length, finite, tick

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Return which sequences have reached their end: [sequences]."""
        if self._tick is not None:
            self._tick()
        return (self._steps <= input_ids.shape[1] - self._prompt_length) | ~self._finite.all()
