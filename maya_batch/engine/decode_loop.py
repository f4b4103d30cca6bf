"""Lockstep decoding: the loop that `generate` is given for framed speech.

All rows stand at the same slot of a frame, so each step multiplies by the few thousand codes that slot can say, and
EOS; frames are well-formed by construction. Rows join and leave between frames: one that has ended makes room for the
next at once, so the batch stays full until the last rows. The host never waits for the GPU's newest frame; it looks at
the one before.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from maya_batch.checkpoint.token_layout import Codes, TokenLayout
from maya_batch.engine.api import Generation, Request, Sampling, Work
from maya_batch.engine.batch_budget import PROMPT_TOKENS, Budget, bucket
from maya_batch.engine.frame_runner import Frames
from maya_batch.engine.kernels.llama_layers import Llama
from maya_batch.engine.paged_cache import KvCache
from maya_batch.engine.scheduler import Row, Schedule
from maya_batch.engine.sequence_state import Rows
from maya_batch.errors import MachineError

#: What is said of a model whose scores are NaN or infinite.
NOT_NUMBERS = (
    "the model's scores are not numbers (NaN or infinite); try --dtype bfloat16 or float32, or fetch the weights again"
)

#: On a GPU, new rows wait until they are this part of those that speak: a prompt's pass costs the GPU about a step and
#: the host a thousand calls, however short it is.
_SHARE = 20


@dataclass
class _Look:
    """The rows' status after a frame, on its way to the host."""

    rows: list[Row | None]
    status: torch.Tensor
    arrived: torch.cuda.Event | None

    def has_arrived(self) -> bool:
        """Whether the GPU has come to its end, and has nothing left to do."""
        return self.arrived is None or bool(self.arrived.query())  # type: ignore[no-untyped-call]


