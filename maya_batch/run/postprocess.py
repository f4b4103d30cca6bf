"""What becomes of takes as they come: stored, looked at, listened to, judged; once all of a chapter are settled, its
files.

A take is settled when it has been examined and its chunk is not to be spoken again. It may be accused afterwards, when
its voice's limits are settled: then its chunk is open once more, and its chapter is put together again. On a GPU the
work is done on two threads beside the model: one keeps the files, the codec and the books, the other one only looks and
listens.
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
from maya_batch.run.inspect import TakeInspector
from maya_batch.run.progress import ProgressListener
from maya_batch.run.result import RunResult
from maya_batch.run.voice_check import VoiceCheck, give_up_choice

log = logging.getLogger(__name__)


class TakeProcessor:
    """The way of all takes of one run. Only the thread of `worker` touches the store, the codec and the outcome."""

    def __init__(
        self,
        state: BookState,
        inspector: TakeInspector,
        judge: VoiceCheck,
        waveforms: WaveformCache,
        result: RunResult,
        progress: ProgressListener,
        worker: BackgroundWorker,
        ear: BackgroundWorker,
        waiting: Iterable[Chunk] = (),
    ) -> None:
        """The watcher knows of the chunks that are `waiting` to be spoken."""
        self._state, self._inspector, self._judge, self._waves = state, inspector, judge, waveforms
        self._result, self._progress = result, progress
        self._worker, self._ear = worker, ear
        self._chunks: dict[str, Chunk] = {}
        self._open: dict[int, set[str]] = {}
        self._again: deque[Chunk] = deque()
        self._looked_at: Counter[str] = Counter()
        self._rendered: set[str] = set()
        """Keys of which this run has stored a take."""
        self._counted: set[tuple[str, bool]] = set()
        self._to_render: set[str] = set()
        self._once: frozenset[str] = frozenset()
        self._to_render.update(map(state.key, waiting))

    def expect(self, chunks: Iterable[Chunk], once: bool = False) -> None:
        """These chunks are to be settled; with `once`, by their next take, which is chosen if it is good."""
        self._again.clear()  # they are among these
        for chunk in chunks:
            key = self._state.key(chunk)
            self._chunks[key] = chunk
            self._open.setdefault(chunk.chapter, set()).add(key)
        if once:
            self._once = frozenset(self._chunks)

    def receive(self, takes: list[Take]) -> None:
        """Take in what has just been spoken."""
        self._rendered.update(take.key for take in takes)
        self._hand_over(partial(self._keep, takes))

    def again(self, among: Container[str] | None = None) -> list[Chunk]:
        """Chunks that are to be spoken once more, their last take being known now; with `among`, those of these keys.

        Each is told once.
        """
        chunks = [self._again.popleft() for _ in range(len(self._again))]
        told = [among is None or self._state.key(chunk) in among for chunk in chunks]
        self._again.extend(chunk for chunk, is_told in zip(chunks, told, strict=True) if not is_told)
        return [chunk for chunk, is_told in zip(chunks, told, strict=True) if is_told]

    def examine(self, takes: Iterable[Take], tick: Callable[[], None]) -> None:
        """Examine takes that are stored already; `tick` is called before each."""
        for take in takes:
            tick()
            self._hand_over(partial(self._look_at, [take]))

    def publish_settled(self) -> None:
        """Put together the chapters that wait for nothing."""
        chapters = [chapter for chapter in self._state.plan.chapters if not self._open.get(chapter.number)]
        self._hand_over(lambda: self._publish({chapter.number for chapter in chapters}))

    def drain(self, tick: Callable[[], None]) -> None:
        """Wait until all takes are through; `tick` is called meanwhile."""
        began = time.monotonic()
        # What is kept goes to be heard, and what was heard comes back; what is accused then may go to be heard, too.
        for line in (self._worker, self._ear, self._worker, self._ear, self._worker):
            line.drain(tick)
        self._result.spent("finishing", began)

    def _hand_over(self, job: Callable[[], None]) -> None:
        """Have a job done beside; where it is done here and now, it counts as finishing."""
        began = time.monotonic()
        self._worker.do(job)
        self._result.spent("finishing", began)

    def _keep(self, takes: list[Take]) -> None:
        """Store takes that ended together, before anything else can go wrong."""
        self._store(takes)
        self._look_at(takes)

    def _look_at(self, takes: list[Take]) -> None:
        """Have takes examined; where several are of one chunk, the last of them settles it."""
        self._looked_at.update(take.key for take in takes)
        for take in takes:
            self._decode(take)

    def _decode(self, take: Take) -> None:
        if self._worker.stopping.is_set():
            return  # the next run does it
        began = time.monotonic()
        wave = self._waves.prepare(take)
        self._result.spent("codec and audio", began)
        self._ear.do(partial(self._examine, take, wave))

    def _examine(self, take: Take, wave: NDArray[np.float32]) -> None:
        """On the thread that looks and listens; what it finds goes back to the other one."""
        if self._ear.stopping.is_set():
            return  # the next run does it
        began, chunk, known = time.monotonic(), self._chunks[take.key], take.problems
        take = self._inspector.look(take, chunk.text, wave)
        if self._inspector.listens_to(take):
            take = self._inspector.listen(take, chunk.text, wave)
        self._result.spent("examining", began)
        self._worker.post(partial(self._settle, take, known))

    def _settle(self, take: Take, known: tuple[Problem, ...]) -> None:
        """A take with all its evidence: stored again; and its chunk is done, or goes back to be spoken once more.

        A choice that was made when there were only the `known` problems may be given up.
        """
        state, chunk = self._state, self._chunks[take.key]
        self._looked_at[take.key] -= 1
        take = self._judge.settle(take, chunk)
        give_up_choice(state, chunk, known, take)
        self._store([take])
        if not self._once and not self._worker.stopping.is_set():
            self._catch_up()
        if self._inspector.listens_to(take):  # what accuses it now was not known before
            self._look_at([take])
            return
        if take.key in self._once and not take.problems:
            state.store.choose(take.key, take.attempt)
            state.stored([take.key])
        again = take.key not in self._once and state.needs_take(chunk)
        _tell(chunk, take.problems, again)
        if self._looked_at[take.key]:
            return
        if again:
            self._waves.drop(take)
            self._speak_again(chunk)
            return
        self._count(chunk)
        used = state.take(chunk)
        for other in state.takes(chunk):
            if other is not used:
                self._waves.drop(other)
        self._open[chunk.chapter].discard(take.key)
        if not self._open[chunk.chapter]:
            self._publish({chunk.chapter})

    def _catch_up(self) -> None:
        """Have takes judged that came before their voice's limits were settled; their chunks may be open once more."""
        began, state = time.monotonic(), self._state
        judged = self._judge.catch_up()
        self._result.spent("files", began)
        suspects: list[Take] = []
        for chunk, group in groupby(judged, itemgetter(0)):
            key, open_chunks = state.key(chunk), self._open.setdefault(chunk.chapter, set())
            if key in open_chunks:
                continue  # its next take is on the way
            again, unheard = state.needs_take(chunk), []
            for _, before, take in group:
                _tell(chunk, [problem for problem in take.problems if problem not in before.problems], again)
                if self._inspector.listens_to(take):
                    unheard.append(take)
                elif again:
                    self._waves.drop(take)
            if unheard or again:
                self._chunks[key] = chunk
                open_chunks.add(key)
            if unheard:
                suspects += unheard
            elif again:
                self._speak_again(chunk)
        self._look_at(suspects)

    def _speak_again(self, chunk: Chunk) -> None:
        self._again.append(chunk)
        if (key := self._state.key(chunk)) not in self._to_render:
            self._to_render.add(key)
            self._progress.expected(1)

    def _count(self, chunk: Chunk) -> None:
        """Count a chunk that is settled: once as examined, and once as rendered if it is spoken all the same."""
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
                publish(self._state, chapter, self._waves, self._result, self._progress, self._ear.post)
                self._waves.drop_keys({self._state.key(chunk) for chunk in chapter.chunks})


def _tell(chunk: Chunk, problems: Iterable[Problem], again: bool) -> None:
    """Say what is wrong with a take, aloud where it stays as it is."""
    for problem in problems:
        level = logging.INFO if again else logging.WARNING
        log.log(level, "%s %s: %s%s", chunk.ref, problem.kind, problem.detail, "; once more" if again else "")
