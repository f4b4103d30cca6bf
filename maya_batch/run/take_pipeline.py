"""The three owners of a run, connected: engine (the main thread), postprocess and inspect, and threads for ffmpeg."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from maya_batch.audio.waveform_cache import WaveformCache, audible
from maya_batch.book.chunk import Chunk
from maya_batch.book.state import BookState
from maya_batch.report.audio_clip import make_clip
from maya_batch.run.chapter_queue import WRITERS
from maya_batch.run.chapters import ChapterWork, Finished
from maya_batch.run.engine_inbox import EngineInbox
from maya_batch.run.pace_check import VoiceCheck
from maya_batch.run.pipeline import Inbox, Pipeline
from maya_batch.run.pipeline_messages import (
    ChapterEnded,
    Decoded,
    Encoded,
    Ended,
    FfmpegMessage,
    PostprocessMessage,
    ToCompare,
)
from maya_batch.run.postprocess import TakeProcessor
from maya_batch.run.result import RunResult, StageTimes
from maya_batch.run.scope import Scope
from maya_batch.run.take_inspector import InspectStage, TakeInspector


class _EndedError(Exception):
    """The run ends while a chapter is written."""


class TakePipeline:
    """What the engine's thread uses of the other owners. While it is open, state and result belong to postprocess."""

    def __init__(
        self,
        state: BookState,
        voice_check: VoiceCheck,
        waveforms: WaveformCache,
        result: RunResult,
        inspector: TakeInspector,
        chunks: Sequence[Chunk],
        inbox: EngineInbox,
        *,
        once: bool,
        scope: Scope,
        pipeline: Pipeline,
        tick: Callable[[], None],
    ) -> None:
        """`chunks` are to be settled; with `once`, by their next take. `inbox` gets what the engine's thread reads.

        `tick` shows the time, and raises what ends the run.
        """
        self._pipeline, self._result, self._inbox, self._tick = pipeline, result, inbox, tick
        self._waveforms, self._rate = waveforms, state.plan.layout.sampling_rate
        self.times = StageTimes()
        """Of the engine's thread; added to the result's when the pipeline is closed."""
        # Two owners are named before they exist: each sends to the next, and the last one back.
        ffmpeg: Inbox[FfmpegMessage] = self._pipeline.inbox("ffmpeg", self._run_ffmpeg, threads=WRITERS)
        inspect: Inbox[Decoded] = self._pipeline.inbox_in_batches(
            "inspect", lambda messages: inspection.handle(messages), lambda: inspector.batch, inspector.workers
        )
        processor = TakeProcessor(
            *(state, voice_check, waveforms, result, inspector, chunks),
            once=once,
            scope=scope,
            stopping=self._pipeline.stopping,
            inspect=inspect,
            ffmpeg=ffmpeg,
            engine=inbox.send,
        )
        self._postprocess: Inbox[PostprocessMessage] = self._pipeline.inbox("postprocess", processor.handle)
        inspection = InspectStage(inspector, self._pipeline.stopping, self._postprocess.send)

    def __enter__(self) -> "TakePipeline":
        self._pipeline.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.end_early()
        self._pipeline.wait(lambda: not self._pipeline.in_flight, lambda: None)
        try:
            self._postprocess.send(Ended())
        except BaseException as failed:  # where owners have no threads
            self._pipeline.fail(failed)
        try:
            self._pipeline.__exit__(kind, error, trace)
        finally:
            for stage, seconds in self.times.items():
                self._result.stages.add(stage, seconds)
            self._inbox.read()

    def send(self, message: PostprocessMessage) -> None:
        """Send postprocess a message; wait while too many takes are waiting there."""
        began = time.monotonic()
        self.send_at_once(message)
        self._postprocess.wait_for_room(self.tick)
        self.times.spent("finishing", began)

    def send_at_once(self, message: PostprocessMessage) -> None:
        """Send postprocess a message, without waiting."""
        self._postprocess.send(message)

    def drain(self) -> None:
        """Wait until all takes are processed."""
        began = time.monotonic()
        self._pipeline.drain(self.tick)
        self.times.spent("finishing", began)

    def tick(self) -> None:
        """Called between frames: raises an error of another thread, a signal, and the deadline."""
        self.read()
        self._tick()

    def read(self) -> None:
        """Read the news of the other owners; raises an error of one of them."""
        self._inbox.read()
        self._pipeline.check()

    @property
    def idle(self) -> bool:
        """Whether all that was sent is processed; what it brought is in the engine's inbox."""
        return not self._pipeline.in_flight

    def end_early(self) -> None:
        """From now on the other owners store what they have, and leave all else to the next run."""
        self._pipeline.stopping.set()

    def _run_ffmpeg(self, message: FfmpegMessage) -> None:
        match message:
            case ChapterWork():
                began = time.monotonic()
                outcome = self._outcome(message)
                self._postprocess.send(ChapterEnded(message, outcome, time.monotonic() - began))
            case ToCompare(take, waveform) if not self._pipeline.stopping.is_set():  # else the next report does it
                self._postprocess.send(Encoded(take, make_clip(audible(waveform), self._rate)))

    def _outcome(self, work: ChapterWork) -> Finished | BaseException | None:
        """Write a chapter. Its error is a result, which postprocess raises in the order of the chapters."""
        try:
            return work.write(self._waveforms, self._check_running)
        except _EndedError:
            return None
        except BaseException as error:
            return error

    def _check_running(self) -> None:
        if self._pipeline.stopping.is_set():
            raise _EndedError
