"""Writes a chapter's files: its takes are decoded one by one, stitched, and written in every format."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, stitch
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.audio.writers import Target
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.state import BookState, is_chapter
from maya_batch.book.track_tags import track_tags
from maya_batch.interrupt import Stop
from maya_batch.run.result import RunResult

log = logging.getLogger(__name__)


def write_chapter_files(
    state: BookState, chapter: Chapter, waveforms: WaveformCache, result: RunResult, stop: Stop | None = None
) -> float | None:
    """Write a chapter's files if it is complete and they are not current. Returns its seconds of audio, or None.

    A `stop` ends this between two clips.
    """
    if not state.complete(chapter) or state.current(chapter):
        return None
    waveforms.load()
    for target in state.targets(chapter):
        _set_aside(target.path)
    began = time.monotonic()
    stop = stop or Stop()
    with stop.deferred():
        seconds = assemble_chapter(state, chapter, waveforms, stop.check)
    result.stages.spent("codec and audio", began)
    result.files += [target.path for target in state.targets(chapter)]
    return seconds


def _set_aside(path: Path) -> None:
    """Rename a chapter file that differs from what was written: a person may have edited it."""
    if path.is_file() and not is_chapter(path):
        aside = path.with_name(f"{path.name}.aside-{time.time_ns()}")
        path.rename(aside)
        log.warning("%s was changed since it was written; the changed file is kept as %s", path, aside.name)


def assemble_chapter(
    state: BookState, chapter: Chapter, waveforms: WaveformCache, check: Callable[[], None] = lambda: None
) -> float:
    """Write a complete chapter's files, and return its seconds of audio. `check` is called before each clip.

    Silent clips stay in the chapter. Chunks that failed are left out if the book sets `failed: omit`.
    """
    tags = track_tags(state.plan.manuscript, chapter, state.fingerprint(chapter))
    return write_chunks(state, chapter.chunks, waveforms, state.targets(chapter), tags, check)


def write_chunks(
    state: BookState,
    chunks: Sequence[Chunk],
    waveforms: WaveformCache,
    targets: Sequence[Target],
    tags: TrackTags,
    check: Callable[[], None] = lambda: None,
) -> float:
    """Write the takes in use of some chunks as a chapter, and return its seconds; as `assemble_chapter`."""
    pauses, rate = state.plan.book.pauses, state.plan.layout.sampling_rate

    def clips() -> Iterator[Clip]:
        for chunk in chunks:
            check()
            take = state.take(chunk)
            if take is None:
                raise ValueError(f"chunk {chunk.ref} has no take")
            if not state.omitted(chunk):
                yield Clip(waveforms.pop(take), chunk.pause)

    start = pauses.chapter_start + chunks[0].pause_before
    pcm = stitch(clips(), start=start, end=pauses.chapter_end, sampling_rate=rate)
    return write_chapter(pcm, targets, tags, rate)
