"""What one run does with a locked book: three owners generate, postprocess and inspect takes, and write chapters."""

import logging
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby

from maya_batch.audio.ffmpeg import ffmpeg_program
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chunk import Chunk
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Decoding, Engine
from maya_batch.interrupt import Stop
from maya_batch.messages.plural import plural
from maya_batch.run.all_chapters import write_chapters
from maya_batch.run.cache_trial import CacheTrial
from maya_batch.run.chapters import write_book_files, write_companions, write_sample_file
from maya_batch.run.deadline import Deadline
from maya_batch.run.engine_inbox import EngineInbox
from maya_batch.run.epub_writing import write_book_epub
from maya_batch.run.generate import TakeGenerator, checked_take, engine_name, peak_in_process, sequence_seed
from maya_batch.run.loading import BookEngine, Loaders, load_book_codec, pin_config, start_engine
from maya_batch.run.pace_check import VoiceCheck
from maya_batch.run.pipeline_messages import ExaminedAll, Generated, TakeRequest, Unexamined
from maya_batch.run.progress import ProgressListener
from maya_batch.run.result import RunResult
from maya_batch.run.scope import WHOLE_BOOK, Scope
from maya_batch.run.subtitle_writing import measure_pauses, write_subtitles
from maya_batch.run.take_inspector import TakeInspector, make_inspector
from maya_batch.run.take_pipeline import TakePipeline

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
    ) -> None:
        """With `redo_seeds`, a seed or None by key, only these chunks are rendered, once each."""
        self._redo_seeds, self._scope = redo_seeds, scope
        self.state, self.result, self.began = state, RunResult(), datetime.now().astimezone()
        self._loaders = loaders or Loaders()
        self.waveforms = WaveformCache(partial(load_book_codec, state, machine, self._loaders, switch))
        self._machine, self._progress, self._check_tags, self._deadline = machine, progress, check_tags, deadline
        self._stop, self._switch = stop or Stop(), switch

    def render_takes(self, redone: Container[str]) -> None:
        """Generate and inspect takes until no chunk needs one; chapters are written as they become complete."""
        redo_seeds = self._redo_seeds
        state, plan = self.state, self.state.plan
        inspector = make_inspector(plan, self._machine, self._loaders)
        voice_check = VoiceCheck(state)
        if redo_seeds is None:
            voice_check.catch_up()
        waiting = self._waiting(redone)
        unexamined = self._to_examine(inspector, redone)
        self._progress.begun(sum(1 for _ in self._chunks()), len(waiting), len(unexamined))
        if not waiting and self._switch:
            pin_config(state)  # all its takes exist from before the switch
        if not waiting and not unexamined:
            return
        self._deadline.check()
        self._stop.check()
        began = time.monotonic()
        engine, spoken, trial_seconds = None, [], 0.0
        if waiting:
            self._find_all(inspector)
            loaded = self._start_engine(waiting)
            engine = loaded.engine
            # The keys of all takes may depend on how the model was loaded.
            waiting, unexamined = self._waiting(redone), self._to_examine(inspector, redone)
            voice_check = VoiceCheck(state)
            if loaded.trial is not None:
                spoken, trial_seconds = self._spoken_in_trial(engine, loaded.trial), loaded.trial.seconds
        # Loaded before the first frame: what is wrong with them must not be found hours later.
        self.waveforms.load()
        inspector.load()
        self.result.stages.spent("loading", began)
        self.result.stages.add("loading", -trial_seconds)
        self.result.stages.add("model", trial_seconds)
        # All owners end inside: what they still hold is stored before the signal is raised.
        with self._stop.deferred():
            requests = self._requests(waiting)
            retries = self._examine_and_generate(engine, unexamined, requests, inspector, voice_check, spoken)
            if retries:
                with self._stop.immediate():
                    engine = self._start_engine([request.chunk for request in retries]).engine
                waiting = self._waiting(redone)  # keys, as above: with a switch, all chunks need takes
                if len(waiting) > len(retries):
                    self._progress.expected(len(waiting) - len(retries))
                self._examine_and_generate(engine, [], self._requests(waiting), inspector, VoiceCheck(state))

    def _examine_and_generate(
        self,
        engine: Engine | None,
        unexamined: Sequence[tuple[Chunk, Take]],
        requests: list[TakeRequest],
        inspector: TakeInspector,
        voice_check: VoiceCheck,
        spoken: Sequence[Take] = (),
    ) -> list[TakeRequest]:
        """Examine stored takes, then generate takes until none needs a retry; those in `spoken` exist already.

        Without an engine, nothing is generated: the requests that it should get are returned.
        """
        inbox = EngineInbox(self._progress, requests)
        chunks = [*(chunk for chunk, _ in unexamined), *(request.chunk for request in requests)]
        pipeline = TakePipeline(
            *(self.state, voice_check, self.waveforms, self.result, inspector, chunks, inbox),
            once=self._redo_seeds is not None,
            scope=self._scope,
            threaded=self._threaded(),
            progress_tick=self._progress.tick,
            stop=self._stop,
            deadline=self._deadline,
        )
        generator = None
        if engine is not None:
            decoding, seeds = self._decoding(), self._redo_seeds or {}
            generator = TakeGenerator(engine, self.state.plan, decoding, seeds, pipeline.times)
        try:
            with pipeline:
                if unexamined:
                    log.info("examining %s of an earlier run", plural(len(unexamined), "take"))
                for _, group in groupby(unexamined, lambda found: found[1].key):
                    pipeline.tick()
                    pipeline.send(Unexamined([take for _, take in group]))
                pipeline.drain()
                requests = _merged(requests, inbox.retries())
                if generator is None:
                    return requests
                if self._redo_seeds is None:
                    pipeline.send(ExaminedAll())
                if spoken:
                    pipeline.send(Generated(list(spoken)))
                    keys = {take.key for take in spoken}
                    # Their retries are a batch after this one, which is not planned for their lengths.
                    requests = [request for request in requests if request.key not in keys]
                    if not requests:
                        pipeline.drain()
                        requests = _merged(inbox.retries(), [])
                while requests:
                    for takes in generator.generate(requests, pipeline.tick, inbox.retries):
                        pipeline.send(Generated(takes))
                    pipeline.drain()
                    requests = _merged(inbox.retries(), [])
                    if requests:
                        log.info("retrying %s", plural(len(requests), "chunk"))
                return []
        finally:
            if engine is not None and generator is not None:
                self.result.first_frame = generator.first_frame
                self.result.peak_gpu_bytes = engine.peak_memory()
                self.result.peak_in_process = peak_in_process(engine, self._machine)
                self.result.engine_stats, self.result.engine = engine.stats, engine_name(engine)

    def _threaded(self) -> bool:
        """Whether owners have threads; where the model runs on the CPU, they would take its cores."""
        if self._loaders.threaded is not None:
            return self._loaders.threaded
        from maya_batch.engine.device import choose_device

        return choose_device(self._machine.device).type == "cuda"

    def _decoding(self) -> Decoding:
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

    def _requests(self, chunks: Iterable[Chunk]) -> list[TakeRequest]:
        return [TakeRequest(chunk, self.state.key(chunk), self.state.attempts(chunk) + 1) for chunk in chunks]

    def _find_all(self, inspector: TakeInspector) -> None:
        """Raise if anything the run needs is not installed: loading the model would take minutes before that shows."""
        plan = self.state.plan
        self.state.lock.find(plan.sound.model, "model")
        self.state.lock.find(plan.sound.codec, "codec")
        ffmpeg_program()
        inspector.find()

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

    def finished(self) -> RunResult:
        """The result, with the problems of all takes in use, also those of earlier runs."""
        if self.result.files:
            fingerprints = self.state.fingerprints()
            self.state.chapter_stats.keep(fingerprints)
            self.state.chapter_sounds.keep(fingerprints)
        self.result.problems = list(self.state.problems())
        written = [chapter for chapter in self.state.plan.chapters if self._scope.writes(chapter)]
        others = [chapter for chapter in self.state.plan.chapters if not self._scope.writes(chapter)]
        self.result.incomplete = [chapter for chapter in written if not self.state.complete(chapter)]
        self.result.left_out = [chapter for chapter in others if not self.state.current(chapter)]
        return self.result

    def _chunks(self) -> Iterator[Chunk]:
        """The chunks that this run may render, in reading order."""
        return filter(self._scope.renders, self.state.plan.chunks())

    def _waiting(self, redone: Container[str]) -> list[Chunk]:
        state, seeds = self.state, self._redo_seeds
        if seeds is not None:
            return [c for c in state.plan.chunks() if state.key(c) in seeds and state.key(c) not in redone]
        return [chunk for chunk in self._chunks() if state.needs_take(chunk)]

    def _to_examine(self, inspector: TakeInspector, redone: Container[str]) -> list[tuple[Chunk, Take]]:
        return list(self._unexamined(inspector) if self._redo_seeds is None else self._made(redone))

    def _unexamined(self, inspector: TakeInspector) -> Iterator[tuple[Chunk, Take]]:
        """Stored takes that were not inspected, and those in use that were not transcribed."""
        for chunk in self._chunks():
            if self.state.lacks_take(chunk):
                continue
            used = self.state.take(chunk)
            for take in self.state.takes(chunk):
                if not take.examined or (take is used and inspector.needs_work(take)):
                    yield chunk, take

    def _made(self, keys: Container[str]) -> Iterator[tuple[Chunk, Take]]:
        """The last takes of these keys, which the first start of this run stored."""
        for chunk in self.state.plan.chunks():
            if (key := self.state.key(chunk)) in keys:
                yield chunk, self.state.store.all(key)[-1]


def _merged(requests: Iterable[TakeRequest], retries: Iterable[TakeRequest]) -> list[TakeRequest]:
    """One request for each key, a retry rather than what was planned before it, in reading order."""
    latest = {request.key: request for request in (*requests, *retries)}
    return sorted(latest.values(), key=lambda request: (request.chunk.chapter, request.chunk.index))
