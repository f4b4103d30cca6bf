"""What one run does with a locked book: three owners generate, postprocess and inspect takes, and write chapters."""

import logging
import time
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial

from maya_batch.audio.ffmpeg import ffmpeg_program
from maya_batch.audio.waveform_cache import WaveformCache, WaveformMemory
from maya_batch.book.chunk import Chunk
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Decoding, Engine
from maya_batch.interrupt import Stop
from maya_batch.messages.plural import plural
from maya_batch.run.all_chapters import write_chapters
from maya_batch.run.book_takes import BookTakes
from maya_batch.run.cache_trial import CacheTrial
from maya_batch.run.chapters import warn_of_old_audio, write_book_files, write_companions, write_sample_file
from maya_batch.run.deadline import Deadline
from maya_batch.run.engine_inbox import EngineInbox
from maya_batch.run.epub_writing import write_book_epub
from maya_batch.run.generate import TakeGenerator, checked_take, engine_name, peak_in_process, sequence_seed
from maya_batch.run.loading import BookEngine, Loaders, join_engine, load_book_codec, pin_config, start_engine
from maya_batch.run.open_work import OpenWork
from maya_batch.run.pace_check import VoiceCheck
from maya_batch.run.pipeline import Pipeline, Threads
from maya_batch.run.pipeline_messages import TakeRequest
from maya_batch.run.progress import ProgressListener
from maya_batch.run.result import RunResult
from maya_batch.run.scope import WHOLE_BOOK, Scope
from maya_batch.run.subtitle_writing import measure_pauses, write_subtitles
from maya_batch.run.take_inspector import make_inspector
from maya_batch.run.take_pipeline import TakePipeline
from maya_batch.run.waveform_room import waveform_bytes

