"""Chapters whose takes are settled: several are written at a time, and reported in the order of their beginning."""

from collections.abc import Callable

from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chunk import Chapter
from maya_batch.book.state import BookState
from maya_batch.run.chapters import ChapterWork, Written, outdated_files, retag_files, written_files
from maya_batch.run.pipeline_messages import ChapterEnded, EngineMessage, Published
from maya_batch.run.result import RunResult

#: Chapters that are written at a time, each by a thread; most of the work is done by its ffmpeg processes.
WRITERS = 4


class ChapterQueue:
    """Owned by postprocess, which alone touches state and result. What it sends is written by other threads, which
    also record what they measured.

    A chapter's work is gathered when a thread is free: only then a file in its way is set aside and its jingle is held.
    """

    def __init__(
        self,
        state: BookState,
        waveforms: WaveformCache,
        result: RunResult,
        settled: Callable[[Chapter], bool],
        write: Callable[[ChapterWork], None],
        engine: Callable[[EngineMessage], None],
    ) -> None:
        """`settled` is asked before a chapter is begun; `write` sends work, which comes back to `ended`."""
        self._state, self._waveforms, self._result = state, waveforms, result
        self._settled, self._write, self._engine = settled, write, engine
        self._waiting: dict[int, Chapter] = {}
        self._begun: dict[int, ChapterEnded | None] = {}
        """What became of the chapters that are begun and not told, in order; None: they are being written."""
        self._error: BaseException | None = None
        """The first one, which ends the run; those of other chapters have the same cause as a rule."""

    def put(self, chapter: Chapter) -> None:
        """Have those of a settled chapter's files written that are not current."""
        self._waiting[chapter.number] = chapter
        self._begin()

    def ended(self, message: ChapterEnded) -> None:
        """Tell what became of a chapter, after those that were begun before it.

        Raises:
            The first error of a chapter. Files of others that are whole are told, further errors are dropped.
        """
        self._begun[message.work.chapter.number] = message
        known = self._error
        while self._begun and (first := next(iter(self._begun.values()))) is not None:
            del self._begun[first.work.chapter.number]
            try:
                self._tell(first)
            except BaseException as error:
                self._error = self._error or error
        if self._error is not None and self._error is not known:
            raise self._error
        self._begin()

    def _tell(self, ended: ChapterEnded) -> None:
        self._result.stages.add("codec and audio", ended.spent)
        if isinstance(ended.outcome, BaseException):
            raise ended.outcome
        if ended.outcome is not None:
            self._publish(written_files(self._state, ended.work, ended.outcome))

    def _begin(self) -> None:
        """Begin as many chapters as there are threads; one that changes while it is written waits for its turn."""
        for number in [number for number in self._waiting if number not in self._begun]:
            if sum(ended is None for ended in self._begun.values()) >= WRITERS:
                return
            chapter = self._waiting.pop(number)
            if self._settled(chapter):
                self._begin_one(chapter)

    def _begin_one(self, chapter: Chapter) -> None:
        retagged = retag_files(self._state, chapter)
        if retagged is not None:
            self._publish(retagged)
        work = outdated_files(self._state, chapter, self._waveforms)
        needed = set() if work is None else {take.key for _, take in work.job.clips}
        self._waveforms.drop_keys({self._state.key(chunk) for chunk in chapter.chunks} - needed)
        if work is not None:
            self._begun[chapter.number] = None
            self._write(work)

    def _publish(self, written: Written) -> None:
        self._result.files += written.paths
        for path in written.paths:
            self._engine(Published(path, written.seconds))
