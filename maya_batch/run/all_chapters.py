"""Writes the files of many chapters, one on each core."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chunk import Chapter
from maya_batch.book.state import BookState
from maya_batch.interrupt import Stop
from maya_batch.quality.transcriber import cores
from maya_batch.run.chapters import ChapterWork, Finished, Written, outdated_files, retag_files, written_files
from maya_batch.run.parallel import in_parallel
from maya_batch.run.progress import ProgressListener
from maya_batch.run.result import RunResult


def write_chapters(
    state: BookState,
    chapters: Sequence[Chapter],
    waveforms: WaveformCache,
    result: RunResult,
    progress: ProgressListener,
    stop: Stop,
) -> None:
    """Write those files of these complete chapters that are not current; they are the same as one by one.

    Only this thread touches the state, the result and the listener. The threads of the jobs join, master, measure and
    record; clips are decoded one at a time, by as many threads as PyTorch has.

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

    def jobs() -> Iterator[ChapterWork]:
        for chapter in chapters:
            work = outdated_files(state, chapter, waveforms)
            if work is not None:
                order.append(chapter.number)
                yield work

    def write(work: ChapterWork, end: Callable[[], None]) -> Finished:
        return work.write(waveforms, end, lambda: counted.append(None))

    def done(work: ChapterWork, finished: Finished) -> None:
        ready[work.chapter.number] = written_files(state, work, finished)
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