log = logging.getLogger(__name__)


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
        loaders: Loaders | None = None,
        redo_seeds: Mapping[str, int | None] | None = None,
        scope: Scope = WHOLE_BOOK,
        memory: WaveformMemory | None = None,
    ) -> None:
        """With `redo_seeds`, a seed or None by key, only these chunks are rendered, once each.

        `memory` is that for waveforms, if several books share one.
        """
        self._redo_seeds, self._scope = redo_seeds, scope
        self.state, self.result, self.began = state, RunResult(), datetime.now().astimezone()
        self._loaders = loaders or Loaders()
        self.waveforms = WaveformCache(partial(load_book_codec, state, machine, self._loaders, switch), memory)
        self._machine, self._progress, self._check_tags, self._deadline = machine, progress, check_tags, deadline
        self._stop, self._switch = stop or Stop(), switch
        self._spoken: list[Take] = []
        self.waiting: list[Chunk] = []
        """Chunks that need a take."""
        self.unexamined: list[tuple[Chunk, Take]] = []
        """Stored takes to examine, with their chunks."""

    def render_takes(self, redone: Container[str]) -> None:
        """Generate and inspect takes until no chunk needs one; chapters are written as they become complete."""
        if not self.begin(redone):
            return
        self._deadline.check()
        self._stop.check()
        engine = self.start().engine if self.waiting else None
        self.load()
        # All owners end inside: what they still hold is stored before the signal is raised.
        with self._stop.deferred():
            retries = self._examine_and_generate(engine)
            if retries:
                with self._stop.immediate():
                    engine = self._start_engine([request.chunk for request in retries]).engine
                self.waiting, self.unexamined = self._work.waiting(), []  # with a switch, all chunks need takes
                self.voice_check = VoiceCheck(self.state)
                if len(self.waiting) > len(retries):
                    self._progress.expected(len(self.waiting) - len(retries))
                self._examine_and_generate(engine)

    def begin(self, redone: Container[str] = ()) -> bool:
        """Find out what there is to do; returns whether takes are to be generated or examined."""
        self._inspector = make_inspector(self.state.plan, self._machine, self._loaders)
        self._work = OpenWork(self.state, self._inspector, self._scope, self._redo_seeds, redone)
        self.voice_check = VoiceCheck(self.state)
        if self._redo_seeds is None:
            self.voice_check.catch_up()
            self.state.store.flush()
        self.waiting, self.unexamined = self._work.waiting(), self._work.unexamined()
        self._progress.begun(sum(1 for _ in self._work.chunks()), len(self.waiting), len(self.unexamined))
        if not self.waiting and self._switch:
            pin_config(self.state)  # all its takes exist from before the switch
        return bool(self.waiting or self.unexamined)

    def start(self, shared: BookEngine | None = None) -> BookEngine:
        """Load the engine for the chunks that wait; or join the `shared` one, which another book began with.

        Raises:
            MachineError, UsageError: as `start_engine`, or the codec, ffmpeg or the ASR model is missing.
        """
        began = time.monotonic()
        self._find_all()
        loaded, trial_seconds = shared, 0.0
        if loaded is None:
            loaded = self._start_engine(self.waiting)
            if loaded.trial is not None:
                self._spoken, trial_seconds = self._spoken_in_trial(loaded.engine, loaded.trial), loaded.trial.seconds
        else:
            join_engine(self.state, loaded, self.waiting, self._check_tags, self._switch)
        self.look_again()
        self.result.stages.spent("loading", began)
        self.result.stages.add("loading", -trial_seconds)
        self.result.stages.add("model", trial_seconds)
        return loaded

    def look_again(self) -> None:
        """Find out what there is to do now: keys depend on how the model was loaded, problems on examinations."""
        self.waiting, self.unexamined = self._work.waiting(), self._work.unexamined()
        self.voice_check = VoiceCheck(self.state)

    def load(self, told: set[str] | None = None) -> None:
        """Load the codec and the ASR model before the first frame: what is wrong with them must not be found later.

        Why takes are not transcribed is logged, unless it is in `told`.
        """
        began = time.monotonic()
        self.waveforms.load()
        if self.threaded():  # else the model shares the memory, and few sequences at a time need few waveforms
            self.waveforms.allow(waveform_bytes())
        self._inspector.load(told)
        self.result.stages.spent("loading", began)

    def opened_takes(
        self,
        tick: Callable[[], None],
        shared: Threads | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> BookTakes:
        """The takes of this run, with a pipeline that is not entered yet; the last three as for `Pipeline`."""
        state = self.state
        requests = [TakeRequest(chunk, state.key(chunk), state.attempts(chunk) + 1) for chunk in self.waiting]
        inbox = EngineInbox(self._progress, requests)
        pipeline = TakePipeline(
            *(state, self.voice_check, self.waveforms, self.result, self._inspector),
            [*(chunk for chunk, _ in self.unexamined), *self.waiting],
            inbox,
            once=self._redo_seeds is not None,
            scope=self._scope,
            pipeline=Pipeline(self.threaded(), shared, around),
            tick=tick,
        )
        spoken, self._spoken = self._spoken, []
        return BookTakes(pipeline, inbox, self.unexamined, requests, spoken)

    def tick(self) -> None:
        """Show the time, and raise what ends the run."""
        self._progress.tick()
        self._stop.check()
        self._deadline.check()

    def _examine_and_generate(self, engine: Engine | None) -> list[TakeRequest]:
        """Examine stored takes, then generate takes until none needs a retry.

        Without an engine, nothing is generated: the requests that it should get are returned.
        """
        takes = self.opened_takes(self.tick)
        generator = None
        if engine is not None:
            decoding, seeds = self.decoding(), self._redo_seeds or {}
            generator = TakeGenerator(engine, self.state.plan, decoding, seeds, takes.pipeline.times)
        try:
            with takes:
                requests = takes.examine()
                if generator is None:
                    return requests
                requests = takes.begin(whole=self._redo_seeds is None)
                while requests:
                    for generated in generator.generate(requests, takes.pipeline.tick, takes.retries):
                        takes.keep(generated)
                    requests = takes.drain()
                    if requests:
                        log.info("retrying %s", plural(len(requests), "chunk"))
                return []
        finally:
            if engine is not None and generator is not None:
                self.count_engine(engine, generator.first_frame)

    def count_engine(self, engine: Engine, first_frame: float) -> None:
        """Record what the engine was and took."""
        self.result.first_frame = first_frame
        self.result.peak_gpu_bytes = engine.peak_memory()
        self.result.peak_in_process = peak_in_process(engine, self._machine)
        self.result.engine_stats, self.result.engine = engine.stats, engine_name(engine)

    def threaded(self) -> bool:
        """Whether owners have threads; where the model runs on the CPU, they would take its cores."""
        if self._loaders.threaded is not None:
            return self._loaders.threaded
        from maya_batch.engine.device import choose_device

        return choose_device(self._machine.device).type == "cuda"

    def decoding(self) -> Decoding:
        """Constrained or unconstrained, by the model config."""
        config = self.state.model_config
        return "free" if config is not None and config.decoding == "free" else "framed"

    def _spoken_in_trial(self, engine: Engine, trial: CacheTrial) -> list[Take]:
        """The takes of a trial that the book goes on from, but for chunks that have stored takes."""
        if not trial.passed:
            return []
        state, name = self.state, engine_name(engine)
        made = {generation.key: generation for generation in trial.generations}
        return [
            checked_take(made[take.key], take, sequence_seed(take.key, take.attempt), state.plan, name)
            for take in trial.requests
            if not state.attempts(take.chunk)
        ]

    def _start_engine(self, waiting: Sequence[Chunk]) -> BookEngine:
        return start_engine(self.state, self._machine, waiting, self._check_tags, self._loaders, self._switch)

    def _find_all(self) -> None:
        """Raise if anything the run needs is not installed: loading the model would take minutes before that shows."""
        plan = self.state.plan
        self.state.lock.find(plan.sound.model, "model")
        self.state.lock.find(plan.sound.codec, "codec")
        ffmpeg_program()
        self._inspector.find()

    def write_chapters(self, keys: Container[str] | None) -> None:
        """Write the chapters that are complete and not current; with `keys`, only those of these chunks."""
        state = self.state
        chapters = [
            chapter
            for chapter in filter(self._scope.writes, state.plan.chapters)
            if (keys is None or any(state.key(chunk) in keys for chunk in chapter.chunks))
            and state.complete(chapter)
            and not state.current(chapter)
        ]
        write_chapters(state, chapters, self.waveforms, self.result, self._progress, self._stop)

    def write_book(self, partial: bool = False) -> None:
        """Write the M4B of all chapters, or with `partial` of those that are there, and what goes with it."""
        with self._stop.deferred():
            for file in write_book_files(self.state, self.result, partial):
                self._progress.published(file.path, file.seconds)
                self._stop.check()
            self.result.files += write_companions(self.state)
            if self.state.plan.book.output.reads_along:
                measure_pauses(self.state, self.waveforms, self._progress, self._stop.check)
                written = list(write_subtitles(self.state, partial))
                self.result.files += written
                if written:
                    log.info("%s of subtitles written", plural(len(written), "file"))
                epub = write_book_epub(self.state, self._stop.check)
                if epub is not None:
                    self.result.files.append(epub[0])
                    self._progress.published(*epub)
            sample = write_sample_file(self.state, self.waveforms, self._stop.check)
            if sample is not None:
                self.result.files.append(sample[0])
                self._progress.published(*sample)
            if self.result.files:
                warn_of_old_audio(self.state)

    def finished(self) -> RunResult:
        """The result, with the problems of all takes in use, also those of earlier runs."""
        if self.result.files:
            fingerprints = self.state.output.fingerprints()
            self.state.chapter_stats.keep(fingerprints)
            self.state.chapter_sounds.keep(fingerprints)
        self.result.problems = list(self.state.problems())
        written = [chapter for chapter in self.state.plan.chapters if self._scope.writes(chapter)]
        others = [chapter for chapter in self.state.plan.chapters if not self._scope.writes(chapter)]
        self.result.incomplete = [chapter for chapter in written if not self.state.complete(chapter)]
        self.result.left_out = [chapter for chapter in others if not self.state.current(chapter)]
        return self.result
