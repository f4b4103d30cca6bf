"""The run: chunks without a take are spoken and stored, and each chapter is published when its last one is in."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from maya_batch.assemble import assemble_chapter
from maya_batch.book_lock import hold_book
from maya_batch.deadline import Deadline
from maya_batch.engines import Decoding, Engine, Generation, Request, Work
from maya_batch.errors import UsageError
from maya_batch.manifest import output_folder
from maya_batch.plan import Chapter, Chunk, Plan
from maya_batch.quality import Problem
from maya_batch.quality.codes import check_codes
from maya_batch.quality.pace import Pace
from maya_batch.settings import Machine
from maya_batch.start import start_engine
from maya_batch.state import BookState, book_state, hidden_folder
from maya_batch.store import Take
from maya_batch.waves import Waves
from maya_batch.worker import Worker

log = logging.getLogger(__name__)


#: Stages of a run that follow each other, and what is done in the last of them or, on a GPU, beside the model.
IN_TURN, BESIDE = ("loading", "model", "finishing"), ("files", "codec and audio")


class Watcher(Protocol):
    """Who wants to know how a run goes on."""

    def begun(self, chunks: int, waiting: int) -> None:
        """The book has so many chunks, so many of them are to be rendered."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...

    def rendered(self, chunks: int, seconds: float) -> None:
        """So many chunks more were stored, of so many seconds of speech."""
        ...

    def published(self, path: Path, seconds: float) -> None:
        """A chapter's file is in its place."""
        ...


