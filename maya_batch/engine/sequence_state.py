"""What the device keeps of each row while it is spoken, in tensors whose place in memory never changes."""

from collections.abc import Sequence

import torch

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Request, Sampling
from maya_batch.engine.paged_cache import upload
from maya_batch.engine.sampling import draw, drawn_end, penalized, row_numbers


class Rows:
    """The state of up to `places` rows."""

    def __init__(
        self, places: int, max_frames: int, layout: TokenLayout, sampling: Sampling, device: torch.device
    ) -> None:
        """`max_frames` is the largest cap any row will have."""
        self._layout, self._sampling = layout, sampling
        self.token = torch.zeros(places, dtype=torch.long, device=device)
        """The id to be fed next."""
        self.position = torch.zeros(places, dtype=torch.long, device=device)
        """Where it will stand."""
        self.status = torch.zeros(4, places, dtype=torch.int32, device=device)
        """Frames spoken; 1 while it speaks; 1 when it ended itself; 1 when its scores were no numbers."""
        self.frames, self.live, self.ended, self.broken = self.status.unbind()
        self.codes = torch.zeros(places, max_frames + 1, SLOTS, dtype=torch.int32, device=device)
        self._cap = torch.zeros(places, dtype=torch.int32, device=device)
        self._end = torch.zeros(places, dtype=torch.int32, device=device)
        self._numbers = torch.zeros(places, (max_frames + 1) * SLOTS, device=device)
        width = layout.codebook_size if sampling.repetition_penalty != 1.0 else 0
        self._spoken = torch.zeros(SLOTS, places, width, dtype=torch.bool, device=device)

    def admit(self, places: Sequence[int], requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> None:
        """Begin these requests in these places. All of a prompt but its last id must be in the cache by then."""
        count, device = self._numbers.shape[1], self.token.device
        numbers = [torch.from_numpy(row_numbers(request.seed, count)) for request in requests]
        pace = self._layout.drawn_pace
        ends = [drawn_end(request.seed, request.text, pace) if pace else 0 for request in requests]
        at = _to(torch.tensor(places), device)
        self.token[at] = _to(torch.tensor([prompt[-1] for prompt in prompts]), device)
        self.position[at] = _to(torch.tensor([len(prompt) - 1 for prompt in prompts]), device)
        self._cap[at] = _to(torch.tensor([request.max_frames for request in requests], dtype=torch.int32), device)
        self._end[at] = _to(torch.tensor(ends, dtype=torch.int32), device)
        self._numbers[at] = _to(torch.stack(numbers), device)
        self._spoken[:, at] = False
        self.status[:, at] = _to(torch.tensor([[0], [1], [0], [0]], dtype=torch.int32), device)

    def stop(self, place: int) -> None:
        """Let a row be silent from here on."""
        self.live[place] = 0

    def move(self, source: int, target: int) -> None:
        """Take a row to another place, and leave nothing speaking where it was."""
        for state in (self.token, self.position, self.codes, self._cap, self._end, self._numbers):
            state[target] = state[source]
        for state in (self.status, self._spoken):
            state[:, target] = state[:, source]
        self.live[source] = 0

    def take(self, slot: int, logits: torch.Tensor) -> None:
        """Draw a token of this slot for the first rows from `logits` [rows, codebook (+ EOS in the first slot)]."""
        rows, size = logits.shape[0], self._layout.codebook_size
        frames, live = self.frames[:rows], self.live[:rows]
        scores = logits.float()
        self.broken[:rows] |= (~scores.sum(dim=-1).isfinite()).int() & live
        spoken = self._spoken[slot, :rows]
        if spoken.shape[1]:
            scores = torch.cat(
                [penalized(scores[:, :size], spoken, self._sampling.repetition_penalty), scores[:, size:]], 1
            )
        lengths_drawn = self._layout.drawn_pace is not None
        if slot == 0:
            early = (frames < MIN_FRAMES) | lengths_drawn
            scores = torch.cat([scores[:, :size], scores[:, size:].masked_fill(early.unsqueeze(1), -torch.inf)], dim=1)
        uniform = self._numbers[:rows].gather(1, (frames * SLOTS + slot).long().unsqueeze(1)).squeeze(1)
        picked = draw(scores, uniform, self._sampling.temperature, self._sampling.top_p)
        if slot == 0:
            ends = self._end[:rows] <= frames if lengths_drawn else picked == size
            self.ended[:rows] |= ends.int() & live
            live *= (~ends & (frames < self._cap[:rows])).int()
            picked = picked.clamp(max=size - 1)
        if spoken.shape[1]:
            spoken.scatter_(1, picked.unsqueeze(1), True)
        self.codes[:rows, :, slot].scatter_(1, frames.long().unsqueeze(1), picked.int().unsqueeze(1))
        self.token[:rows] = picked + self._layout.slot_start(slot)
        self.position[:rows] += live

    def finish_frame(self, rows: int) -> None:
        """Count the frame that the first rows have spoken."""
        self.frames[:rows] += self.live[:rows]


def _to(source: torch.Tensor, device: torch.device) -> torch.Tensor:
    target = torch.empty_like(source, device=device)
    upload(source, target)
    return target
