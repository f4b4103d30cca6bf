"""What one run does with a locked book: generate, inspect, retry, write chapters."""

import logging
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from maya_batch.audio.ffmpeg import ffmpeg_program
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chunk import Chunk
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Engine
from maya_batch.interrupt import Stop
from maya_batch.messages.plural import plural
from maya_batch.run.background import BackgroundWorker
from maya_batch.run.chapters import publish
from maya_batch.run.deadline import Deadline
from maya_batch.run.generate import TakeGenerator, engine_name, generation_order
from maya_batch.run.loading import EngineLoader, load_book_codec, pin_config, start_engine
from maya_batch.run.pace_check import VoiceCheck
from maya_batch.run.postprocess import TakeProcessor
from maya_batch.run.progress import ProgressListener
from maya_batch.run.result import RunResult
from maya_batch.run.take_inspector import TakeInspector, make_inspector

log = logging.getLogger(__name__)

#: Chapters whose loudness is measured together, by an ffmpeg each that takes a second for 12 minutes of sound: at the
#: end of a run many chapters are written one after the other.
_MEASURING = 4


class BookRun:
    """One run over a book that is locked."""

    def __init__(
        self,
        state: BookState,
        machine: Machine,
        progress: ProgressListener,
        check_tags: bool,
        deadline: Deadline,
        stop: Stop | None = None,
        switch: bool = False,
        engine_loader: EngineLoader | None = None,
    ) -> None:
        self.state, self.result, self.began = state, RunResult(), datetime.now().astimezone()
        self.waveforms = WaveformCache(partial(load_book_codec, state, machine, switch))
        self._switch, self._engine_loader = switch, engine_loader
        self._machine, self._progress, self._check_tags, self._deadline = machine, progress, check_tags, deadline
        self._stop = stop or Stop()

    def speak(self, redo_seeds: Mapping[str, int | None] | None, redone: Container[str]) -> None:
        """Generate and inspect takes until no chunk needs one; chapters are written as they become complete."""
        state, plan = self.state, self.state.plan
        inspector = make_inspector(plan, self._machine)
        if redo_seeds is None:
            VoiceCheck(state).catch_up()
        waiting = self._waiting(redo_seeds, redone)
        unexamined = list(self._unexamined(inspector) if redo_seeds is None else self._made(redone))
        self._progress.begun(sum(1 for _ in plan.chunks()), len(waiting), len(unexamined))
        if not waiting and self._switch:
            pin_config(state)  # all takes are there from the time before it was switched
        if not waiting and not unexamined:
            return
        self._deadline.check()
        began = time.monotonic()
        if waiting:
            self._find_all(inspector)
        engine = self._start_engine(waiting) if waiting else None
        # Before the first step: what is wrong with them must not come to light in the morning.
        self.waveforms.load()
        inspector.load()
        self.result.spent("loading", began)
        from maya_batch.engine.device import choose_device

        in_background = choose_device(self._machine.device).type == "cuda"
        # The workers end inside: what they still hold is stored before the signal is raised.
        with (
            self._stop.deferred(),
            BackgroundWorker(in_background, threads=_MEASURING) as measure_worker,
            BackgroundWorker(in_background) as worker,
            BackgroundWorker(in_background) as inspect_worker,
        ):
            tick = partial(self._tick, (worker, inspect_worker, measure_worker))
            owned = (state, inspector, VoiceCheck(state), self.waveforms, self.result, self._progress)
            processor = TakeProcessor(*owned, worker, inspect_worker, measure_worker, waiting)
            if unexamined:
                log.info("examining %s of an earlier run", plural(len(unexamined), "take"))
                # A chapter is written once, when the takes to be generated are there, too.
                others = [] if redo_seeds is None else waiting
                processor.expect([*(chunk for chunk, _ in unexamined), *others], once=redo_seeds is not None)
                processor.inspect_stored((take for _, take in unexamined), tick)
                processor.drain(tick)
            # Loading may have settled the model config, and with it the keys; the inspection may add retries.
            waiting = self._waiting(redo_seeds, redone)
            if waiting:
                if engine is None:
                    with self._stop.immediate():
                        engine = self._start_engine(waiting)
                self._rounds(engine, waiting, redo_seeds, processor, tick)

    def _start_engine(self, waiting: Sequence[Chunk]) -> Engine:
        return start_engine(self.state, self._machine, waiting, self._check_tags, self._switch, self._engine_loader)

    def _find_all(self, inspector: TakeInspector) -> None:
        """Do nothing if all that the run needs is installed: checked before minutes are spent on loading the model."""
        plan = self.state.plan
        self.state.lock.find(plan.sound.model, "model")
        self.state.lock.find(plan.sound.codec, "codec")
        ffmpeg_program()
        inspector.find()

    def publish(self, keys: Container[str] | None) -> None:
        """Write the chapters that are complete and not current; with `keys`, only those of these chunks."""
        for chapter in self.state.plan.chapters:
            if keys is None or any(self.state.key(chunk) in keys for chunk in chapter.chunks):
                publish(
                    *(self.state, chapter, self.waveforms, self.result, self._progress),
                    in_background=lambda job: job(),
                    stop=self._stop,
                )

    def finished(self) -> RunResult:
        """The result, with the problems of the takes in use, whichever run made them."""
        if self.result.files:
            self.state.chapter_stats.keep(self.state.fingerprints())
        self.result.problems = list(self.state.problems())
        self.result.incomplete = [c for c in self.state.plan.chapters if not self.state.complete(c)]
        return self.result

    def _waiting(self, redo_seeds: Mapping[str, int | None] | None, redone: Container[str]) -> list[Chunk]:
        state = self.state
        if redo_seeds is not None:
            return [c for c in state.plan.chunks() if state.key(c) in redo_seeds and state.key(c) not in redone]
        return [chunk for chunk in state.plan.chunks() if state.needs_take(chunk)]

    def _unexamined(self, inspector: TakeInspector) -> Iterator[tuple[Chunk, Take]]:
        """Takes that an earlier run stored and could not inspect, and those in use that it could not transcribe."""
        for chunk in self.state.plan.chunks():
            if self.state.lacks_take(chunk):
                continue
            used = self.state.take(chunk)
            for take in self.state.takes(chunk):
                if not take.examined or (take is used and inspector.needs_work(take)):
                    yield chunk, take

    def _made(self, keys: Container[str]) -> Iterator[tuple[Chunk, Take]]:
        """The last takes of these keys, which an earlier start of this run stored."""
        for chunk in self.state.plan.chunks():
            if (key := self.state.key(chunk)) in keys:
                yield chunk, self.state.store.all(key)[-1]

    def _rounds(
        self,
        engine: Engine,
        waiting: list[Chunk],
        redo_seeds: Mapping[str, int | None] | None,
        processor: TakeProcessor,
        tick: Callable[[], None],
    ) -> None:
        """Generate the chunks. Those whose takes have problems are retried while attempts are left: together with the
        others, and in a round of their own where no batch was left to join.
        """
        generator = TakeGenerator(engine, self.state, self.result)
        processor.expect(waiting, once=redo_seeds is not None)
        if redo_seeds is None:
            processor.publish_settled()
        try:
            while waiting:
                generator.generate(
                    generation_order(waiting, engine.batch_size),
                    redo_seeds or {},
                    processor.receive,
                    tick,
                    processor.retries,
                )
                processor.drain(tick)
                waiting = sorted(processor.retries(), key=lambda chunk: (chunk.chapter, chunk.index))
                if waiting:
                    log.info("speaking %s once more", plural(len(waiting), "chunk"))
        finally:
            self.result.peak_gpu_bytes = engine.peak_memory()
            self.result.engine_stats, self.result.engine = engine.stats, engine_name(engine)

    def _tick(self, workers: Sequence[BackgroundWorker]) -> None:
        """Called between frames: raises what went wrong in the background, a signal, and the deadline."""
        self._progress.tick()
        for worker in workers:
            worker.check()
        self._stop.check()
        self._deadline.check()