@dataclass
class Outcome:
    """What a run did. Times in seconds, by stage: loading, model and finishing follow each other, and while the model
    speaks on a GPU, a thread beside it spends some on files, and on codec and audio; on a CPU these are in finishing.
    """

    chunks: int = 0
    speech: float = 0.0
    files: list[Path] = field(default_factory=list)
    problems: list[tuple[Chunk, Problem]] = field(default_factory=list)
    incomplete: list[Chapter] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    peak_gpu_bytes: int = 0
    first_frame: float = 0.0
    """Seconds from the start of the process to the first frame spoken; 0 where none was."""
    work: Work = field(default_factory=Work)
    engine: str = ""
    """Engine, number format and quantization."""

    def spent(self, stage: str, since: float) -> None:
        """Add the time since `since` (of the monotonic clock) to a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + time.monotonic() - since


def render_book(
    plan: Plan,
    machine: Machine,
    watcher: Watcher,
    output: Path | None = None,
    check_tags: bool = True,
    deadline: Deadline | None = None,
) -> Outcome:
    """Render what of the book is not rendered yet, and put its chapters together.

    Raises:
        BusyError: another run holds the book.
        StoppedError: the deadline has passed before all was spoken; what was, is stored.
        MachineError: a model, the GPU, the disk or ffmpeg is not as it must be; what is stored stays.
    """
    with hold_book(hidden_folder(output_folder(plan.manuscript, output))):
        run = _Run(book_state(plan, machine, output), machine, watcher, check_tags)
        run.speak(deadline or Deadline())
        run.publish(plan.chapters)
        return run.finished()


def assemble_book(plan: Plan, machine: Machine, watcher: Watcher, output: Path | None = None) -> Outcome:
    """Put together the chapters whose takes are all there, without a language model."""
    state = book_state(plan, machine, output)
    if state.recipe is None:
        raise UsageError(f"{state.folder}: nothing of this book was rendered yet with {plan.sound.model}; render it")
    with hold_book(hidden_folder(state.folder)):
        run = _Run(book_state(plan, machine, output), machine, watcher, False)
        run.publish(plan.chapters)
        return run.finished()


class _Run:
    """One run over a book that is held."""

    def __init__(self, state: BookState, machine: Machine, watcher: Watcher, check_tags: bool) -> None:
        self._state, self._machine, self._watcher, self._check_tags = state, machine, watcher, check_tags
        self._waves: Waves | None = None
        self._outcome = Outcome()
        self._pace = Pace()

    def speak(self, deadline: Deadline) -> None:
        """Give every chunk of the book a take; chapters are put together meanwhile, as they become complete."""
        state, plan = self._state, self._state.plan
        waiting = [chunk for chunk in plan.chunks() if state.needs_take(chunk)]
        self._watcher.begun(sum(1 for _ in plan.chunks()), len(waiting))
        if not waiting:
            return
        deadline.check()
        began = time.monotonic()
        engine = start_engine(state, self._machine, waiting, self._check_tags)
        self._load_codec()  # before the first step: what is wrong with it must not be found out in the morning
        self._outcome.spent("loading", began)
        from maya_batch.engines.device import choose_device

        # The recipe, and with it the keys, may have been settled by the loading.
        chunks = _in_order([chunk for chunk in plan.chunks() if state.needs_take(chunk)], engine.batch_size)
        complete = [chapter for chapter in plan.chapters if state.complete(chapter)]
        self._learn_pace()
        try:
            with Worker(beside=choose_device(self._machine.device).type == "cuda") as worker:
                self._hand_over(worker, partial(self._publish_meanwhile, complete, worker))
                self._speak_all(engine, chunks, worker, deadline)
                began = time.monotonic()
            self._outcome.spent("finishing", began)
        finally:
            self._outcome.peak_gpu_bytes = engine.peak_memory()
            self._outcome.work, self._outcome.engine = engine.work, _name(engine)

    def _learn_pace(self) -> None:
        """Know the voices from the takes that an earlier run has stored."""
        for chunk in self._state.plan.chunks():
            take = self._state.take(chunk)
            if take is not None and take.finish == "eos":
                self._pace.add(chunk.description, len(take.codes) / chunk.expected_frames)

    def _speak_all(self, engine: Engine, chunks: Sequence[Chunk], worker: Worker, deadline: Deadline) -> None:
        state, plan = self._state, self._state.plan
        by_key = {state.key(chunk): chunk for chunk in chunks}
        attempts = {key: max((take.attempt for take in state.store.all(key)), default=0) + 1 for key in by_key}
        requests = [
            Request(
                key,
                chunk.description,
                chunk.text,
                row_seed(key, attempts[key]),
                chunk.max_frames,
                chunk.expected_frames,
            )
            for key, chunk in by_key.items()
        ]
        missing = {chunk.chapter: set[str]() for chunk in chunks}
        for key, chunk in by_key.items():
            missing[chunk.chapter].add(key)
        decoding: Decoding = "free" if state.recipe is not None and state.recipe.decoding == "free" else "framed"

        def tick() -> None:
            self._outcome.first_frame = self._outcome.first_frame or process_age()
            self._watcher.tick()
            worker.check()
            deadline.check()

        began = time.monotonic()
        for generations in engine.generate(requests, plan.sound.sampling, decoding, tick):
            share = (time.monotonic() - began) / len(generations)
            self._outcome.spent("model", began)
            takes = [
                _take(generation, attempts[generation.key], engine, share, self._check(generation, chunk))
                for generation in generations
                for chunk in [by_key[generation.key]]
            ]
            self._hand_over(worker, partial(self._keep, takes, by_key, missing, worker))
            began = time.monotonic()
        self._outcome.spent("model", began)

    def _check(self, generation: Generation, chunk: Chunk) -> tuple[Problem, ...]:
        """The problems of a chunk's codes; the voice's pace is learned from them."""
        plan, ratio = self._state.plan, self._pace.ratio(chunk.description)
        problems = check_codes(generation, chunk.text, chunk.expected_frames, plan.layout, ratio, plan.sound.quality)
        if generation.finish == "eos":
            self._pace.add(chunk.description, len(generation.codes) / chunk.expected_frames)
        return problems

    def _hand_over(self, worker: Worker, job: Callable[[], None]) -> None:
        """Have a job done beside; where it is done here and now, it counts as finishing."""
        began = time.monotonic()
        worker.do(job)
        self._outcome.spent("finishing", began)

    def _keep(
        self, takes: list[Take], by_key: Mapping[str, Chunk], missing: Mapping[int, set[str]], worker: Worker
    ) -> None:
        """Store takes that ended together, and put together the chapters that miss no take any more."""
        state, plan = self._state, self._state.plan
        began = time.monotonic()
        state.store.put(takes)
        state.stored([take.key for take in takes])
        for take in takes:
            for problem in take.problems:
                log.warning("%s %s: %s", by_key[take.key].ref, problem.kind, problem.detail)
        speech = sum(plan.layout.seconds(len(take.codes)) for take in takes)
        self._outcome.chunks += len(takes)
        self._outcome.speech += speech
        self._watcher.rendered(len(takes), speech)
        self._outcome.spent("files", began)
        if worker.stopping.is_set():
            return
        began = time.monotonic()
        for take in takes:
            self._load_codec().prepare(take)
        self._outcome.spent("codec and audio", began)
        touched = {by_key[take.key].chapter for take in takes}
        for number in touched:
            missing[number].difference_update(take.key for take in takes)
        complete = {number for number in touched if not missing[number]}
        if complete:
            self._publish_meanwhile([chapter for chapter in plan.chapters if chapter.number in complete], worker)

    def _publish_meanwhile(self, chapters: Sequence[Chapter], worker: Worker) -> None:
        for chapter in chapters:
            if not worker.stopping.is_set():
                self.publish([chapter])

    def publish(self, chapters: Sequence[Chapter]) -> None:
        """Put together those of the chapters that are complete and not current."""
        for chapter in chapters:
            if not self._state.complete(chapter) or self._state.current(chapter):
                continue
            waves = self._load_codec()
            began = time.monotonic()
            seconds = assemble_chapter(self._state, chapter, waves)
            self._outcome.spent("codec and audio", began)
            for target in self._state.targets(chapter):
                self._outcome.files.append(target.path)
                self._watcher.published(target.path, seconds)

    def finished(self) -> Outcome:
        """The outcome, with all that is on record against the takes in use, from this run or an earlier one."""
        self._outcome.problems = list(self._state.problems())
        self._outcome.incomplete = [c for c in self._state.plan.chapters if not self._state.complete(c)]
        return self._outcome

    def _load_codec(self) -> Waves:
        """The codec on the engine's device, pinned."""
        if self._waves is None:
            from maya_batch.codec import load_codec
            from maya_batch.engines.device import choose_device

            state, name = self._state, self._state.plan.sound.codec
            checkpoint = state.lock.locate(name, "codec")
            codec = load_codec(checkpoint.folder, state.plan.layout, choose_device(self._machine.device))
            self._waves = Waves(codec)
            state.codec = state.lock.identity(name, "codec")
            state.lock.save()
        return self._waves


