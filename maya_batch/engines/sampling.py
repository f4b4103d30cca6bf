"""Drawing speech tokens a row at a time, as a logits processor of `generate`.

`generate` would draw one multinomial for the whole batch, so that a row's tokens depend on its neighbours. Here each
row has its own random numbers, temperature, top-p, penalty and draw happen in one place, and the scores handed
back leave `generate` nothing to choose: the drawn token has 0, all others have minus infinity.
"""

from collections.abc import Callable

import torch
from transformers import LogitsProcessor, StoppingCriteria

from maya_batch.engines import Decoding, Sampling
from maya_batch.tokens import MIN_FRAMES, SLOTS, TokenLayout


def draw(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One column of `logits` [rows, columns] a row, by temperature and nucleus, from `uniform` [rows] in [0, 1).

    The nucleus is the smallest set of the most probable columns that holds at least `top_p`.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities, order = (logits / temperature).softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    cumulative = probabilities.cumsum(dim=-1)
    # At least one, so that a row of NaN, which the sampler reports, does not reach for column -1.
    kept = (cumulative - probabilities < top_p).sum(dim=-1).clamp(min=1)
    mass = cumulative.gather(1, (kept - 1).unsqueeze(1))
    picked = (cumulative <= uniform.unsqueeze(1) * mass).sum(dim=-1)
    # Rounding may put uniform * mass on the last kept sum itself.
    picked = torch.minimum(picked, kept - 1)
    return order.gather(1, picked.unsqueeze(1)).squeeze(1)


class RowSampler(LogitsProcessor):  # type: ignore[misc]
    """Draws each row's next token with that row's random numbers.

    `framed`: step i offers the codes of slot i mod 7 alone, and EOS at slot 0 once the minimum is spoken.
    `free`: the whole vocabulary, EOS after the minimum.
    """

    def __init__(
        self,
        layout: TokenLayout,
        sampling: Sampling,
        decoding: Decoding,
        seeds: list[int],
        prompt_length: int,
        max_tokens: int,
        device: torch.device,
        measure: bool = False,
    ) -> None:
        self.layout, self.sampling, self.framed = layout, sampling, decoding == "framed"
        self.prompt_length = prompt_length
        self.measure = measure
        self.masses: list[torch.Tensor] = []
        self.finite = torch.ones(len(seeds), dtype=torch.bool, device=device)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._ends: torch.Tensor | None = None
        if layout.drawn_frames is not None:
            low, high = layout.drawn_frames
            ends = [int(torch.randint(low, high + 1, (1,), generator=g)) for g in generators]
            self._ends = torch.tensor(ends, device=device)
        # All of a row's numbers at once, drawn on the CPU: the same on every device, and no call a row and step.
        # They come last, since how many there are depends on the other rows.
        self._uniform = torch.stack([torch.rand(max_tokens, generator=g) for g in generators], dim=1).to(device)
        width = SLOTS * layout.codebook_size
        self._spoken = torch.zeros(len(seeds), width, dtype=torch.bool, device=device)
        self._penalize = sampling.repetition_penalty != 1.0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [rows, vocabulary] that leave only the drawn token of each row."""
        step = input_ids.shape[1] - self.prompt_length
        if self.measure:
            self.masses.append(self._band_mass(scores, step % SLOTS))
        tokens = self._framed(scores, step) if self.framed else self._free(scores, step)
        result = torch.full_like(scores, -torch.inf)
        return result.scatter_(1, tokens.unsqueeze(1), 0.0)

    def _framed(self, scores: torch.Tensor, step: int) -> torch.Tensor:
        slot, frame = step % SLOTS, step // SLOTS
        start, size = self.layout.slot_start(slot), self.layout.codebook_size
        offered = scores[:, start : start + size]
        spoken = self._spoken[:, slot * size : (slot + 1) * size]
        if self._penalize:
            offered = self._penalized(offered, spoken)
        may_end = slot == 0 and frame >= MIN_FRAMES and self._ends is None
        if may_end:
            offered = torch.cat([offered, scores[:, self.layout.eos].unsqueeze(1)], dim=1)
        self.finite &= offered.isfinite().all(dim=-1)
        picked = draw(offered, self._uniform[step], self.sampling.temperature, self.sampling.top_p)
        if self._penalize:
            spoken.scatter_(1, picked.clamp(max=size - 1).unsqueeze(1), True)
        tokens = torch.where(picked == size, self.layout.eos, picked + start) if may_end else picked + start
        if slot == 0 and self._ends is not None:
            tokens = torch.where(self._ends <= frame, self.layout.eos, tokens)
        return tokens

    def _free(self, scores: torch.Tensor, step: int) -> torch.Tensor:
        start, width = self.layout.code_offset, self._spoken.shape[1]
        offered = scores.clone()
        self.finite &= offered.isfinite().all(dim=-1)
        if self._penalize:
            band = offered[:, start : start + width]
            offered[:, start : start + width] = self._penalized(band, self._spoken)
        if step < MIN_FRAMES * SLOTS:
            offered[:, self.layout.eos] = -torch.inf
        tokens = draw(offered, self._uniform[step], self.sampling.temperature, self.sampling.top_p)
        if self._penalize:
            speech = ((tokens >= start) & (tokens < start + width)).unsqueeze(1)
            column = (tokens - start).clamp(0, width - 1).unsqueeze(1)
            self._spoken.scatter_(1, column, self._spoken.gather(1, column) | speech)
        return tokens

    def _penalized(self, logits: torch.Tensor, spoken: torch.Tensor) -> torch.Tensor:
        """The repetition penalty of CTRL, over the row's own speech tokens: never over prompt or padding."""
        penalty = self.sampling.repetition_penalty
        return torch.where(spoken, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

    def _band_mass(self, scores: torch.Tensor, slot: int) -> torch.Tensor:
        """The probability [rows] that a free draw keeps to this slot (EOS counts at slot 0)."""
        start = self.layout.slot_start(slot)
        probabilities = scores.softmax(dim=-1)
        mass = probabilities[:, start : start + self.layout.codebook_size].sum(dim=-1)
        return mass + probabilities[:, self.layout.eos] if slot == 0 else mass


class RowCaps(StoppingCriteria):  # type: ignore[misc]
    """Ends each row one token after its own cap: that token may still be the EOS that makes it whole."""

    def __init__(self, max_frames: torch.Tensor, prompt_length: int, tick: Callable[[], None] | None) -> None:
        self._steps = max_frames * SLOTS + 1
        self._prompt_length, self._tick = prompt_length, tick

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Which rows [rows] have reached their cap."""
        if self._tick is not None:
            self._tick()
        return self._steps <= input_ids.shape[1] - self._prompt_length
