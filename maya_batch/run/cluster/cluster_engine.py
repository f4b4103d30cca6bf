"""The engine of a run with workers: it deals requests to them, and returns what they generate."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, cast

from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import (
    NO_HOOKS,
    CacheRounding,
    Decoding,
    Engine,
    EngineStats,
    Generation,
    Hooks,
    Request,
    Sampling,
)
from maya_batch.messages.plural import plural
from maya_batch.run.cluster.answers import wrong_beat
from maya_batch.run.cluster.crew import Crew, Worker, nothing_held
from maya_batch.run.cluster.deal import Deal
from maya_batch.run.cluster.messages import Call, Loaded
from maya_batch.run.cluster.received_waveforms import ReceivedWaveforms

log = logging.getLogger(__name__)

#: Seconds that the driver waits for answers between two calls of `tick`.
_TICK = 0.1

#: The detail of a chunk that is set aside.
_LOST = "2 workers or more were lost while they generated it"


class ClusterEngine:
    """Looks like one engine with the batches of all workers."""

    def __init__(self, crew: Crew, received: ReceivedWaveforms) -> None:
        """The engines of the crew are loaded; `received` gets what workers decode."""
        self._crew, self._received, self._calls = crew, received, 0
        self.kv_cache: Literal["model", "int8"] = self._loaded.kv_cache
        self._takes: dict[str, int] = {}
        self._gone: list[EngineStats] = []
        """The counters of workers that were lost."""
        self._peak = 0
        self._aside: list[Generation] = []
        """Of chunks that were set aside, until they are returned."""
        self._killers: set[str] = set()
        """The keys of all these chunks: a retry of one in a later call is not dealt, either."""
        self._idle: dict[str, tuple[float, float, float, float]] = {}
        """Of each worker of the running call: the idle seconds and the times of its first and its last answer."""

    @property
    def layout(self) -> TokenLayout:
        """The token layout of the checkpoint."""
        return self._loaded.layout

    @property
    def name(self) -> str:
        """Hf or gguf."""
        return self._loaded.name

    @property
    def dtype(self) -> str:
        """The number format that the workers compute in."""
        return self._loaded.dtype

    @property
    def quantization(self) -> str:
        """The quantization of the weights."""
        return self._loaded.quantization

    @property
    def offers_int8_cache(self) -> bool:
        """Whether all workers offer keys and values in 8 bits."""
        return all(worker.loaded is not None and worker.loaded.offers_int8_cache for worker in self._crew.ready)

    @property
    def batch_size(self) -> int:
        """The most sequences that all workers decode together."""
        return max(sum(map(_batch_size, self._crew.ready)), 1)

    @property
    def stats(self) -> EngineStats:
        """The counters of all workers together."""
        counted = [*self._gone, *(worker.last.stats for worker in self._crew.workers if worker.last is not None)]
        numbers = [field.name for field in fields(EngineStats) if field.name != "workers"]
        sums = {name: sum(getattr(stats, name) for stats in counted) for name in numbers}
        return EngineStats(**sums, workers=dict(self._takes))

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        return self._loaded.tags

    def in_grammar_probabilities(self, requests: Sequence[Request], sampling: Sampling) -> tuple[float, ...]:
        """How likely an unconstrained token is of its slot, as one worker finds."""
        few = list(requests[: self.batch_size])
        return cast(tuple[float, ...], self._crew.ask_now("ask", _Question("in_grammar_probabilities", few, sampling)))

    def use_kv_cache(self, kv_cache: Literal["model", "int8"]) -> None:
        """Keep keys and values in this format from the next call on, on all workers."""
        self.kv_cache = kv_cache

    def cache_rounding(self, requests: Sequence[Request], generations: Sequence[Generation]) -> CacheRounding:
        """What 8 bits change in the predictions for these generations of these requests, as one worker finds."""
        question = _Question("cache_rounding", list(requests), list(generations))
        return cast(CacheRounding, self._crew.ask_now("ask", question))

    def peak_memory(self) -> int:
        """The most memory that one worker has held, in bytes."""
        return self._peak

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        """Generate codes for all requests, which are dealt to the workers in the order given.

        A chunk with which two workers or more were lost is returned as broken, without a frame. The hooks are
        called several times a second.

        Raises:
            MachineError: no worker is left.
        """
        if not requests:
            return
        self._calls += 1
        self._idle.clear()
        call = Call(self._calls, sampling, decoding, self.kv_cache)
        deal, crew = Deal((), self._killers), self._crew
        self._aside += map(self._set_aside, deal.add_first(requests))

        def lost(worker: Worker) -> int:
            back, culprit = deal.lose(worker.number)
            if worker.last is not None:
                self._gone.append(worker.last.stats)
            if culprit is not None:
                log.warning("a chunk is set aside, %s: %.60r", _LOST, culprit.text)
                self._aside.append(self._set_aside(culprit))
            return len(back)

        crew.lost = lost
        try:
            while deal.left or self._aside:
                self._feed(call, deal)
                finished = self._collect(deal)
                if finished:
                    yield finished
                if deal.left:
                    hooks.tick()
                self._aside += map(self._set_aside, deal.add_first(hooks.retries()))
                if not deal.waiting:
                    deal.add_last(hooks.later())
        finally:
            crew.lost = nothing_held
            for worker in crew.ready:
                worker.answer, worker.busy = None, False  # of a call that was left, if there is one
            self._tell_idle(time.monotonic())

    def _feed(self, call: Call, deal: Deal) -> None:
        """Ask each worker that holds something, or gets something now, how far it is."""
        workers = self._crew.ready
        for worker in workers:
            if worker.answer is None:
                idle = not deal.held(worker.number)
                given = deal.give(worker.number, _batch_size(worker), len(workers))
                if idle and given:
                    worker.since = time.monotonic()
                worker.busy = not idle or bool(given)
                if worker.busy:
                    self._crew.ask(worker, "exchange", call, given)

    def _collect(self, deal: Deal) -> list[Generation]:
        """The generations that have come."""
        finished, self._aside = self._aside, []
        if not deal.left:
            return finished
        for worker, beat in self._crew.answers(_TICK):
            if wrong := wrong_beat(beat, deal.held(worker.number), self.layout):
                self._crew.lose(worker, wrong)
                continue
            self._crew.heard(worker, beat)
            self._peak = max(self._peak, beat.peak_memory)
            now = time.monotonic()
            first = self._idle.get(worker.name, (beat.idle, now))[:2]
            self._idle[worker.name] = (*first, beat.idle, now)
            for answered in beat.generations:
                # A copy: Ray keeps the whole answer, with its sound, as long as any of its arrays is there.
                generation = replace(answered, codes=answered.codes.copy())
                seed = deal.held(worker.number)[generation.key].noise_seed
                if seed is not None and generation.key in beat.waveforms:
                    self._received.put(seed, generation.codes, beat.waveforms[generation.key])
                deal.settle(worker.number, generation.key)
                finished.append(generation)
            if beat.generations:
                self._takes[worker.name] = self._takes.get(worker.name, 0) + len(beat.generations)
            if beat.failure:
                self._crew.lose(worker, beat.failure)
        return finished

    def _tell_idle(self, end: float) -> None:
        """Log how long each worker had nothing to generate, from its first answer to the end of the call."""
        for name, (idle_first, first, idle_last, last) in self._idle.items():
            if end > first:
                share = (idle_last - idle_first + end - last) / (end - first)
                log.debug("worker %s: %s, idle %.1f %%", name, plural(self._takes.get(name, 0), "take"), 100 * share)

    def _set_aside(self, request: Request) -> Generation:
        return Generation(request.key, self.layout.frames([]), "broken", _LOST)

    @property
    def _loaded(self) -> Loaded:
        if self._crew.expected is None:
            raise ValueError("no worker has loaded its engine")
        return self._crew.expected


class _Question:
    """Calls a method of a worker's engine, over there."""

    def __init__(self, method: str, *arguments: Any) -> None:
        self._method, self._arguments = method, arguments

    def __call__(self, engine: Engine) -> Any:
        return getattr(engine, self._method)(*self._arguments)


def _batch_size(worker: Worker) -> int:
    if worker.last is not None:
        return worker.last.batch_size
    return worker.loaded.batch_size if worker.loaded is not None else 0