def _in_order(chunks: Sequence[Chunk], rows: int) -> list[Chunk]:
    """Reading order, so that chapters are whole during the night; but the last rows by length, the longest first, so
    that none is left alone on the GPU at the end. More of them would leave more chapters to be put together then, and
    long rows alone fill a small memory with few of them.
    """
    last = max(min(rows, len(chunks)) // 4, 1)
    head, tail = chunks[:-last], chunks[-last:]
    return [*head, *sorted(tail, key=lambda chunk: -chunk.expected_frames)]


def row_seed(key: str, attempt: int) -> int:
    """What settles a row's draws: its chunk and which attempt this is, nothing else."""
    return int.from_bytes(hashlib.sha256(f"row {key} {attempt}".encode()).digest()[:7])


def _take(generation: Generation, attempt: int, engine: Engine, seconds: float, problems: tuple[Problem, ...]) -> Take:
    return Take(
        key=generation.key,
        attempt=attempt,
        codes=generation.codes,
        seed=row_seed(generation.key, attempt),
        finish=generation.finish,
        problems=problems,
        engine=_name(engine),
        seconds=seconds,
    )


def _name(engine: Engine) -> str:
    return f"hf {engine.dtype} {engine.quantization}"


def process_age() -> float:
    """Seconds since this process was started, the interpreter's own start and all imports counted in (Linux)."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
