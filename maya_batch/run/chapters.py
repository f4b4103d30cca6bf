"""Writes a chapter's files: its takes are decoded one by one, stitched, and written in every format; then the M4B."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment, write_chapter
from maya_batch.audio.clip_levels import ClipLevel, ClipLevels, steps
from maya_batch.audio.m4b import write_m4b
from maya_batch.audio.mastering import ChapterMaster, Mastered
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, segments
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.audio.writers import Target
from maya_batch.book.book_files import BookFile, book_files
from maya_batch.book.chapter_sound import ChapterSound, ClipSound
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.library_layout import OPF_NAME, companions, is_opf
from maya_batch.book.sample_file import sample_of
from maya_batch.book.state import BookState, hidden_folder, is_chapter
from maya_batch.book.track_tags import track_tags
from maya_batch.files.atomic_write import write_atomic, write_errors
from maya_batch.files.safe_open import safe_folder, safe_read
from maya_batch.interrupt import Stop
from maya_batch.manifest.cover import LARGEST_COVER
from maya_batch.run.result import RunResult

log = logging.getLogger(__name__)

#: dB by which a chapter may be softer than its target without a warning.
_MOST_MISSED = 0.2


@dataclass(frozen=True)
class Written:
    """What was written of a chapter."""

    fingerprint: str
    """Of the file `measured`."""
    measured: Path
    """The file whose loudness counts: the first one."""
    paths: list[Path]
    """The files that people play."""
    seconds: float


def write_chapter_files(
    state: BookState, chapter: Chapter, waveforms: WaveformCache, result: RunResult, stop: Stop | None = None
) -> Written | None:
    """Write those of a chapter's files that are not current, if it is complete. Returns None if there are none.

    A `stop` ends this between two clips.
    """
    if not state.complete(chapter) or state.current(chapter):
        return None
    waveforms.load()
    targets = state.outdated(chapter)  # the codec is known now
    _make_folder(state)
    for target in targets:
        _set_aside(target.path)
    began = time.monotonic()
    stop = stop or Stop()
    with stop.deferred():
        seconds = _assemble(state, chapter, targets, waveforms, stop.check)
    result.stages.spent("codec and audio", began)
    paths = [path for path in state.files(chapter) if path in {target.path for target in targets}]
    result.files += paths
    measured = state.targets(chapter)[0].path
    return Written(read_comment(measured) or "", measured, paths, seconds)


def write_book_files(state: BookState, result: RunResult, partial: bool = False) -> Iterator[BookFile]:
    """Write the M4B, or its parts, if all chapters have their streams and it is not current; each when it is written.

    With `partial`, it is made of the chapters that are there.

    Raises:
        MachineError: the disk is full, ffmpeg failed, or a stream cannot be read.
    """
    files = book_files(state, partial)
    if len(files) > 1:
        log.info("the book is divided into %d files: one has at most 255 chapters and 24 hours", len(files))
    for file in files:
        if file.current:
            continue
        _make_folder(state)
        began = time.monotonic()
        _set_aside(file.path)
        write_m4b(file.path, file.streams, [chapter.title for chapter in file.chapters], file.tags)
        result.stages.spent("codec and audio", began)
        result.files.append(file.path)
        yield file


def write_sample_file(
    state: BookState, waveforms: WaveformCache, check: Callable[[], None] = lambda: None
) -> tuple[Path, float] | None:
    """Write the sample of the book if its chapter is complete and it is not current; returns path and seconds.

    Raises:
        MachineError: the disk is full, ffmpeg failed, or a file cannot be written.
    """
    sample = sample_of(state)
    if sample is None or read_comment(sample.target.path) == sample.tags.comment:
        return None
    waveforms.load()
    sample = sample_of(state) or sample  # the codec is known now
    _set_aside(sample.target.path)
    seconds, _ = write_chunks(state, sample.chunks, waveforms, [sample.target], sample.tags, check)
    return sample.target.path, seconds


def write_companions(state: BookState) -> list[Path]:
    """Write the files that a layout has next to the audio, where they differ, and return their paths.

    Raises:
        MachineError: a file cannot be written.
    """
    written = []
    for name, content in companions(state.plan.manuscript).items():
        path = state.audio_folder / name
        if not state.audio_folder.is_dir() or _content(path) == content:
            continue
        _make_folder(state)
        if not (name == OPF_NAME and is_opf(_content(path))):
            _keep(path)
        write_atomic(path, content)
        written.append(path)
    return written


def _content(path: Path) -> bytes:
    """The content of a file, up to a byte more than the largest cover; empty if it cannot be read."""
    try:
        return safe_read(path, LARGEST_COVER)
    except OSError:
        return b""


def _make_folder(state: BookState) -> None:
    """Create the folder of the audio; a link in the place of one of its folders is an error."""
    with write_errors(state.audio_folder):
        safe_folder(state.folder, *state.audio_folder.relative_to(state.folder).parts)


def _set_aside(path: Path) -> None:
    """Rename a chapter file that differs from what was written: a person may have edited it."""
    if not is_chapter(path):
        _keep(path)


def _keep(path: Path) -> None:
    """Rename a file that is about to be replaced."""
    if path.is_file():
        aside = path.with_name(f"{path.name}.aside-{time.time_ns()}")
        path.rename(aside)
        log.warning("%s was changed since it was written; the changed file is kept as %s", path, aside.name)


def _assemble(
    state: BookState,
    chapter: Chapter,
    targets: Sequence[Target],
    waveforms: WaveformCache,
    check: Callable[[], None],
) -> float:
    """Write files of a complete chapter, and return its seconds of audio. `check` is called before each clip.

    Silent clips stay in the chapter. Chunks that failed are left out if the book sets `failed: omit`.
    """
    tags = track_tags(state.plan.manuscript, chapter, state.fingerprint(chapter))
    seconds, sound = write_chunks(state, chapter.chunks, waveforms, targets, tags, check)
    measured = state.targets(chapter)[0].path
    state.chapter_sounds.put(read_comment(measured) or "", sound)
    if sound.missed > _MOST_MISSED:
        log.warning(
            "%s is %.1f dB softer than `master` asks for, because its peaks reach `true_peak`; lower one of them",
            measured,
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
    """Write the takes in use of some chunks as a chapter, and return its seconds and its sound.

    `check` is called before each chunk. With mastering, the chapter's PCM waits in the folder `.maya`, in a file that
    vanishes with the process.
    """
    pauses, rate, master = state.plan.pauses, state.plan.layout.sampling_rate, state.plan.book.master

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
