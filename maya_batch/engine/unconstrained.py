"""Unconstrained decoding: draws from the whole vocabulary, and parses the result into frames afterwards."""

from collections.abc import Sequence

import numpy as np
import torch

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, FrameError, TokenLayout
from maya_batch.engine.api import Generation, Request, Sampling
from maya_batch.engine.sampling import draw, penalized, random_numbers


class UnconstrainedSampler:
    """Draws from the whole vocabulary for a batch of sequences; EOS only after the minimum length."""

    def __init__(
        self, layout: TokenLayout, sampling: Sampling, seeds: Sequence[int], max_tokens: int, device: torch.device
    ) -> None:
        self._layout, self._sampling = layout, sampling
        self.finite = torch.ones(len(seeds), dtype=torch.bool, device=device)
        """Whether all logits of a sequence were finite so far."""
        numbers = np.stack([random_numbers(seed, max_tokens) for seed in seeds], axis=1)
        self._uniform = torch.from_numpy(numbers).to(device)
        width = SLOTS * layout.codebook_size
        self._drawn = torch.zeros(len(seeds), width, dtype=torch.bool, device=device)

    def draw(self, step: int, scores: torch.Tensor) -> torch.Tensor:
        """Draw a token for each sequence from `scores` [sequences, vocabulary]; step 0 is the first token."""
        start, width = self._layout.code_offset, self._drawn.shape[1]
        penalty = self._sampling.repetition_penalty
        logits = scores.clone()
        self.finite &= logits.isfinite().all(dim=-1)
        if penalty != 1.0:
            logits[:, start : start + width] = penalized(logits[:, start : start + width], self._drawn, penalty)
        if step < MIN_FRAMES * SLOTS:
            logits[:, self._layout.eos] = -torch.inf
        tokens = draw(logits, self._uniform[step], self._sampling.temperature, self._sampling.top_p)
        if penalty != 1.0:
            speech = ((tokens >= start) & (tokens < start + width)).unsqueeze(1)
            column = (tokens - start).clamp(0, width - 1).unsqueeze(1)
            self._drawn.scatter_(1, column, self._drawn.gather(1, column) | speech)
        return tokens


def parse_generation(request: Request, ids: list[int], layout: TokenLayout) -> Generation:
    """Parse the ids of one sequence into frames, and find out why it ended."""
    ended = layout.eos in ids
    tokens = ids[: ids.index(layout.eos)] if ended else ids[: request.max_frames * SLOTS]
    try:
        codes = layout.frames(tokens)
    except FrameError as error:
        return Generation(request.key, error.codes, "broken", f"invalid frame ({error})")
    return Generation(request.key, codes, "eos" if ended else "cap")
