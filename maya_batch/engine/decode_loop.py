"""The decode loop of constrained decoding.

All sequences are at the same slot of a frame, so each step multiplies only by the few thousand codes of that slot, and
EOS; every frame is valid. Sequences are admitted and released between frames: one that has ended makes room for the
next at once, so the batch stays full until the last sequences. The host never waits for the GPU's newest frame; it
reads the status after the previous one.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from maya_batch.checkpoint.token_layout import MIN_FRAMES, Codes, TokenLayout
from maya_batch.engine.api import EngineStats, Generation, Request, Sampling
from maya_batch.engine.backend import Backend, prompt_batches
from maya_batch.engine.batch_budget import BatchBudget
from maya_batch.engine.joining import Joining
from maya_batch.engine.scheduler import RunningSequence, Scheduler
from maya_batch.engine.sequence_state import SequenceState
from maya_batch.errors import MachineError

#: The message for a model whose logits are NaN or infinite.
NON_FINITE_LOGITS = (
    "the model's logits are not finite (NaN or infinite); try another number format (--dtype bfloat16 or float32, or "
    "another type of GGUF file), or fetch the weights again"
)

#: On a GPU, waiting sequences are admitted when they are a 32nd of the running ones or more: a pass of prompts
#: costs the GPU about a step, however short the prompts are. Of 512 sequences, this is a pass of 16.
_ADMIT_SHARE = 32

#: Sequences whose first frames are measured.
_PROBED = 8


def probes_of(requests: Sequence[Request], batch_size: int) -> list[Request]:
    """The requests whose first frames `in_grammar_probabilities` measures."""
    return [replace(request, max_frames=MIN_FRAMES) for request in requests[: min(batch_size, _PROBED)]]


@dataclass
class _FrameStatus:
    """The status of the sequences after a frame, on its way to the host."""

    sequences: list[RunningSequence | None]
    status: torch.Tensor
    arrived: torch.cuda.Event | None

    def has_arrived(self) -> bool:
        """Whether the GPU has finished the frame, and is idle."""
        return self.arrived is None or bool(self.arrived.query())  # type: ignore[no-untyped-call]


class DecodeLoop:
    """Decodes requests in the order given, as many together as the budget allows."""

    def __init__(
        self,
        backend: Backend,
        layout: TokenLayout,
        requests: Sequence[Request],
        sampling: Sampling,
        budget: BatchBudget,
        stats: EngineStats,
        tick: Callable[[], None] | None = None,
        joining: Joining | None = None,
    ) -> None:
        """Between frames the loop calls `tick`, and asks for the requests that are `joining`."""
        self._backend, self._layout, self._requests = backend, layout, requests
        self._sampling, self._budget, self._stats = sampling, budget, stats
        self._tick, self._joining = tick, joining
        self._device = backend.device
        self._on_gpu = self._device.type == "cuda"
        self._moved: torch.cuda.Event | None = None
        self._batch_size = 0
        """Of the newest frame."""
        self._side = torch.cuda.Stream(self._device) if self._on_gpu else None  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def decode(self, prompts: Sequence[list[int]]) -> Iterator[list[Generation]]:
        """The loop. `prompts` are those of the requests.

        Raises:
            MachineError: the model's logits are not finite.
        """
        self._begin(prompts)
        frames: deque[_FrameStatus] = deque()
        while not self._scheduler.done:
            if self._joining is not None:
                self._scheduler.add_first(self._joining.retries())
                if not self._scheduler.waiting:
                    self._scheduler.add_last(self._joining.later())
            self._admit()
            if frames and frames[-1].has_arrived():
                self._stats.gpu_waits += 1
            frames.append(self._decode_frame())
            # Until the frame before this one has arrived the host has nothing else to do: it captures further graphs.
            while self._on_gpu and not frames[0].has_arrived() and self._runner.prepare(self._batch_size):
                pass
            if len(frames) > self._on_gpu:
                finished = self._collect(frames.popleft())
                if finished:
                    yield finished
            # Last, so that a run that it stops has received all finished sequences; not after the last sequence.
            if self._tick is not None and not self._scheduler.done:
                self._tick()

    @torch.inference_mode()
    def in_grammar_probabilities(self, prompts: Sequence[list[int]]) -> tuple[float, ...]:
        """Instead of `decode`: how likely, in the first frames, an unconstrained token is of its slot, for each slot.

        Raises:
            MachineError: the model's logits are not finite.
        """
        self._begin(prompts)
        self._admit()
        probabilities = []
        for _ in range(min(request.max_frames for request in self._requests)):
            batch_size, max_context = self._make_room()
            of_frame = self._runner.in_grammar_probabilities(batch_size, max_context)
            probabilities.append(of_frame[: len(self._scheduler.running)])
            self._scheduler.count_frame(self._backend.layer_bytes, self._backend.position_bytes)
        means: list[float] = torch.stack(probabilities).mean(dim=(0, 1)).tolist()
        if any(map(math.isnan, means)):
            raise MachineError(NON_FINITE_LOGITS)
        return tuple(means)

    def _begin(self, prompts: Sequence[list[int]]) -> None:
        budget, backend = self._budget, self._backend
        self._stats.cache_positions = budget.room
        longest = max(request.max_frames for request in self._requests)
        batch_slots = backend.padded(budget.sequences)
        self._state = SequenceState(batch_slots, longest, self._layout, self._sampling, self._device)
        self._runner = backend.runner(budget, self._state)
        self._scheduler = Scheduler(
            self._requests,
            prompts,
            budget.sequences,
            self._runner.cache,
            self._stats,
            backend.padded,
            _ADMIT_SHARE if backend.prompt_tokens else None,
        )
        if self._on_gpu:
            self._runner.warm_up(backend.padded(min(budget.sequences, len(self._requests))))

    def _admit(self) -> None:
        """Admit waiting sequences and run their prompts through the model."""
        admitted = self._scheduler.admit()
        if not admitted:
            return
        self._runner.cache.sync()
        batch_slots, prompts = zip(*((sequence.batch_slot, sequence.prompt) for sequence in admitted), strict=True)
        for batch in prompt_batches(prompts, self._backend.prompt_tokens):
            self._runner.prefill([batch_slots[index] for index in batch], [prompts[index] for index in batch])
        self._state.admit(batch_slots, [sequence.request for sequence in admitted], prompts)

    def _decode_frame(self) -> _FrameStatus:
        """Decode a frame of all sequences, and request their status after it."""
        batch_size, max_context = self._make_room()
        self._batch_size = batch_size
        self._runner.decode(batch_size, max_context)
        self._scheduler.count_frame(self._backend.layer_bytes, self._backend.position_bytes)
        if not self._on_gpu:
            return _FrameStatus(list(self._scheduler.batch_slots), self._state.status, None)
        status = torch.empty_like(self._state.status, device="cpu", pin_memory=True)
        status.copy_(self._state.status, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        return _FrameStatus(list(self._scheduler.batch_slots), status, arrived)

    def _make_room(self) -> tuple[int, int]:
        """Reserve blocks for the next frame, and compact; return its graph batch size and max context length."""
        for sequence in self._scheduler.grow():
            self._state.stop(sequence.batch_slot)
        moves = self._scheduler.compact()
        if moves:
            self._state.move(*map(list, zip(*moves, strict=True)))
            if self._on_gpu:
                self._moved = torch.cuda.Event()  # type: ignore[no-untyped-call]
                self._moved.record()
        self._runner.cache.sync()
        return self._scheduler.frame_size()

    def _collect(self, frame: _FrameStatus) -> list[Generation]:
        """The sequences that have ended after a frame."""
        if frame.arrived is not None:
            frame.arrived.synchronize()
        frames, live, ended, non_finite = frame.status.tolist()
        finished = []
        for batch_slot, sequence in enumerate(frame.sequences):
            if sequence is None or sequence.done:
                continue
            if non_finite[batch_slot]:
                raise MachineError(NON_FINITE_LOGITS)
            if not live[batch_slot]:
                codes = self._codes(sequence.batch_slot, frames[batch_slot], frame.arrived)
                finished.append(Generation(sequence.request.key, codes, "eos" if ended[batch_slot] else "cap"))
                self._scheduler.end(sequence, frames[batch_slot])
        return finished

    def _codes(self, batch_slot: int, frames: int, decoded: "torch.cuda.Event | None") -> Codes:
        """A sequence's codes [frames, 7], without waiting for the frame that the GPU is computing."""
        codes = self._state.codes[batch_slot, :frames]
        if self._side is not None and decoded is not None:
            with torch.cuda.stream(self._side):
                self._side.wait_event(decoded)
                if self._moved is not None:
                    self._side.wait_event(self._moved)  # the sequence may have been moved since
                return codes.cpu().numpy().astype("uint16")
        return codes.numpy().astype("uint16")
