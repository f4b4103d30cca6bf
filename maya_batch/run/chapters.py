"""Writes a chapter's files: its takes are decoded one by one, stitched, and written in every format."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.clip_levels import ClipLevel, ClipLevels, steps
from maya_batch.audio.mastering import ChapterMaster, Mastered
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, segments
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.audio.writers import Target
from maya_batch.book.chapter_sound import ChapterSound, ClipSound
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.state import BookState, hidden_folder, is_chapter
from maya_batch.book.track_tags import track_tags
from maya_batch.files.atomic_write import write_errors
from maya_batch.interrupt import Stop
from maya_batch.run.result import RunResult

log = logging.getLogger(__name__)

#: dB by which a chapter may be softer than its target without a warning.
_MOST_MISSED = 0.2


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
    seconds, sound = write_chunks(state, chapter.chunks, waveforms, state.targets(chapter), tags, check)
    state.chapter_sounds.put(tags.comment, sound)
    if sound.missed > _MOST_MISSED:
        log.warning(
            "%s is %.1f dB softer than `master` asks for, because its peaks reach `true_peak`; lower one of them",
            state.targets(chapter)[0].path,
            sound.missed,
        )
    return seconds


def write_chunks(
    state: BookState,
    chunks: Sequence[Chunk],
    waveforms: WaveformCache,
    targets: Sequence[Target],
    tags: TrackTags,
    check: Callable[[], None] = lambda: None,
) -> tuple[float, ChapterSound]:
    """Write the takes in use of some chunks as a chapter, and return its seconds and its sound; as `assemble_chapter`.

    With mastering, the chapter's PCM waits in the folder `.maya`, in a file that vanishes with the process.
    """
    pauses, rate, master = state.plan.book.pauses, state.plan.layout.sampling_rate, state.plan.book.master

    def clips() -> Iterator[Clip]:
        for chunk in chunks:
            check()
            take = state.take(chunk)
            if take is None:
                raise ValueError(f"chunk {chunk.ref} has no take")
            if not state.omitted(chunk):
                yield Clip(waveforms.pop(take), chunk.pause, chunk.voice, str(chunk.index))

    start = pauses.chapter_start + chunks[0].pause_before
    joined = segments(clips(), start=start, end=pauses.chapter_end, sampling_rate=rate)
    if master is None:
        levels = ClipLevels(rate)
        return write_chapter(levels.watch(joined), targets, tags, rate), _sound(levels.clips, None)
    hidden = hidden_folder(state.folder)
    with write_errors(hidden), tempfile.TemporaryFile(dir=hidden) as spool:
        mastering = ChapterMaster(master, rate, chunks[0].chapter, spool)
        seconds = write_chapter(mastering.pcm(joined), targets, tags, rate)
    return seconds, _sound(mastering.levels.clips, mastering.done)


def _sound(clips: Sequence[ClipLevel], done: Mastered | None) -> ChapterSound:
    gains = [0.0] * len(clips) if done is None else list(done.clip_gains)
    loud = {
        clip.name: ClipSound(_tenth(clip.lufs), round(gain, 2), _tenth(step))
        for clip, gain, step in zip(clips, gains, steps(clips, gains), strict=True)
    }
    if done is None:
        return ChapterSound(loud)
    voices = {voice: round(gain, 2) for voice, gain in done.voice_gains.items()}
    return ChapterSound(loud, round(done.gain, 2), voices, round(done.missed, 2))


def _tenth(level: float | None) -> float | None:
    return None if level is None else round(level, 1)
