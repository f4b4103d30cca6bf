"""The decode loop of constrained decoding, which runs inside `generate`.

All sequences are at the same slot of a frame, so each step multiplies only by the few thousand codes of that slot, and
EOS; every frame is valid. Sequences are admitted and released between frames: one that has ended makes room for the
next at once, so the batch stays full until the last sequences. The host never waits for the GPU's newest frame; it
reads the status after the previous one.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from maya_batch.checkpoint.token_layout import Codes, TokenLayout
from maya_batch.engine.api import EngineStats, Generation, Request, Sampling
from maya_batch.engine.batch_budget import PROMPT_TOKENS, BatchBudget, graph_batch_size
from maya_batch.engine.frame_runner import FrameRunner
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.paged_cache import PagedCache
from maya_batch.engine.scheduler import RunningSequence, Scheduler
from maya_batch.engine.sequence_state import SequenceState
from maya_batch.errors import MachineError

#: The message for a model whose logits are NaN or infinite.
NON_FINITE_LOGITS = (
    "the model's logits are not finite (NaN or infinite); try --dtype bfloat16 or float32, or fetch the weights again"
)

#: On a GPU, waiting sequences are admitted when they are at least one twentieth of the running ones: a pass of prompts
#: costs the GPU about a step and the host a thousand calls, however short the prompts are.
_ADMIT_SHARE = 20


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
        llama: LlamaLayers,
        layout: TokenLayout,
        requests: Sequence[Request],
        sampling: Sampling,
        budget: BatchBudget,
        stats: EngineStats,
        graphs: bool,
        tick: Callable[[], None] | None = None,
        retries: Callable[[], Sequence[tuple[Request, list[int]]]] | None = None,
    ) -> None:
        """Between frames the loop calls `tick`, and `retries`, which returns more requests with their prompts."""
        self._llama, self._layout, self._requests = llama, layout, requests
        self._sampling, self._budget, self._stats = sampling, budget, stats
        self._graphs, self._tick, self._retries = graphs, tick, retries
        self._device = llama.head.device
        self._on_gpu = self._device.type == "cuda"
        self._moved: torch.cuda.Event | None = None
        self._side = torch.cuda.Stream(self._device) if self._on_gpu else None  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def decode(
        self, model: object, input_ids: torch.Tensor, **model_kwargs: torch.Tensor | None
    ) -> Iterator[list[Generation]]:
        """The loop, called by `generate` with the prompts that it has checked, padded on the left.

        Raises:
            MachineError: the model's logits are not finite.
        """
        self._begin(input_ids, model_kwargs.get("attention_mask"))
        frames: deque[_FrameStatus] = deque()
        while not self._scheduler.done:
            if self._retries is not None:
                self._scheduler.add_first(self._retries())
            self._admit()
            if frames and frames[-1].has_arrived():
                self._stats.gpu_waits += 1
            frames.append(self._decode_frame())
            if len(frames) > self._on_gpu:
                finished = self._collect(frames.popleft())
                if finished:
                    yield finished
            # Last, so that a run that it stops has received all finished sequences; not after the last sequence.
            if self._tick is not None and not self._scheduler.done:
                self._tick()

    @torch.inference_mode()
    def in_grammar_probabilities(
        self, model: object, input_ids: torch.Tensor, **model_kwargs: torch.Tensor | None
    ) -> tuple[float, ...]:
        """Instead of `decode`: how likely, in the first frames, an unconstrained token is of its slot, for each slot.

        Raises:
            MachineError: the model's logits are not finite.
        """
        self._begin(input_ids, model_kwargs.get("attention_mask"))
        self._admit()
        probabilities = []
        for _ in range(min(request.max_frames for request in self._requests)):
            batch_size, max_context = self._make_room()
            of_frame = self._runner.in_grammar_probabilities(batch_size, max_context)
            probabilities.append(of_frame[: len(self._scheduler.running)])
            self._scheduler.count_frame(self._llama.layer_bytes, self._llama.position_bytes)
        means: list[float] = torch.stack(probabilities).mean(dim=(0, 1)).tolist()
        if any(map(math.isnan, means)):
            raise MachineError(NON_FINITE_LOGITS)
        return tuple(means)

    def _begin(self, input_ids: torch.Tensor, mask: torch.Tensor | None) -> None:
        ids = input_ids.tolist()
        real = mask.bool().tolist() if mask is not None else [[True] * len(padded) for padded in ids]
        prompts = [
            [token for token, is_real in zip(*pair, strict=True) if is_real] for pair in zip(ids, real, strict=True)
        ]
        budget, llama = self._budget, self._llama
        longest = max(request.max_frames for request in self._requests)
        self._cache = PagedCache(
            layers=llama.layers,
            kv_heads=llama.kv_heads,
            head_dim=llama.head_dim,
            batch_slots=budget.batch_slots,
            positions=budget.positions,
            block_size=budget.block_size,
            blocks=budget.blocks,
            dtype=llama.dtype,
            device=self._device,
        )
        share = _ADMIT_SHARE if self._on_gpu else None
        self._scheduler = Scheduler(self._requests, prompts, budget.sequences, self._cache, self._stats, share)
        self._state = SequenceState(budget.batch_slots, longest, self._layout, self._sampling, self._device)
        self._runner = FrameRunner(llama, self._cache, self._state, self._layout, budget.positions, self._graphs)
        if self._on_gpu:
            self._runner.warm_up(graph_batch_size(min(budget.sequences, len(self._requests))))

    def _admit(self) -> None:
        """Admit waiting sequences and run their prompts through the model."""
        admitted = self._scheduler.admit()
        if not admitted:
            return
        self._cache.sync()
        for batch in self._prompt_batches(admitted):
            self._runner.prefill([sequence.batch_slot for sequence in batch], [sequence.prompt for sequence in batch])
        batch_slots = [sequence.batch_slot for sequence in admitted]
        requests = [sequence.request for sequence in admitted]
        self._state.admit(batch_slots, requests, [sequence.prompt for sequence in admitted])

    def _prompt_batches(self, sequences: list[RunningSequence]) -> Iterator[list[RunningSequence]]:
        """Sequences whose prompts go through the model together; on a CPU each alone, to the same bit in any batch."""
        if not self._on_gpu:
            yield from ([sequence] for sequence in sequences)
            return
        ordered = sorted(sequences, key=lambda sequence: len(sequence.prompt))
        batch: list[RunningSequence] = []
        for sequence in ordered:
            if batch and (len(batch) + 1) * len(sequence.prompt) > PROMPT_TOKENS:
                yield batch
                batch = []
            batch.append(sequence)
        yield batch

    def _decode_frame(self) -> _FrameStatus:
        """Decode a frame of all sequences, and request their status after it."""
        batch_size, max_context = self._make_room()
        self._runner.decode(batch_size, max_context)
        self._scheduler.count_frame(self._llama.layer_bytes, self._llama.position_bytes)
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
        for source, target in moves:
            self._state.move(source, target)
        if moves and self._on_gpu:
            self._moved = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._moved.record()
        self._cache.sync()
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
