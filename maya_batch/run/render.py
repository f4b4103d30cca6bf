"""The run: chunks without a take that stays are spoken, round by round while the model is loaded, and taken in."""

import logging
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

from maya_batch.audio.ffmpeg import ffmpeg_program
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.lock import lock_book
from maya_batch.book.ownership import claim_folder
from maya_batch.book.plan import Chunk, Plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, begun_state, hidden_folder
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Engine
from maya_batch.errors import EXIT_STOPPED, MachineError, exit_code_of
from maya_batch.interrupt import Stop
from maya_batch.messages.logs import log_to_book
from maya_batch.messages.plural import plural
from maya_batch.run.background import BackgroundWorker
from maya_batch.run.chapters import publish
from maya_batch.run.deadline import Deadline
from maya_batch.run.generate import TakeGenerator, engine_name, generation_order
from maya_batch.run.inspect import TakeInspector, make_inspector
from maya_batch.run.loading import EngineLoader, load_book_codec, pin_config, start_engine
from maya_batch.run.postprocess import TakeProcessor
from maya_batch.run.preflight import TakeOver, writable_state
from maya_batch.run.progress import ProgressListener
from maya_batch.run.reporting import write_book_report
from maya_batch.run.result import RunResult
from maya_batch.run.voice_check import VoiceCheck
from maya_batch.torch_errors import translated_torch_errors

log = logging.getLogger(__name__)


def render_book(
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    check_tags: bool = True,
    deadline: Deadline | None = None,
    again: Mapping[str, int | None] | None = None,
    report: bool = True,
    stop: Stop | None = None,
    made: Container[str] = (),
    take_over: TakeOver | None = None,
    keep_log: bool = False,
    load_engine: EngineLoader | None = None,
) -> RunResult:
    """Render what of the book has no take that stays, put its chapters together, and write the report.

    With `again`, a seed or None by key, one more take of each of these chunks and nothing else; one without problems
    is chosen from then on; of the keys in `made` that take is stored already, and is only examined. `stop` is told when
    the run must not be interrupted between two frames. `take_over` is what a person has allowed in so many words. With
    `keep_log` all messages go to the book's render.log, too.
    `load_engine` loads the model in place of `maya_batch.engine.load.load_engine`.

    Raises:
        UsageError: the folder is another book's, a file in the way is not this program's, or the book is rendered with
            another model config than is asked for.
        BusyError: another run holds the book.
        StoppedError: the deadline has passed before all was spoken; what was, is stored.
        Interruption: a signal came, of which the same is true.
        GpuLostError: the GPU failed; what is stored stays.
        MachineError: a model, the GPU, the disk or ffmpeg is not as it must be; what is stored stays.
    """
    allowed = take_over or TakeOver()
    hidden = hidden_folder(writable_state(plan, machine, output, allowed).folder)
    if keep_log:
        log_to_book(hidden)
    with lock_book(hidden):
        state = writable_state(plan, machine, output, allowed)  # another run may have begun it meanwhile
        claim_folder(state, allowed.adopt, allowed.upgrade_text)
        if allowed.upgrade_text:
            _tell_rules(state)
        run = _Run(
            state, machine, progress, check_tags, deadline or Deadline(), stop, allowed.switch_config, load_engine
        )
        with _reported(run) if report else nullcontext(), translated_torch_errors(run.waveforms.forget):
            run.speak(again, made)
            run.publish(again)
            return run.finished()


def assemble_book(
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    choices: Mapping[str, int | None] | None = None,
    stop: Stop | None = None,
    keep_log: bool = False,
) -> RunResult:
    """Put together the chapters whose takes are all there, without a language model.

    With `choices`, an attempt by key, or None for no choice: they are kept, and only chapters they touch put together.

    Raises:
        UsageError: the book was not begun, or there is no such take.
        BusyError: another run holds the book.
        MachineError: the codec, the disk or ffmpeg is not as it must be.
    """
    begun_state(plan, machine, output)
    hidden = hidden_folder(writable_state(plan, machine, output).folder)
    if keep_log:
        log_to_book(hidden)
    with lock_book(hidden):
        state = writable_state(plan, machine, output)
        claim_folder(state)
        run = _Run(state, machine, progress, False, Deadline(), stop)
        for key, attempt in (choices or {}).items():
            if attempt is None:
                run.state.store.unchoose(key)
            else:
                run.state.store.choose(key, attempt)
        with _reported(run), translated_torch_errors(run.waveforms.forget):
            run.publish(choices)
            return run.finished()