class Lockstep:
    """The decoding of some requests, in the order given, as many together as the budget holds."""

    def __init__(
        self,
        llama: Llama,
        layout: TokenLayout,
        requests: Sequence[Request],
        sampling: Sampling,
        budget: Budget,
        work: Work,
        graphs: bool,
        tick: Callable[[], None] | None = None,
        more: Callable[[], Sequence[tuple[Request, list[int]]]] | None = None,
    ) -> None:
        """`tick` is called between frames; `more`, asked then, too, has requests and prompts that are to join."""
        self._llama, self._layout, self._requests = llama, layout, requests
        self._sampling, self._budget, self._work = sampling, budget, work
        self._graphs, self._tick, self._more = graphs, tick, more
        self._device = llama.head.device
        self._on_gpu = self._device.type == "cuda"
        self._moved: torch.cuda.Event | None = None
        self._side = torch.cuda.Stream(self._device) if self._on_gpu else None  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def decode(
        self, model: object, input_ids: torch.Tensor, **model_kwargs: torch.Tensor | None
    ) -> Iterator[list[Generation]]:
        """The loop, called by `generate` with the prompts it has checked, padded on the left.

        Raises:
            MachineError: the model's scores are not numbers.
        """
        self._begin(input_ids, model_kwargs.get("attention_mask"))
        looks: deque[_Look] = deque()
        while not self._schedule.done:
            if self._more is not None:
                self._schedule.join(self._more())
            self._admit()
            if looks and looks[-1].has_arrived():
                self._work.waits += 1
            looks.append(self._frame())
            if len(looks) > self._on_gpu:
                finished = self._harvest(looks.popleft())
                if finished:
                    yield finished
            # Last, so that a run that it stops has been given all that has ended; not when there is nothing to stop.
            if self._tick is not None and not self._schedule.done:
                self._tick()

    @torch.inference_mode()
    def in_grammar_probability(
        self, model: object, input_ids: torch.Tensor, **model_kwargs: torch.Tensor | None
    ) -> float:
        """Instead of `decode`: the mean probability, in the rows' first frames, that a free draw keeps to its slot.

        Raises:
            MachineError: the model's scores are not numbers.
        """
        self._begin(input_ids, model_kwargs.get("attention_mask"))
        self._admit()
        masses = []
        for _ in range(min(request.max_frames for request in self._requests)):
            places, extent = self._make_room()
            masses.append(self._frames.in_grammar_probability(places, extent)[: len(self._schedule.speaking)])
            self._schedule.count(self._llama.layer_bytes, self._llama.position_bytes)
        mass = float(torch.stack(masses).mean())
        if math.isnan(mass):
            raise MachineError(NOT_NUMBERS)
        return mass

    def _begin(self, input_ids: torch.Tensor, mask: torch.Tensor | None) -> None:
        ids = input_ids.tolist()
        real = mask.bool().tolist() if mask is not None else [[True] * len(row) for row in ids]
        prompts = [
            [token for token, is_real in zip(*pair, strict=True) if is_real] for pair in zip(ids, real, strict=True)
        ]
        budget, llama = self._budget, self._llama
        longest = max(request.max_frames for request in self._requests)
        self._cache = KvCache(
            layers=llama.layers,
            kv_heads=llama.kv_heads,
            head_dim=llama.head_dim,
            rows=budget.places,
            positions=budget.positions,
            page_size=budget.page_size,
            pages=budget.pages,
            dtype=llama.dtype,
            device=self._device,
        )
        share = _SHARE if self._on_gpu else None
        self._schedule = Schedule(self._requests, prompts, budget.rows, self._cache, self._work, share)
        self._state = Rows(budget.places, longest, self._layout, self._sampling, self._device)
        self._frames = Frames(llama, self._cache, self._state, self._layout, budget.positions, self._graphs)
        if self._on_gpu:
            self._frames.warm_up(bucket(min(budget.rows, len(self._requests))))

    def _admit(self) -> None:
        """Have the rows that are let in read their prompts."""
        admitted = self._schedule.admit()
        if not admitted:
            return
        self._cache.sync()
        for batch in self._prompt_batches(admitted):
            self._frames.prompt([row.place for row in batch], [row.prompt for row in batch])
        places = [row.place for row in admitted]
        self._state.admit(places, [row.request for row in admitted], [row.prompt for row in admitted])

    def _prompt_batches(self, rows: list[Row]) -> Iterator[list[Row]]:
        """Rows whose prompts go through the model together; on a CPU each alone, so that neighbours change no bit."""
        if not self._on_gpu:
            yield from ([row] for row in rows)
            return
        ordered = sorted(rows, key=lambda row: len(row.prompt))
        batch: list[Row] = []
        for row in ordered:
            if batch and (len(batch) + 1) * len(row.prompt) > PROMPT_TOKENS:
                yield batch
                batch = []
            batch.append(row)
        yield batch

    def _frame(self) -> _Look:
        """Have all rows speak a frame, and ask how they stand after it."""
        places, extent = self._make_room()
        self._frames.speak(places, extent)
        self._schedule.count(self._llama.layer_bytes, self._llama.position_bytes)
        if not self._on_gpu:
            return _Look(list(self._schedule.places), self._state.status, None)
        status = torch.empty_like(self._state.status, device="cpu", pin_memory=True)
        status.copy_(self._state.status, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        return _Look(list(self._schedule.places), status, arrived)

    def _make_room(self) -> tuple[int, int]:
        """Pages for the next frame, and rows closed up; its places, and the positions of its longest row."""
        for row in self._schedule.grow():
            self._state.stop(row.place)
        moves = self._schedule.close_up()
        for source, target in moves:
            self._state.move(source, target)
        if moves and self._on_gpu:
            self._moved = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._moved.record()
        self._cache.sync()
        return self._schedule.extent()

    def _harvest(self, look: _Look) -> list[Generation]:
        """The rows that were over at a look."""
        if look.arrived is not None:
            look.arrived.synchronize()
        frames, live, ended, broken = look.status.tolist()
        finished = []
        for place, row in enumerate(look.rows):
            if row is None or row.over:
                continue
            if broken[place]:
                raise MachineError(NOT_NUMBERS)
            if not live[place]:
                codes = self._codes(row.place, frames[place], look.arrived)
                finished.append(Generation(row.request.key, codes, "eos" if ended[place] else "cap"))
                self._schedule.end(row, frames[place])
        return finished

    def _codes(self, place: int, frames: int, spoken: "torch.cuda.Event | None") -> Codes:
        """A row's codes [frames, 7], without waiting for the frame that the GPU is at now."""
        codes = self._state.codes[place, :frames]
        if self._side is not None and spoken is not None:
            with torch.cuda.stream(self._side):
                self._side.wait_event(spoken)
                if self._moved is not None:
                    self._side.wait_event(self._moved)  # the row may have been taken elsewhere since
                return codes.cpu().numpy().astype("uint16")
        return codes.numpy().astype("uint16")
