"""Who speaks when: which rows wait, which place each has, and how the cache's pages are shared among them."""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.admission import Forecast
from maya_batch.engine.api import Request, Work
from maya_batch.engine.batch_budget import bucket, whole_stride
from maya_batch.engine.paged_cache import KvCache
from maya_batch.errors import MachineError

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Row:
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


class Schedule:
    """The rows of some requests, in the order given. It keeps the books; the caller moves what lies on the device."""

    def __init__(
        self,
        requests: Sequence[Request],
        prompts: Sequence[list[int]],
        rows: int,
        cache: KvCache,
        work: Work,
        share: int | None,
    ) -> None:
        """At most `rows` speak at a time. New ones are let in as soon as they can be or, with a `share`, once they are
        that part of those that speak, to go through the model together.
        """
        self.places: list[Row | None] = [None] * rows
        self._waiting = deque(zip(requests, prompts, strict=True))
        self._cache, self._work, self._share = cache, work, share
        self._longest = max(request.max_frames for request in requests)
        self._forecast = Forecast(cache.pages, cache.page_size)

    @property
    def speaking(self) -> list[Row]:
        """The rows that speak, by place."""
        return [row for row in self.places if row is not None]

    @property
    def done(self) -> bool:
        """Whether no row speaks or waits."""
        return not self._waiting and not self.speaking

    def join(self, rows: Sequence[tuple[Request, list[int]]]) -> None:
        """Have these requests with their prompts, none of them longer than those there were, wait before all others."""
        self._waiting.extendleft(reversed(rows))

    def admit(self) -> list[Row]:
        """Let in as many of those that wait as have a place and, until they end, room in the cache.

        Raises:
            MachineError: the cache does not hold one prompt.
        """
        free = [place for place, row in enumerate(self.places) if row is None]
        speaking = len(self.places) - len(free)
        enough = min(max(speaking // self._share, 1) if self._share else 1, len(self._waiting))
        if not self._waiting or len(free) < enough:
            return []
        idle = speaking == 0
        fitting = self._fitting(len(free), idle)
        if fitting < enough and not idle:
            return []
        admitted: list[Row] = []
        for place in free[:fitting]:
            request, prompt = self._waiting[0]
            if not self._cache.reserve(place, len(prompt) + SLOTS):
                break
            self._waiting.popleft()
            self.places[place] = row = Row(request, prompt, place)
            admitted.append(row)
        if idle and not admitted:
            raise MachineError("the cache does not hold one prompt; use a larger card or --quantization nf4")
        return admitted

    def grow(self) -> list[Row]:
        """Take pages for the next frame. The cache being full, rows go back to begin anew later; those are returned.

        Raises:
            MachineError: the cache does not hold one row alone.
        """
        back: list[Row] = []
        for row in self.speaking:
            while not row.over and not self._cache.reserve(row.place, row.tokens + SLOTS):
                back.append(self._send_back())
        return back

    def close_up(self) -> list[tuple[int, int]]:
        """Once none waits, move rows to the front as soon as that makes a frame smaller: (from, to) of each."""
        speaking = self.speaking
        if self._waiting or bucket(len(speaking)) == bucket(speaking[-1].place + 1):
            return []
        gaps = [place for place in range(len(speaking)) if self.places[place] is None]
        moves = []
        for place, row in zip(gaps, [row for row in speaking if row.place >= len(speaking)], strict=True):
            self._cache.move(row.place, place)
            moves.append((row.place, place))
            self.places[row.place], self.places[place] = None, row
            row.place = place
        return moves

    def extent(self) -> tuple[int, int]:
        """The places of the next frame, and the positions that its longest row will have, in whole strides."""
        speaking = self.speaking
        return bucket(speaking[-1].place + 1), whole_stride(max(row.tokens for row in speaking) + SLOTS)

    def count(self, weight_bytes: int, position_bytes: int) -> None:
        """Note a frame. A row counts as speaking until it was seen to be over."""
        speaking = self.speaking
        tokens = sum(row.tokens for row in speaking)
        self._work.steps += SLOTS
        self._work.bytes_read += SLOTS * (weight_bytes + tokens * position_bytes)
        self._work.most_rows = max(self._work.most_rows, len(speaking))
        for row in speaking:
            row.frames += 1

    def end(self, row: Row, frames: int) -> None:
        """A row has ended after so many frames."""
        self._forecast.ended(row.request.likely_frames, frames)
        self._leave(row)

    def _fitting(self, most: int, idle: bool) -> int:
        """How many of those that wait have room until they end, beside the rows that speak; one, if none speaks."""
        self._forecast.begin(self._longest)
        for row in self.speaking:
            self._forecast.add(row.tokens, row.request.likely_frames, row.frames)
        fitting = 0
        for request, prompt in islice(self._waiting, most):
            alone = idle and not fitting
            if not alone and not self._forecast.fits(len(prompt), request.likely_frames):
                break
            self._forecast.add(len(prompt), request.likely_frames)
            fitting += 1
        return fitting

    def _send_back(self) -> Row:
        """The row that loses least waits again."""
        speaking = self.speaking
        row = min(speaking, key=lambda row: (row.frames, -row.place))
        if len(speaking) == 1:
            raise MachineError(
                f"GPU memory does not hold one row of {row.tokens} tokens; use --quantization nf4, fewer "
                "render.chunk_words, or a larger card"
            )
        log.debug("cache full: the row of %d frames in place %d begins anew later", row.frames, row.place)
        self._work.restarts += 1
        self._leave(row)
        self._waiting.appendleft((row.request, row.prompt))
        return row

    def _leave(self, row: Row) -> None:
        row.over = True
        self.places[row.place] = None
        self._cache.release(row.place)