class _Run:
    """One run over a book that is held."""

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

    def speak(self, again: Mapping[str, int | None] | None, made: Container[str]) -> None:
        """Give every chunk a take that stays; chapters are put together meanwhile, as they become complete."""
        state, plan = self.state, self.state.plan
        inspector = make_inspector(plan, self._machine)
        if again is None:
            VoiceCheck(state).catch_up()
        waiting = self._waiting(again, made)
        unexamined = list(self._unexamined(inspector) if again is None else self._made(made))
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
        # The workers end inside: what they still have is stored before the signal is raised.
        with self._stop.put_off(), BackgroundWorker(in_background) as worker, BackgroundWorker(in_background) as ear:
            tick = partial(self._tick, (worker, ear))
            processor = TakeProcessor(
                *(
                    state,
                    inspector,
                    VoiceCheck(state),
                    self.waveforms,
                    self.result,
                    self._progress,
                    worker,
                    ear,
                    waiting,
                )
            )
            if unexamined:
                log.info("examining %s of an earlier run", plural(len(unexamined), "take"))
                # A chapter is put together once, when those that are to be spoken are there, too.
                others = [] if again is None else waiting
                processor.expect([*(chunk for chunk, _ in unexamined), *others], once=again is not None)
                processor.examine((take for _, take in unexamined), tick)
                processor.drain(tick)
            # The recipe, and with it the keys, may have been settled by the loading; the examination may add to them.
            waiting = self._waiting(again, made)
            if waiting:
                if engine is None:
                    with self._stop.at_once():
                        engine = self._start_engine(waiting)
                self._rounds(engine, waiting, again, processor, tick)

    def _start_engine(self, waiting: Sequence[Chunk]) -> Engine:
        return start_engine(self.state, self._machine, waiting, self._check_tags, self._switch, self._engine_loader)

    def _find_all(self, inspector: TakeInspector) -> None:
        """Do nothing if all that the run needs is there, before minutes are spent on loading the model."""
        plan = self.state.plan
        self.state.lock.find(plan.sound.model, "model")
        self.state.lock.find(plan.sound.codec, "codec")
        if any(format_.type == "mp3" for format_ in plan.book.output.formats):
            ffmpeg_program()
        inspector.find()

    def publish(self, keys: Container[str] | None) -> None:
        """Put together those chapters that are complete and not current; with `keys`, only those of these chunks."""
        for chapter in self.state.plan.chapters:
            if keys is None or any(self.state.key(chunk) in keys for chunk in chapter.chunks):
                publish(
                    *(self.state, chapter, self.waveforms, self.result, self._progress),
                    aside=lambda job: job(),
                    stop=self._stop,
                )

    def finished(self) -> RunResult:
        """The outcome, with all that is on record against the takes in use, from this run or an earlier one."""
        if self.result.files:
            self.state.figures.keep(self.state.marks())
        self.result.problems = list(self.state.problems())
        self.result.incomplete = [c for c in self.state.plan.chapters if not self.state.complete(c)]
        return self.result

    def _waiting(self, again: Mapping[str, int | None] | None, made: Container[str]) -> list[Chunk]:
        state = self.state
        if again is not None:
            return [c for c in state.plan.chunks() if state.key(c) in again and state.key(c) not in made]
        return [chunk for chunk in state.plan.chunks() if state.needs_take(chunk)]

    def _unexamined(self, inspector: TakeInspector) -> Iterator[tuple[Chunk, Take]]:
        """Takes that an earlier run stored and could not examine, and those in use that it could not listen to."""
        for chunk in self.state.plan.chunks():
            if self.state.lacks_take(chunk):
                continue
            used = self.state.take(chunk)
            for take in self.state.takes(chunk):
                if not take.examined or (take is used and inspector.has_work(take)):
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
        again: Mapping[str, int | None] | None,
        processor: TakeProcessor,
        tick: Callable[[], None],
    ) -> None:
        """Speak the chunks; those whose takes have problems once more, as long as attempts are left: beside the others,
        and in a round of their own when nothing was left that they could join.
        """
        generator = TakeGenerator(engine, self.state, self.result)
        processor.expect(waiting, once=again is not None)
        if again is None:
            processor.publish_settled()
        try:
            while waiting:
                generator.generate(
                    generation_order(waiting, engine.batch_size), again or {}, processor.receive, tick, processor.again
                )
                processor.drain(tick)
                waiting = sorted(processor.again(), key=lambda chunk: (chunk.chapter, chunk.index))
                if waiting:
                    log.info("speaking %s once more", plural(len(waiting), "chunk"))
        finally:
            self.result.peak_gpu_bytes = engine.peak_memory()
            self.result.engine_stats, self.result.engine = engine.stats, engine_name(engine)

    def _tick(self, workers: Sequence[BackgroundWorker]) -> None:
        """Time has passed: what went wrong beside is raised here, and so is the end of the time there is."""
        self._progress.tick()
        for worker in workers:
            worker.check()
        self._stop.check()
        self._deadline.check()


def _tell_rules(state: BookState) -> None:
    """Say what the newest rules for texts and audio cost a book that was begun with older ones."""
    chunks = list(state.plan.chunks())
    waiting = sum(state.needs_take(chunk) for chunk in chunks)
    log.info("text rules %d, audio rules %d: %d of %s to render", *state.rules, waiting, plural(len(chunks), "chunk"))


@contextmanager
def _reported(run: _Run) -> Iterator[None]:
    """The report is written when the run has ended, however it did. That the disk does not take it is an error of its
    own, which weighs more than that the run was told to stop, but not more than what else went wrong.
    """
    try:
        yield
    except BaseException as error:
        exit_code = exit_code_of(error)
        try:
            _report(run, exit_code, str(error) or type(error).__name__)
        except MachineError as second:
            if exit_code == EXIT_STOPPED:
                raise
            if str(second) != str(error):
                log.error("%s", second)
        raise
    _report(run, run.result.exit_code, "")


def _report(run: _Run, exit_code: int, reason: str) -> None:
    run.result.report = write_book_report(run.state, run.result, run.waveforms, run.began, exit_code, reason)
