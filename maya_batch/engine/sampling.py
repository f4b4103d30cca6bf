"""Draws speech tokens. The random numbers of each sequence come from its own seed.

The codes of a sequence therefore do not depend on the other sequences of the batch; `generate` itself draws one
multinomial for the whole batch.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor, StoppingCriteria

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Sampling


def random_numbers(seed: int, count: int) -> NDArray[np.float32]:
    """A sequence's random numbers in [0, 1), one for each token.

    Counter-based (Philox, keyed by the seed): the number of a token does not depend on the count.
    """
    return np.random.Generator(np.random.Philox(key=seed)).random(count, dtype=np.float32)


def draw(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Draw one column of `logits` [sequences, columns] for each sequence, with `uniform` [sequences] in [0, 1).

    Top-p keeps the smallest set of the most probable columns whose probabilities add up to at least `top_p`.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities, order = (logits / temperature).softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    cumulative = probabilities.cumsum(dim=-1)
    # At least one: a sequence of NaN, which the caller reports, must not pick column -1.
    kept = (cumulative - probabilities < top_p).sum(dim=-1).clamp(min=1)
    mass = cumulative.gather(1, (kept - 1).unsqueeze(1))
    picked = (cumulative <= uniform.unsqueeze(1) * mass).sum(dim=-1)
    # With rounding, uniform * mass can be the last kept sum itself.
    picked = torch.minimum(picked, kept - 1)
    return order.gather(1, picked.unsqueeze(1)).squeeze(1)


def penalized(logits: torch.Tensor, drawn: torch.Tensor, penalty: float) -> torch.Tensor:
    """Apply CTRL's repetition penalty to the `drawn` columns [sequences, columns], never to prompt or padding."""
    return torch.where(drawn, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


class UnconstrainedSampler(LogitsProcessor):  # type: ignore[misc]
    """A logits processor of `generate` that draws from the whole vocabulary; EOS only after the minimum length.

    It applies temperature, top-p and penalty, and draws. In the scores that it returns, the drawn token has 0 and all
    others have minus infinity, so `generate` takes the drawn one.
    """

    def __init__(
        self,
        layout: TokenLayout,
        sampling: Sampling,
        seeds: list[int],
        prompt_length: int,
        max_tokens: int,
        device: torch.device,
    ) -> None:
        self.layout, self.sampling = layout, sampling
        self.prompt_length = prompt_length
        self.finite = torch.ones(len(seeds), dtype=torch.bool, device=device)
        numbers = np.stack([random_numbers(seed, max_tokens) for seed in seeds], axis=1)
        self._uniform = torch.from_numpy(numbers).to(device)
        width = SLOTS * layout.codebook_size
        self._drawn = torch.zeros(len(seeds), width, dtype=torch.bool, device=device)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores [sequences, vocabulary] that allow only the drawn token of each sequence."""
        step = input_ids.shape[1] - self.prompt_length
        start, width = self.layout.code_offset, self._drawn.shape[1]
        penalty = self.sampling.repetition_penalty
        logits = scores.clone()
        self.finite &= logits.isfinite().all(dim=-1)
        if penalty != 1.0:
            logits[:, start : start + width] = penalized(logits[:, start : start + width], self._drawn, penalty)
        if step < MIN_FRAMES * SLOTS:
            logits[:, self.layout.eos] = -torch.inf
        tokens = draw(logits, self._uniform[step], self.sampling.temperature, self.sampling.top_p)
        if penalty != 1.0:
            speech = ((tokens >= start) & (tokens < start + width)).unsqueeze(1)
            column = (tokens - start).clamp(0, width - 1).unsqueeze(1)
            self._drawn.scatter_(1, column, self._drawn.gather(1, column) | speech)
        result = torch.full_like(scores, -torch.inf)
        return result.scatter_(1, tokens.unsqueeze(1), 0.0)


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
