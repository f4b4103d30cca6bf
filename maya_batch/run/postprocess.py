"""Takes are processed as they come: stored, decoded, inspected; once all of a chapter are settled, it is written.

A take is settled when it has been inspected and its chunk needs no retry. It may be flagged afterwards, when the limits
of its voice are known: then its chunk is open again, and its chapter is written again. On a GPU two threads work in the
background: one owns the files and the codec, the other one inspects.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable
from functools import partial
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chunk import Chunk
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.quality import Problem
from maya_batch.run.background import BackgroundWorker
from maya_batch.run.chapters import publish
from maya_batch.run.pace_check import VoiceCheck, give_up_choice
from maya_batch.run.progress import ProgressListener
from maya_batch.run.result import RunResult
from maya_batch.run.take_inspector import TakeInspector

log = logging.getLogger(__name__)


class TakeProcessor:
    """Processes all takes of one run, most of it on the thread of `worker`."""

    def __init__(
        self,
        state: BookState,
        inspector: TakeInspector,
        voice_check: VoiceCheck,
        waveforms: WaveformCache,
        result: RunResult,
        progress: ProgressListener,
        worker: BackgroundWorker,
        inspect_worker: BackgroundWorker,
        measure_worker: BackgroundWorker,
        waiting: Iterable[Chunk] = (),
    ) -> None:
        """`progress` has been told of the chunks in `waiting`."""
        self._state, self._inspector, self._voice_check, self._waveforms = state, inspector, voice_check, waveforms
        self._result, self._progress = result, progress
        self._worker, self._inspect_worker, self._measure_worker = worker, inspect_worker, measure_worker
        self._chunks: dict[str, Chunk] = {}
        self._open: dict[int, set[str]] = {}
        self._retries: deque[Chunk] = deque()
        self._inspecting: Counter[str] = Counter()
        self._rendered: set[str] = set()
        """Keys of which this run has stored a take."""
        self._counted: set[tuple[str, bool]] = set()
        self._to_render: set[str] = set()
        self._once: frozenset[str] = frozenset()
        self._to_render.update(map(state.key, waiting))

    def expect(self, chunks: Iterable[Chunk], once: bool = False) -> None:
        """These chunks are to be settled; with `once`, by their next take, which is chosen if it has no problems."""
        self._retries.clear()  # they are among these
        for chunk in chunks:
            key = self._state.key(chunk)
            self._chunks[key] = chunk
            self._open.setdefault(chunk.chapter, set()).add(key)
        if once:
            self._once = frozenset(self._chunks)

    def receive(self, takes: list[Take]) -> None:
        """Process takes that the engine has just finished."""
        self._rendered.update(take.key for take in takes)
        self._hand_over(partial(self._keep, takes))

    def retries(self, among: Container[str] | None = None) -> list[Chunk]:
        """Chunks to generate again, each returned once; with `among`, only those of these keys."""
        chunks = [self._retries.popleft() for _ in range(len(self._retries))]
        returned = [among is None or self._state.key(chunk) in among for chunk in chunks]
        self._retries.extend(chunk for chunk, taken in zip(chunks, returned, strict=True) if not taken)
        return [chunk for chunk, taken in zip(chunks, returned, strict=True) if taken]

    def inspect_stored(self, takes: Iterable[Take], tick: Callable[[], None]) -> None:
        """Inspect takes that an earlier run stored; `tick` is called before each."""
        for take in takes:
            tick()
            self._hand_over(partial(self._inspect_takes, [take]))

    def publish_settled(self) -> None:
        """Write the chapters that wait for no take."""
        chapters = [chapter for chapter in self._state.plan.chapters if not self._open.get(chapter.number)]
        self._hand_over(lambda: self._publish({chapter.number for chapter in chapters}))

    def drain(self, tick: Callable[[], None]) -> None:
        """Wait until all takes are processed; `tick` is called meanwhile."""
        began = time.monotonic()
        # A stored take goes to the inspector and comes back; a take that is flagged then may go there again.
        for worker in (self._worker, self._inspect_worker, self._worker, self._inspect_worker, self._worker):
            worker.drain(tick)
        self._measure_worker.drain(tick)
        self._result.spent("finishing", began)

    def _hand_over(self, job: Callable[[], None]) -> None:
        """Give the worker a job; time that it takes in this thread counts as finishing."""
        began = time.monotonic()
        self._worker.do(job)
        self._result.spent("finishing", began)

    def _keep(self, takes: list[Take]) -> None:
        """Store takes that ended together, before anything else can go wrong."""
        self._store(takes)
        self._inspect_takes(takes)

    def _inspect_takes(self, takes: list[Take]) -> None:
        """Decode and inspect takes; where several are of one chunk, the last of them settles it."""
        self._inspecting.update(take.key for take in takes)
        for take in takes:
            self._decode(take)

    def _decode(self, take: Take) -> None:
        if self._worker.stopping.is_set():
            return  # the next run does it
        began = time.monotonic()
        wave = self._waveforms.prepare(take)
        self._result.spent("codec and audio", began)
        self._inspect_worker.do(partial(self._inspect, take, wave))

    def _inspect(self, take: Take, wave: NDArray[np.float32]) -> None:
        """On the inspecting thread; what it finds goes back to the worker."""
        if self._inspect_worker.stopping.is_set():
            return  # the next run does it
        began, chunk, known = time.monotonic(), self._chunks[take.key], take.problems
        take = self._inspector.check_audio(take, chunk.text, wave)
        if self._inspector.needs_transcript(take):
            take = self._inspector.transcribe(take, chunk.text, wave)
        self._result.spent("examining", began)
        self._worker.post(partial(self._settle, take, known))

    def _settle(self, take: Take, known: tuple[Problem, ...]) -> None:
        """Store a take with all its evidence; its chunk is done, or is generated again.

        A person's choice that was made when only the `known` problems were there may be given up.
        """
        state, chunk = self._state, self._chunks[take.key]
        self._inspecting[take.key] -= 1
        take = self._voice_check.settle(take, chunk)
        give_up_choice(state, chunk, known, take)
        self._store([take])
        if not self._once and not self._worker.stopping.is_set():
            self._catch_up()
        if self._inspector.needs_transcript(take):  # it was flagged only now
            self._inspect_takes([take])
            return
        if take.key in self._once and not take.problems:
            state.store.choose(take.key, take.attempt)
            state.stored([take.key])
        retry = take.key not in self._once and state.needs_take(chunk)
        _log_problems(chunk, take.problems, retry)
        if self._inspecting[take.key]:
            return
        if retry:
            self._waveforms.drop(take)
            self._retry(chunk)
            return
        self._count(chunk)
        used = state.take(chunk)
        for other in state.takes(chunk):
            if other is not used:
                self._waveforms.drop(other)
        self._open[chunk.chapter].discard(take.key)
        if not self._open[chunk.chapter]:
            self._publish({chunk.chapter})

    def _catch_up(self) -> None:
        """Check takes that came before the limits of their voice were known; their chunks may be open again."""
        began, state = time.monotonic(), self._state
        judged = self._voice_check.catch_up()
        self._result.spent("files", began)
        flagged: list[Take] = []
        for chunk, group in groupby(judged, itemgetter(0)):
            key, open_chunks = state.key(chunk), self._open.setdefault(chunk.chapter, set())
            if key in open_chunks:
                continue  # its next take is on the way
            retry, unverified = state.needs_take(chunk), []
            for _, before, take in group:
                _log_problems(chunk, [problem for problem in take.problems if problem not in before.problems], retry)
                if self._inspector.needs_transcript(take):
                    unverified.append(take)
                elif retry:
                    self._waveforms.drop(take)
            if unverified or retry:
                self._chunks[key] = chunk
                open_chunks.add(key)
            if unverified:
                flagged += unverified
            elif retry:
                self._retry(chunk)
        self._inspect_takes(flagged)

    def _retry(self, chunk: Chunk) -> None:
        self._retries.append(chunk)
        if (key := self._state.key(chunk)) not in self._to_render:
            self._to_render.add(key)
            self._progress.expected(1)

    def _count(self, chunk: Chunk) -> None:
        """Count a settled chunk: once as examined, and once as rendered if this run generated a take of it."""
        key = self._state.key(chunk)
        rendered = key in self._rendered
        if (key, rendered) in self._counted:
            return
        self._counted.add((key, rendered))
        if not rendered:
            self._result.examined += 1
            self._progress.examined()
            return
        best = self._state.take(chunk)
        if best is None:
            raise ValueError(f"chunk {chunk.ref} has no take")
        speech = self._state.plan.layout.seconds(len(best.codes))
        self._result.chunks += 1
        self._result.speech += speech
        self._progress.rendered(1, speech)

    def _store(self, takes: list[Take]) -> None:
        began = time.monotonic()
        self._state.store.put(takes)
        self._state.stored([take.key for take in takes])
        self._result.spent("files", began)

    def _publish(self, numbers: set[int]) -> None:
        for chapter in self._state.plan.chapters:
            if chapter.number in numbers and not self._worker.stopping.is_set():
                publish(self._state, chapter, self._waveforms, self._result, self._progress, self._measure_worker.post)
                self._waveforms.drop_keys({self._state.key(chunk) for chunk in chapter.chunks})


def _log_problems(chunk: Chunk, problems: Iterable[Problem], retry: bool) -> None:
    """Log the problems of a take: as warnings where it is kept, as information where it is made again."""
    for problem in problems:
        level = logging.INFO if retry else logging.WARNING
        log.log(level, "%s %s: %s%s", chunk.ref, problem.kind, problem.detail, "; once more" if retry else "")
