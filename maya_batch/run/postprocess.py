"""The postprocess thread: takes are stored, decoded and inspected; when all of a chapter are settled, it is written.

A take is settled when it has been inspected and its chunk needs no retry. It may be flagged later, when the limits of
its voice are known: then its chunk is open again, and its chapter is written again.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from threading import Event

from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.errors import MachineError
from maya_batch.quality import Problem
from maya_batch.run.chapter_queue import ChapterQueue
from maya_batch.run.pace_check import VoiceCheck, give_up_choice
from maya_batch.run.pipeline import Inbox
from maya_batch.run.pipeline_messages import (
    ChapterEnded,
    Decoded,
    Encoded,
    Ended,
    EngineMessage,
    Examined,
    ExaminedAll,
    FfmpegMessage,
    Generated,
    Inspected,
    PostprocessMessage,
    Rendered,
    Retry,
    TakeRequest,
    ToCompare,
    Unexamined,
)
from maya_batch.run.result import RunResult
from maya_batch.run.scope import Scope
from maya_batch.run.take_inspector import TakeInspector
from maya_batch.text.lexicon import respellings
from maya_batch.wording import cannot_read_back

log = logging.getLogger(__name__)


class TakeProcessor:
    """Owns the state, the store, the codec and the result of a run while its pipeline is open."""

    def __init__(
        self,
        state: BookState,
        voice_check: VoiceCheck,
        waveforms: WaveformCache,
        result: RunResult,
        inspector: TakeInspector,
        chunks: Sequence[Chunk],
        *,
        once: bool,
        scope: Scope,
        stopping: Event,
        inspect: Inbox[Decoded],
        ffmpeg: Inbox[FfmpegMessage],
        engine: Callable[[EngineMessage], None],
    ) -> None:
        """`chunks` are those to be settled; with `once`, by their next take, which is chosen if it has no problems.

        Chapters and chunks that are not in the `scope` are left as they are.
        `inspector` is only asked which takes need a transcript. `inspect`, `ffmpeg` and `engine` get messages.
        """
        self._state, self._voice_check, self._waveforms, self._result = state, voice_check, waveforms, result
        self._inspector, self._once, self._stopping = inspector, once, stopping
        self._inspect, self._ffmpeg, self._engine = inspect, ffmpeg, engine
        self._scope = scope
        self._queue = ChapterQueue(state, waveforms, result, self._is_settled, ffmpeg.send, engine)
        self._chapters = {chapter.number: chapter for chapter in state.plan.chapters if scope.writes(chapter)}
        self._chunks = {state.key(chunk): chunk for chunk in chunks}
        self._open: dict[int, set[str]] = defaultdict(set)
        """Keys of the chunks that are not settled, by chapter."""
        for key, chunk in self._chunks.items():
            self._open[chunk.chapter].add(key)
        self._inspecting: Counter[str] = Counter()
        """How many takes of a key are being inspected."""
        self._generated: set[str] = set()
        """Keys of which this run has stored a take."""
        self._counted: set[tuple[str, bool]] = set()

    def handle(self, message: PostprocessMessage) -> None:
        """Do what a message asks for."""
        match message:
            case Generated(takes):
                self._store(takes)  # before anything else can go wrong
                self._generated.update(take.key for take in takes)
                self._result.retries += 0 if self._once else sum(take.attempt > 1 for take in takes)
                self._decode(takes)
            case Unexamined(takes):
                self._decode(takes)
            case ExaminedAll():
                for number in self._chapters:
                    self._publish_settled(number)
            case Inspected(take, known, seconds, listening):
                self._result.stages.add("examining", seconds)
                self._result.stages.add("listening", listening)
                self._settle(take, known)
            case ChapterEnded():
                self._queue.ended(message)
            case Encoded(take, mp3):
                self._state.store.put_clip(take, mp3)
            case Ended():
                self._flush()

    def _decode(self, takes: Iterable[Take]) -> None:
        """Decode takes and have them inspected; where several are of one chunk, the last of them settles it."""
        takes = list(takes)
        self._inspecting.update(take.key for take in takes)
        for take in takes:
            if self._stopping.is_set():
                return  # the next run does it
            began = time.monotonic()
            waveform = partial(self._waveforms.samples, take, self._waveforms.start(take))
            self._result.stages.spent("codec and audio", began)
            chunk = self._chunks[take.key]
            self._inspect.send(Decoded(take, chunk.text, waveform, respellings(chunk.changes)))
            self._inspect.wait_for_room()

    def _settle(self, take: Take, known: tuple[Problem, ...]) -> None:
        """Keep all evidence of a take, which is stored with that of others; its chunk is done, or is generated again.

        A person's choice that was made when only the `known` problems were there may be given up.
        """
        state, chunk = self._state, self._chunks[take.key]
        self._inspecting[take.key] -= 1
        take = self._voice_check.settle(take, chunk)
        give_up_choice(state, chunk, known, take)
        began = time.monotonic()
        state.store.keep(take)
        state.stored([take.key])
        self._result.stages.spent("files", began)
        if all(stored.attempt != take.attempt for stored in state.takes(chunk)):  # else it would be retried for ever
            raise MachineError(cannot_read_back(chunk.ref, state.folder))
        if not self._once and not self._stopping.is_set():
            self._catch_up()
        if self._inspector.needs_transcript(take):  # it was flagged only now
            self._decode([take])
            return
        if state.plan.layout.samples(len(take.codes)) and (self._once or take.problems):
            began = time.monotonic()
            self._ffmpeg.send(ToCompare(take, self._waveforms.prepare(take)))
            self._ffmpeg.wait_for_room()
            self._result.stages.spent("codec and audio", began)
        if self._once and not take.problems:
            self._flush()
            state.store.choose(take.key, take.attempt)
            state.stored([take.key])
        retry = not self._once and state.needs_take(chunk)
        _log_problems(chunk, take.problems, retry)
        if self._inspecting[take.key]:
            return
        if retry:
            self._waveforms.drop(take)
            self._open[chunk.chapter].add(take.key)
            self._retry(chunk)
            return
        self._count(chunk)
        used = state.take(chunk)
        for other in state.takes(chunk):
            if other is not used:
                self._waveforms.drop(other)
        self._open[chunk.chapter].discard(take.key)
        self._publish_settled(chunk.chapter)

    def _catch_up(self) -> None:
        """Check takes that came before the limits of their voice were known; their chunks may be open again."""
        began, state = time.monotonic(), self._state
        judged = self._voice_check.catch_up()
        self._result.stages.spent("files", began)
        flagged: list[Take] = []
        for chunk, group in groupby(judged, itemgetter(0)):
            key, open_chunks = state.key(chunk), self._open[chunk.chapter]
            if key in open_chunks or not self._scope.renders(chunk):
                continue  # its next take is on the way, or it is left to another run
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
        self._decode(flagged)

    def _flush(self) -> None:
        """Write the evidence that is only in memory: what follows from it (a retry, a choice, a chapter's files, the
        end of the run) comes after it.
        """
        began = time.monotonic()
        self._state.store.flush()
        self._result.stages.spent("files", began)

    def _retry(self, chunk: Chunk) -> None:
        self._flush()
        self._engine(Retry(TakeRequest(chunk, self._state.key(chunk), self._state.attempts(chunk) + 1)))

    def _count(self, chunk: Chunk) -> None:
        """Count a settled chunk: once as examined, and once as rendered if this run generated a take of it."""
        key = self._state.key(chunk)
        rendered = key in self._generated
        if (key, rendered) in self._counted:
            return
        self._counted.add((key, rendered))
        if not rendered:
            self._result.examined += 1
            self._engine(Examined())
            return
        best = self._state.take(chunk)
        if best is None:
            raise ValueError(f"chunk {chunk.ref} has no take")
        speech = self._state.plan.layout.seconds(len(best.codes))
        self._result.chunks += 1
        self._result.speech += speech
        self._engine(Rendered(speech))

    def _store(self, takes: list[Take]) -> None:
        began = time.monotonic()
        self._state.store.put(takes)
        self._state.stored([take.key for take in takes])
        self._result.stages.spent("files", began)

    def _publish_settled(self, number: int) -> None:
        """Have a chapter's files written if none of its chunks is open."""
        if number in self._chapters and self._is_settled(self._chapters[number]):
            self._flush()
            self._queue.put(self._chapters[number])

    def _is_settled(self, chapter: Chapter) -> bool:
        """Whether a chapter may be written now."""
        return not self._open[chapter.number] and not self._stopping.is_set()


def _log_problems(chunk: Chunk, problems: Iterable[Problem], retry: bool) -> None:
    """Log the problems of a take: as warnings where it is kept, as information where it is retried."""
    for problem in problems:
        level = logging.INFO if retry else logging.WARNING
        log.log(level, "%s %s: %s%s", chunk.ref, problem.kind, problem.detail, "; retry" if retry else "")
