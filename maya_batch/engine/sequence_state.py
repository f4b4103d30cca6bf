"""The state of the running sequences on the device, in tensors that are never reallocated."""

from collections.abc import Sequence

import torch

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Request, Sampling
from maya_batch.engine.paged_cache import upload
from maya_batch.engine.sampling import draw, penalized, random_numbers

#: A frame that no sequence reaches.
_NEVER = 2**31 - 1


class SequenceState:
    """The state of all batch slots."""

    def __init__(
        self, batch_slots: int, max_frames: int, layout: TokenLayout, sampling: Sampling, device: torch.device
    ) -> None:
        """`max_frames` is the largest of all requests."""
        self._layout, self._sampling = layout, sampling
        self.token = torch.zeros(batch_slots, dtype=torch.long, device=device)
        """The id of the next input."""
        self.position = torch.zeros(batch_slots, dtype=torch.long, device=device)
        """The position of the next input."""
        self.status = torch.zeros(4, batch_slots, dtype=torch.int32, device=device)
        """Decoded frames; 1 while the sequence runs; 1 if it ended with EOS; 1 if its logits were not finite."""
        self.frames, self.live, self.ended, self.non_finite = self.status.unbind()
        self.codes = torch.zeros(batch_slots, max_frames + 1, SLOTS, dtype=torch.int32, device=device)
        self._max_frames = torch.zeros(batch_slots, dtype=torch.int32, device=device)
        self._min_frames = torch.zeros(batch_slots, dtype=torch.int32, device=device)
        """Frames before EOS can be drawn."""
        self._stop_after = torch.zeros(batch_slots, dtype=torch.int32, device=device)
        """Frames after which EOS is forced."""
        self._uniform = torch.zeros(batch_slots, (max_frames + 1) * SLOTS, device=device)
        width = layout.codebook_size if sampling.repetition_penalty != 1.0 else 0
        self._drawn = torch.zeros(SLOTS, batch_slots, width, dtype=torch.bool, device=device)

    def admit(self, batch_slots: Sequence[int], requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> None:
        """Start these requests in these batch slots. Their prompts, without the last ids, must be in the cache."""
        count, device = self._uniform.shape[1], self.token.device
        numbers = [torch.from_numpy(random_numbers(request.seed, count)) for request in requests]
        stops = [request.stop_after_frames for request in requests]
        # One tensor for all: beside other threads, each call of PyTorch may wait for the interpreter.
        columns = (
            batch_slots,
            [prompt[-1] for prompt in prompts],
            [len(prompt) - 1 for prompt in prompts],
            [request.max_frames for request in requests],
            [MIN_FRAMES if stop is None else _NEVER for stop in stops],
            [_NEVER if stop is None else stop for stop in stops],
        )
        slots, *values = _to(torch.tensor(columns), device).unbind()
        targets = (self.token, self.position, self._max_frames, self._min_frames, self._stop_after)
        for target, value in zip(targets, values, strict=True):
            target[slots] = value.to(target.dtype)
        self._uniform[slots] = _to(torch.stack(numbers), device)
        self._drawn[:, slots] = False
        self.status[:, slots] = 0
        self.live[slots] = 1

    def stop(self, batch_slot: int) -> None:
        """Stop the sequence in a batch slot."""
        self.live[batch_slot] = 0

    def move(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Move sequences to other batch slots, and stop their old ones. No batch slot is in both."""
        source, target = (_to(torch.tensor(slots), self.token.device) for slots in (sources, targets))
        by_batch_slot = (self.token, self.position, self.codes, self._uniform)
        for state in (*by_batch_slot, self._max_frames, self._min_frames, self._stop_after):
            state[target] = state[source]
        for state in (self.status, self._drawn):
            state[:, target] = state[:, source]
        self.live[source] = 0

    def sample(self, slot: int, logits: torch.Tensor) -> None:
        """Draw a token of this slot for the first batch slots.

        `logits` are [batch size, codebook], in the first slot [batch size, codebook + 1] with EOS last.
        """
        batch_size, size = logits.shape[0], self._layout.codebook_size
        frames, live = self.frames[:batch_size], self.live[:batch_size]
        scores = logits.float()
        self.non_finite[:batch_size] |= (~scores.sum(dim=-1).isfinite()).int() & live
        drawn = self._drawn[slot, :batch_size]
        if drawn.shape[1]:
            scores = torch.cat(
                [penalized(scores[:, :size], drawn, self._sampling.repetition_penalty), scores[:, size:]], 1
            )
        if slot == 0:
            early = frames < self._min_frames[:batch_size]
            scores = torch.cat([scores[:, :size], scores[:, size:].masked_fill(early.unsqueeze(1), -torch.inf)], dim=1)
        uniform = self._uniform[:batch_size].gather(1, (frames * SLOTS + slot).long().unsqueeze(1)).squeeze(1)
        picked = draw(scores, uniform, self._sampling.temperature, self._sampling.top_p)
        if slot == 0:
            ends = (picked == size) | (self._stop_after[:batch_size] <= frames)
            self.ended[:batch_size] |= ends.int() & live
            live *= (~ends & (frames < self._max_frames[:batch_size])).int()
            picked = picked.clamp(max=size - 1)
        if drawn.shape[1]:
            drawn.scatter_(1, picked.unsqueeze(1), True)
        self.codes[:batch_size, :, slot].scatter_(1, frames.long().unsqueeze(1), picked.int().unsqueeze(1))
        self.token[:batch_size] = picked + self._layout.slot_start(slot)
        # One that is over starts again at 0, where attention to what it said takes no time.
        position = self.position[:batch_size]
        position += 1
        position *= live

    def sample_on_gpu(self, slot: int, logits: torch.Tensor) -> None:
        """As `sample`, with a GPU kernel."""
        from maya_batch.engine.kernels.draw_kernel import draw_tokens

        draw_tokens(
            logits,
            slot,
            self._layout.codebook_size,
            self._layout.slot_start(slot),
            self.status,
            (self._max_frames, self._min_frames, self._stop_after),
            self._uniform,
            self._drawn[slot],
            self.codes,
            self.token,
            self.position,
            self._sampling,
        )

    def finish_frame(self, batch_size: int) -> None:
        """Count the frame that the first batch slots have decoded."""
        self.frames[:batch_size] += self.live[:batch_size]


def _to(source: torch.Tensor, device: torch.device) -> torch.Tensor:
    target = torch.empty_like(source, device=device)
    upload(source, target)
    return target
