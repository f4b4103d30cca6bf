"""Writes the files of many chapters, one on each core."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.loudness import file_loudness
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chapter_sound import ChapterSound
from maya_batch.book.chunk import Chapter
from maya_batch.book.state import BookState
from maya_batch.interrupt import Stop
from maya_batch.quality.transcriber import cores
from maya_batch.run.chapter_job import ChapterJob
from maya_batch.run.chapters import Written, outdated_files, retag_files, written_files
from maya_batch.run.parallel import in_parallel
from maya_batch.run.progress import ProgressListener
from maya_batch.run.result import RunResult


@dataclass(frozen=True)
class _Work:
    """A chapter in work."""

    chapter: Chapter
    job: ChapterJob
    measured: Path
    """The file whose loudness counts."""


@dataclass(frozen=True)
class _Finished:
    """What a thread made of a job."""

    seconds: float
    sound: ChapterSound
    lufs: float | None


def write_chapters(
    state: BookState,
    chapters: Sequence[Chapter],
    waveforms: WaveformCache,
    result: RunResult,
    progress: ProgressListener,
    stop: Stop,
) -> None:
    """Write those files of these complete chapters that are not current; they are the same as one by one.

    Only this thread touches the state, the result and the listener. The threads of the jobs join, master and measure;
    clips are decoded one at a time, by as many threads as PyTorch has.

    Raises:
        MachineError: the disk is full, ffmpeg failed, or a file cannot be written.
        Interruption: a signal came. As after an error, chapters that are not whole leave no files.
    """
    began = time.monotonic()
    with stop.deferred():
        for chapter in chapters:
            stop.check()
            retagged = retag_files(state, chapter)
            if retagged is not None:
                _publish(retagged, result, progress)
    chapters = [chapter for chapter in chapters if not state.current(chapter)]
    if not chapters:
        return
    waveforms.load()
    progress.joining(sum(len(chapter.chunks) for chapter in chapters))
    counted = deque[None]()  # all threads append to it, one for each clip
    order, ready = deque[int](), dict[int, Written]()

    def jobs() -> Iterator[_Work]:
        for chapter in chapters:
            job = outdated_files(state, chapter, waveforms)
            if job is not None:
                order.append(chapter.number)
                yield _Work(chapter, job, state.targets(chapter)[0].path)

    def write(work: _Work, end: Callable[[], None]) -> _Finished:
        seconds, sound = work.job.write(waveforms, end, lambda: counted.append(None))
        return _Finished(seconds, sound, file_loudness(work.measured))

    def done(work: _Work, finished: _Finished) -> None:
        written = written_files(state, work.chapter, work.job, finished.seconds, finished.sound)
        state.chapter_stats.put(written.fingerprint, finished.seconds, finished.lufs)
        ready[work.chapter.number] = written
        while order and order[0] in ready:  # told in reading order
            _publish(ready.pop(order.popleft()), result, progress)

    def check() -> None:
        while counted:
            counted.pop()
            progress.joined()
        progress.tick()
        stop.check()

    with stop.deferred():
        try:
            in_parallel(jobs(), write, done, min(cores(), len(chapters)), check)
        finally:
            for number in order:  # an earlier chapter was not finished
                if number in ready:
                    _publish(ready[number], result, progress)
    result.stages.spent("codec and audio", began)


def _publish(written: Written, result: RunResult, progress: ProgressListener) -> None:
    result.files += written.paths
    for path in written.paths:
        progress.published(path, written.seconds)
