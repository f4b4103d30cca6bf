"""Lockstep decoding: the loop that `generate` is given for framed speech.

All rows stand at the same slot of a frame, so each step multiplies by the few thousand codes that slot can say, and
EOS; frames are well-formed by construction. Rows join and leave between frames: one that has ended makes room for the
next at once, so the batch stays full until the last rows. The host never waits for the GPU's newest frame; it looks at
the one before.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from maya_batch.engines import Generation, Request, Sampling, Work
from maya_batch.engines.forecast import Forecast
from maya_batch.engines.frames import Frames
from maya_batch.engines.kv_cache import KvCache
from maya_batch.engines.llama import Llama
from maya_batch.engines.memory import PROMPT_TOKENS, Budget, bucket, whole_stride
from maya_batch.engines.rows import Rows
from maya_batch.errors import MachineError
from maya_batch.tokens import SLOTS, Codes, TokenLayout

log = logging.getLogger(__name__)

#: What is said of a model whose scores are NaN or infinite.
NOT_NUMBERS = (
    "the model's scores are not numbers (NaN or infinite); try --dtype bfloat16 or float32, or fetch the weights again"
)

#: On a GPU, new rows wait until a share of the places is free: a prompt's pass costs about a step, however short.
_FREE_SHARE = 32


@dataclass(eq=False)
class _Row:
    """A row that is being spoken. `frames` is at least what it has spoken: the GPU may have ended it already."""

    request: Request
    prompt: list[int]
    place: int
    frames: int = 0
    over: bool = False

    @property
    def tokens(self) -> int:
        """Tokens in the cache, at most."""
        return len(self.prompt) + self.frames * SLOTS


@dataclass
class _Look:
    """The rows' status after a frame, on its way to the host."""

    rows: list[_Row | None]
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
    ) -> None:
        self._llama, self._layout, self._requests = llama, layout, requests
        self._sampling, self._budget, self._work = sampling, budget, work
        self._graphs, self._tick = graphs, tick
        self._device = llama.head.device
        self._on_gpu = self._device.type == "cuda"
        self._waiting: deque[tuple[Request, list[int]]] = deque()
        self._rows: list[_Row | None] = [None] * budget.rows
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
        while self._waiting or self._speaking():
            self._admit()
            if looks and looks[-1].has_arrived():
                self._work.waits += 1
            looks.append(self._frame())
            if self._tick is not None:
                self._tick()
            if len(looks) > self._on_gpu:
                finished = self._harvest(looks.popleft())
                if finished:
                    yield finished

    @torch.inference_mode()
    def band_mass(self, model: object, input_ids: torch.Tensor, **model_kwargs: torch.Tensor | None) -> float:
        """Instead of `decode`: the mean probability, in the rows' first frames, that a free draw keeps to its slot."""
        self._begin(input_ids, model_kwargs.get("attention_mask"))
        self._admit()
        masses = []
        for _ in range(min(request.max_frames for request in self._requests)):
            rows, extent = self._grow()
            masses.append(self._frames.band_mass(rows, extent)[: self._speaking()])
            self._count()
        return float(torch.stack(masses).mean())

    def _begin(self, input_ids: torch.Tensor, mask: torch.Tensor | None) -> None:
        ids = input_ids.tolist()
        real = mask.bool().tolist() if mask is not None else [[True] * len(row) for row in ids]
        prompts = [
            [token for token, is_real in zip(*pair, strict=True) if is_real] for pair in zip(ids, real, strict=True)
        ]
        self._waiting.extend(zip(self._requests, prompts, strict=True))
        budget, llama = self._budget, self._llama
        longest = max(request.max_frames for request in self._requests)
        self._longest = longest
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
        self._forecast = Forecast(self._cache.pages, self._cache.page_size)
        self._state = Rows(budget.places, longest, self._layout, self._sampling, self._device)
        self._frames = Frames(llama, self._cache, self._state, self._layout, budget.positions, self._graphs)
        if self._on_gpu:
            self._frames.warm_up(bucket(min(budget.rows, len(self._waiting))))

    def _speaking(self) -> int:
        return sum(row is not None for row in self._rows)

    def _admit(self) -> None:
        """Let in as many of those that wait as have a place and, until they end, room in the cache."""
        free = [place for place, row in enumerate(self._rows) if row is None]
        enough = max(1, len(self._rows) // _FREE_SHARE) if self._on_gpu else 1
        if not self._waiting or len(free) < min(enough, len(self._waiting)):
            return
        self._forecast.begin(self._longest)
        for row in self._rows:
            if row is not None:
                self._forecast.add(row.tokens, row.request.likely_frames, row.frames)
        admitted: list[_Row] = []
        for place in free:
            if not self._waiting:
                break
            request, prompt = self._waiting[0]
            alone = not admitted and not self._speaking()
            fits = self._forecast.fits(len(prompt), request.likely_frames)
            if not (fits or alone) or not self._cache.reserve(place, len(prompt) + SLOTS):
                break
            self._waiting.popleft()
            self._forecast.add(len(prompt), request.likely_frames)
            admitted.append(_Row(request, prompt, place))
        if not admitted:
            if not self._speaking():
                raise MachineError("the cache does not hold one prompt; use a larger card or --quantization nf4")
            return
        self._cache.sync()
        for batch in self._prompt_batches(admitted):
            self._frames.prompt([row.place for row in batch], [row.prompt for row in batch])
        places = [row.place for row in admitted]
        self._state.admit(places, [row.request for row in admitted], [row.prompt for row in admitted])
        for row in admitted:
            self._rows[row.place] = row

    def _prompt_batches(self, rows: list[_Row]) -> Iterator[list[_Row]]:
        """Rows whose prompts go through the model together; on a CPU each alone, so that neighbours change no bit."""
        if not self._on_gpu:
            yield from ([row] for row in rows)
            return
        ordered = sorted(rows, key=lambda row: len(row.prompt))
        batch: list[_Row] = []
        for row in ordered:
            if batch and (len(batch) + 1) * len(row.prompt) > PROMPT_TOKENS:
                yield batch
                batch = []
            batch.append(row)
        yield batch

    def _frame(self) -> _Look:
        """Have all rows speak a frame, and ask how they stand after it."""
        rows, extent = self._grow()
        self._frames.speak(rows, extent)
        self._count()
        if not self._on_gpu:
            return _Look(list(self._rows), self._state.status, None)
        status = torch.empty_like(self._state.status, device="cpu", pin_memory=True)
        status.copy_(self._state.status, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        return _Look(list(self._rows), status, arrived)

    def _count(self) -> None:
        """Note what the frame takes. A row counts as speaking until it was seen to be over."""
        speaking = [row for row in self._rows if row is not None]
        tokens = sum(row.tokens for row in speaking)
        self._work.steps += SLOTS
        self._work.bytes_read += SLOTS * (self._llama.layer_bytes + tokens * self._cache.position_bytes)
        self._work.most_rows = max(self._work.most_rows, len(speaking))
        for row in speaking:
            row.frames += 1

    def _grow(self) -> tuple[int, int]:
        """Pages for the next frame; how many places it has, and the positions that the longest row will have."""
        for row in [row for row in self._rows if row is not None]:
            while self._rows[row.place] is row and not self._cache.reserve(row.place, row.tokens + SLOTS):
                self._send_back()
        self._close_up()
        self._cache.sync()
        speaking = [row for row in self._rows if row is not None]
        last = max(row.place for row in speaking)
        return bucket(last + 1), whole_stride(max(row.tokens for row in speaking) + SLOTS)

    def _send_back(self) -> None:
        """The cache is full: the row that loses least begins anew when there is room."""
        row = min((row for row in self._rows if row is not None), key=lambda row: (row.frames, -row.place))
        if self._speaking() == 1:
            raise MachineError(
                f"GPU memory does not hold one row of {row.tokens} tokens; use --quantization nf4, fewer "
                "render.chunk_words, or a larger card"
            )
        log.debug("cache full: the row of %d frames in place %d begins anew later", row.frames, row.place)
        self._work.restarts += 1
        self._state.stop(row.place)
        self._leave(row)
        self._waiting.appendleft((row.request, row.prompt))

    def _leave(self, row: _Row) -> None:
        row.over = True
        self._rows[row.place] = None
        self._cache.release(row.place)

    def _close_up(self) -> None:
        """Move rows to the front once no others wait, as soon as that makes a frame smaller."""
        speaking = [row for row in self._rows if row is not None]
        if self._waiting or bucket(len(speaking)) == bucket(speaking[-1].place + 1):
            return
        gaps = [place for place in range(len(speaking)) if self._rows[place] is None]
        for place, row in zip(gaps, [row for row in speaking if row.place >= len(speaking)], strict=True):
            self._state.move(row.place, place)
            self._cache.move(row.place, place)
            self._rows[row.place], self._rows[place] = None, row
            row.place = place
        if self._on_gpu:
            self._moved = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._moved.record()

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
                self._forecast.ended(row.request.likely_frames, frames[place])
                self._leave(row)
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
