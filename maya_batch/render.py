"""The run: chunks without a take are spoken and stored, and each chapter is published when its last one is in."""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from maya_batch.assemble import assemble_chapter
from maya_batch.book_lock import hold_book
from maya_batch.engines import Decoding, Engine, Generation, Request
from maya_batch.errors import UsageError
from maya_batch.manifest import output_folder
from maya_batch.plan import Chapter, Chunk, Plan
from maya_batch.quality import Problem, check
from maya_batch.settings import Machine
from maya_batch.start import start_engine
from maya_batch.state import BookState, book_state, hidden_folder
from maya_batch.store import Take

if TYPE_CHECKING:
    from maya_batch.codec import Codec

log = logging.getLogger(__name__)

#: Batches that are sorted by length together. More would pad less, and let chapters wait longer for their last chunk.
_WINDOW_BATCHES = 8


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
    """What a run did. Times in seconds, by stage."""

    chunks: int = 0
    speech: float = 0.0
    files: list[Path] = field(default_factory=list)
    problems: list[tuple[Chunk, Problem]] = field(default_factory=list)
    incomplete: list[Chapter] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    peak_gpu_bytes: int = 0

    def spent(self, stage: str, since: float) -> None:
        """Add the time since `since` (of the monotonic clock) to a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + time.monotonic() - since


def render_book(
    plan: Plan, machine: Machine, watcher: Watcher, output: Path | None = None, check_tags: bool = True
) -> Outcome:
    """Render what of the book is not rendered yet, and put its chapters together.

    Raises:
        BusyError: another run holds the book.
        MachineError: a model, the GPU, the disk or ffmpeg is not as it must be; what is stored stays.
    """
    with hold_book(hidden_folder(output_folder(plan.manuscript, output))):
        run = _Run(book_state(plan, machine, output), machine, watcher, check_tags)
        run.speak()
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
        self._codec: Codec | None = None
        self._outcome = Outcome()

    def speak(self) -> None:
        """Give every chunk of the book a take."""
        state, plan = self._state, self._state.plan
        waiting = [chunk for chunk in plan.chunks() if state.needs_take(chunk)]
        self._watcher.begun(sum(1 for _ in plan.chunks()), len(waiting))
        if not waiting:
            return
        began = time.monotonic()
        engine = start_engine(state, self._machine, waiting, self._check_tags)
        self._load_codec()  # before the first step: what is wrong with it must not be found out in the morning
        self._outcome.spent("loading", began)
        try:
            self._speak_all(engine)
        finally:
            self._outcome.peak_gpu_bytes = engine.peak_memory()

    def _speak_all(self, engine: Engine) -> None:
        state, plan = self._state, self._state.plan
        for window in _windows(plan, engine.batch_size):
            # The recipe, and with it the keys, may have been settled by the loading.
            rows = [chunk for chunk in window if state.needs_take(chunk)]
            rows.sort(key=lambda chunk: (-chunk.expected_frames, chunk.chapter, chunk.index))
            if rows:
                self._speak_window(engine, rows)
            touched = {chunk.chapter for chunk in window}
            self.publish([chapter for chapter in plan.chapters if chapter.number in touched])

    def _speak_window(self, engine: Engine, chunks: Sequence[Chunk]) -> None:
        state, plan = self._state, self._state.plan
        by_key = {state.key(chunk): chunk for chunk in chunks}
        attempts = {key: max((take.attempt for take in state.store.all(key)), default=0) + 1 for key in by_key}
        requests = [
            Request(key, chunk.description, chunk.text, row_seed(key, attempts[key]), chunk.max_frames)
            for key, chunk in by_key.items()
        ]
        decoding: Decoding = "free" if state.recipe is not None and state.recipe.decoding == "free" else "framed"
        began = time.monotonic()
        for generations in engine.generate(requests, plan.sound.sampling, decoding, self._watcher.tick):
            self._outcome.spent("model", began)
            share = (time.monotonic() - began) / len(generations)
            began = time.monotonic()
            takes = [
                _take(generation, attempts[generation.key], engine, share, check(generation, plan.layout))
                for generation in generations
            ]
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
            began = time.monotonic()
            self.publish(
                [chapter for chapter in plan.chapters if chapter.number in {by_key[t.key].chapter for t in takes}]
            )
            began = time.monotonic()

    def publish(self, chapters: Sequence[Chapter]) -> None:
        """Put together those of the chapters that are complete and not current."""
        for chapter in chapters:
            if not self._state.complete(chapter) or self._state.current(chapter):
                continue
            codec = self._load_codec()
            began = time.monotonic()
            seconds = assemble_chapter(self._state, chapter, codec)
            self._outcome.spent("codec and audio", began)
            for target in self._state.targets(chapter):
                self._outcome.files.append(target.path)
                self._watcher.published(target.path, seconds)

    def finished(self) -> Outcome:
        """The outcome, with all that is on record against the takes in use, from this run or an earlier one."""
        self._outcome.problems = list(self._state.problems())
        self._outcome.incomplete = [c for c in self._state.plan.chapters if not self._state.complete(c)]
        return self._outcome

    def _load_codec(self) -> "Codec":
        """The codec on the engine's device, pinned."""
        if self._codec is None:
            from maya_batch.codec import load_codec
            from maya_batch.engines.device import choose_device

            state, name = self._state, self._state.plan.sound.codec
            checkpoint = state.lock.locate(name, "codec")
            self._codec = load_codec(checkpoint.folder, state.plan.layout, choose_device(self._machine.device))
            state.codec = state.lock.identity(name, "codec")
            state.lock.save()
        return self._codec


def row_seed(key: str, attempt: int) -> int:
    """What settles a row's draws: its chunk and which attempt this is, nothing else."""
    return int.from_bytes(hashlib.sha256(f"row {key} {attempt}".encode()).digest()[:7])


def _windows(plan: Plan, batch_size: int) -> Iterator[list[Chunk]]:
    """The chunks in spans of whole chapters that are sorted by length together.

    By the plan alone, not by what is missing: a run that was killed meets the same batches again.
    """
    window: list[Chunk] = []
    for chapter in plan.chapters:
        window += chapter.chunks
        if len(window) >= _WINDOW_BATCHES * batch_size:
            yield window
            window = []
    if window:
        yield window


def _take(generation: Generation, attempt: int, engine: Engine, seconds: float, problems: tuple[Problem, ...]) -> Take:
    return Take(
        key=generation.key,
        attempt=attempt,
        codes=generation.codes,
        seed=row_seed(generation.key, attempt),
        finish=generation.finish,
        problems=problems,
        engine=f"hf {engine.dtype} {engine.quantization}",
        seconds=seconds,
    )
