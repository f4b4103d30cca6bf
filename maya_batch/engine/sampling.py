"""Drawing speech tokens a row at a time.

Each row has its own random numbers, drawn from its seed alone, so that what it says does not depend on what is
spoken beside it. `generate` itself would draw one multinomial for the whole batch.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor, StoppingCriteria

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Sampling


def row_numbers(seed: int, count: int) -> NDArray[np.float32]:
    """A row's random numbers in [0, 1), one a token.

    Counter-based (Philox, keyed by the seed): the number of a token is the same however many are asked for.
    """
    return np.random.Generator(np.random.Philox(key=seed)).random(count, dtype=np.float32)


def drawn_end(seed: int, text: str, pace: tuple[int, int]) -> int:
    """The frame that a row of random weights ends at: so many tokens a word, drawn between two bounds."""
    drawn = np.random.Generator(np.random.Philox(key=seed).jumped()).uniform(*pace)
    return max(round(len(text.split()) * drawn / SLOTS), MIN_FRAMES)


def draw(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One column of `logits` [rows, columns] a row, by temperature and nucleus, from `uniform` [rows] in [0, 1).

    The nucleus is the smallest set of the most probable columns that holds at least `top_p`.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities, order = (logits / temperature).softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    cumulative = probabilities.cumsum(dim=-1)
    # At least one, so that a row of NaN, which the caller reports, does not reach for column -1.
    kept = (cumulative - probabilities < top_p).sum(dim=-1).clamp(min=1)
    mass = cumulative.gather(1, (kept - 1).unsqueeze(1))
    picked = (cumulative <= uniform.unsqueeze(1) * mass).sum(dim=-1)
    # Rounding may put uniform * mass on the last kept sum itself.
    picked = torch.minimum(picked, kept - 1)
    return order.gather(1, picked.unsqueeze(1)).squeeze(1)


def penalized(logits: torch.Tensor, spoken: torch.Tensor, penalty: float) -> torch.Tensor:
    """The repetition penalty of CTRL over what a row has `spoken` [rows, columns]: never over prompt or padding."""
    return torch.where(spoken, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


class FreeSampler(LogitsProcessor):  # type: ignore[misc]
    """Draws from the whole vocabulary, EOS after the minimum, as a logits processor of `generate`.

    Temperature, top-p, penalty and draw happen here, and the scores handed back leave `generate` nothing to choose:
    the drawn token has 0, all others have minus infinity.
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
        numbers = np.stack([row_numbers(seed, max_tokens) for seed in seeds], axis=1)
        self._uniform = torch.from_numpy(numbers).to(device)
        width = SLOTS * layout.codebook_size
        self._spoken = torch.zeros(len(seeds), width, dtype=torch.bool, device=device)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [rows, vocabulary] that leave only the drawn token of each row."""
        step = input_ids.shape[1] - self.prompt_length
        start, width = self.layout.code_offset, self._spoken.shape[1]
        penalty = self.sampling.repetition_penalty
        offered = scores.clone()
        self.finite &= offered.isfinite().all(dim=-1)
        if penalty != 1.0:
            offered[:, start : start + width] = penalized(offered[:, start : start + width], self._spoken, penalty)
        if step < MIN_FRAMES * SLOTS:
            offered[:, self.layout.eos] = -torch.inf
        tokens = draw(offered, self._uniform[step], self.sampling.temperature, self.sampling.top_p)
        if penalty != 1.0:
            speech = ((tokens >= start) & (tokens < start + width)).unsqueeze(1)
            column = (tokens - start).clamp(0, width - 1).unsqueeze(1)
            self._spoken.scatter_(1, column, self._spoken.gather(1, column) | speech)
        result = torch.full_like(scores, -torch.inf)
        return result.scatter_(1, tokens.unsqueeze(1), 0.0)


class RowCaps(StoppingCriteria):  # type: ignore[misc]
    """Ends each row one token after its own cap: that token may still be the EOS that makes it whole. All of them end
    where one is not `finite` any more, which the caller reports.
    """

    def __init__(
        self, max_frames: torch.Tensor, prompt_length: int, finite: torch.Tensor, tick: Callable[[], None] | None
    ) -> None:
        self._steps = max_frames * SLOTS + 1
        self._prompt_length, self._finite, self._tick = prompt_length, finite, tick

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Which rows [rows] have reached their cap."""
        if self._tick is not None:
            self._tick()
        return (self._steps <= input_ids.shape[1] - self._prompt_length) | ~self._finite.all()
