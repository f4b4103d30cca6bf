"""Writes the files of a book that are not current: a chapter's, the M4B, the sample, and what is next to them."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment, rewrite_tags
from maya_batch.audio.encoded_peaks import MOST_OVER
from maya_batch.audio.loudness import file_loudness
from maya_batch.audio.m4b import write_m4b
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.book_files import BookFile, book_files, stale_files
from maya_batch.book.chapter_fingerprint import same_sound
from maya_batch.book.chapter_sound import ChapterSound
from maya_batch.book.chapter_stats import ChapterStats
from maya_batch.book.chunk import Chapter
from maya_batch.book.layout_files import companion_record
from maya_batch.book.library_layout import OPF_NAME, companions, is_opf
from maya_batch.book.output_files import is_chapter
from maya_batch.book.sample_file import sample_of
from maya_batch.book.state import BookState
from maya_batch.book.track_tags import track_tags
from maya_batch.files.atomic_write import part_of, write_atomic, write_errors
from maya_batch.files.safe_open import safe_folder, safe_read
from maya_batch.manifest.cover import LARGEST_COVER
from maya_batch.messages.plural import plural
from maya_batch.run.chapter_job import ChapterJob, chapter_job
from maya_batch.run.result import RunResult

log = logging.getLogger(__name__)

#: dB by which a chapter may be softer than its target without a warning.
_MOST_MISSED = 0.2


@dataclass(frozen=True)
class Written:
    """What was written of a chapter."""

    paths: list[Path]
    """The files that people play."""
    seconds: float


@dataclass(frozen=True)
class Finished:
    """What a `ChapterWork` made."""

    stats: ChapterStats
    sound: ChapterSound


@dataclass(frozen=True)
class ChapterWork:
    """Files of a chapter to be written. It needs neither the state nor the result, so any thread may do it."""

    chapter: Chapter
    job: ChapterJob
    measured: Path
    """The file whose loudness counts: the first one."""
    record: Callable[[Finished], None]
    """Stores what was measured. Any thread may call it."""

    def write(
        self, waveforms: WaveformCache, check: Callable[[], None], joined: Callable[[], None] = lambda: None
    ) -> Finished:
        """Write, measure and record the files; `check` and `joined` as for `ChapterJob.written`.

        Raises:
            MachineError: the disk is full, ffmpeg failed, or a file cannot be written.
        """
        is_new = self.measured in {target.path for target in self.job.targets}
        with self.job.written(waveforms, check, joined) as (seconds, sound):
            lufs = file_loudness(part_of(self.measured) if is_new else self.measured)
            finished = Finished(ChapterStats(seconds, lufs), sound)
            self.record(finished)  # before they get their names: after a kill in between, it is only unused
        return finished


def retag_files(state: BookState, chapter: Chapter) -> Written | None:
    """Give new tags to those of a chapter's files that are current but for their tags; None if there are none.

    Nothing is decoded, and their loudness stays known. Without a stored length the chapter is left to be written again.

    Raises:
        MachineError: the disk is full, or a file cannot be written.
    """
    measured = state.output.targets(chapter)[0].path
    before = read_comment(measured) or ""
    stats = state.chapter_stats.get(before)
    if stats is None or state.codec is None or not state.complete(chapter):
        return None
    new = {target.path: target.comment or "" for target in state.outdated(chapter)}
    targets = [
        target
        for target in state.output.targets(chapter)
        if target.path in new and same_sound(read_comment(target.path) or "", new[target.path])
    ]
    if not targets:
        return None
    make_audio_folder(state)
    fingerprint = new[measured] if measured in {target.path for target in targets} else before
    # Stored first: after a kill in between, they are only unused.
    state.chapter_stats.put(fingerprint, stats)
    if (sound := state.chapter_sounds.get(before)) is not None:
        state.chapter_sounds.put_each({fingerprint, *(new[target.path] for target in targets)}, sound)
    for target in targets:
        rewrite_tags(target, track_tags(state.plan.manuscript, chapter, new[target.path]))
    return Written([target.path for target in targets], stats.seconds)


def outdated_files(state: BookState, chapter: Chapter, waveforms: WaveformCache) -> ChapterWork | None:
    """The work that writes those of a chapter's files that are not current, if it is complete; None if there are none.

    A file in the way that a person has changed is set aside.
    """
    if not state.complete(chapter) or state.current(chapter):
        return None
    waveforms.load()
    # One level for all formats: it leaves room for the peaks that each encoder adds, so they are written together. (The
    # codec is known now.)
    targets = state.outdated(chapter) if state.plan.book.master is None else state.targets(chapter)
    make_audio_folder(state)
    for target in targets:
        _set_aside(target.path)
    tags = track_tags(state.plan.manuscript, chapter, state.fingerprint(chapter))
    job = chapter_job(state, chapter.chunks, targets, tags, chapter.jingle)
    measured = state.output.targets(chapter)[0].path
    comments = {target.path: target.comment or "" for target in targets}
    fingerprint = comments.get(measured) or read_comment(measured) or ""

    def record(finished: Finished) -> None:
        # For each file: another one is the first of the formats once the book has others.
        state.chapter_sounds.put_each({fingerprint, *comments.values()}, finished.sound)
        state.chapter_stats.put(fingerprint, finished.stats)

    return ChapterWork(chapter, job, measured, record)


def written_files(state: BookState, work: ChapterWork, finished: Finished) -> Written:
    """What became of `outdated_files`; warns of a sound that is not what `master` asks for."""
    paths = [path for path in state.output.files(work.chapter) if path in {target.path for target in work.job.targets}]
    measured, sound = work.measured, finished.sound
    if sound.missed > _MOST_MISSED:
        log.warning(
            "%s is %.1f dB softer than `master` asks for, because its peaks reach `true_peak`; lower one of them",
            measured,
            sound.missed,
        )
    if sound.over > MOST_OVER:
        log.warning(
            "%s has a true peak %.1f dB above what `master` asks for; give the format a higher bitrate",
            measured,
            sound.over,
        )
    return Written(paths, finished.stats.seconds)


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
        make_audio_folder(state)
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
    seconds, _ = chapter_job(state, sample.chunks, [sample.target], sample.tags).write(waveforms, check)
    return sample.target.path, seconds


def write_companions(state: BookState) -> list[Path]:
    """Write the files that a layout has next to the audio, where they differ, and return their paths.

    Raises:
        MachineError: a file cannot be written.
    """
    found, written = companions(state.plan.manuscript), list[Path]()
    if not found or not state.output.audio_folder.is_dir():
        return written
    record = companion_record(state)
    for name, content in found.items():
        path = state.output.audio_folder / name
        if _content(path) == content:
            continue
        make_audio_folder(state)
        if not record.wrote(path) and not (name == OPF_NAME and is_opf(_content(path))):
            keep(path)
        record.put(path, content)  # first: after a kill in between, the old file is kept as one that was changed
        write_atomic(path, content)
        written.append(path)
    return written


def warn_of_old_audio(state: BookState) -> None:
    """Warn where a library shows audio that the book no longer has, as of another format or title."""
    old = stale_files(state) if state.plan.book.output.layout != "flat" else []
    if old:
        count = plural(len(old), "audio file")
        log.warning("a library shows %s of earlier forms of this book, too: `maya-batch clean` lists them", count)


def _content(path: Path) -> bytes:
    """The content of a file, up to a byte more than the largest cover; empty if it cannot be read."""
    try:
        return safe_read(path, LARGEST_COVER)
    except OSError:
        return b""


def make_audio_folder(state: BookState) -> None:
    """Create the folder of the audio; a link in the place of one of its folders is an error."""
    with write_errors(state.output.audio_folder):
        safe_folder(state.folder, *state.output.audio_folder.relative_to(state.folder).parts)


def _set_aside(path: Path) -> None:
    """Rename a chapter file that differs from what was written: a person may have edited it."""
    if not is_chapter(path):
        keep(path)


def keep(path: Path) -> None:
    """Rename a file that is about to be replaced."""
    if path.is_file():
        aside = path.with_name(f"{path.name}.aside-{time.time_ns()}")
        path.rename(aside)
        log.warning("%s was changed since it was written; the changed file is kept as %s", path, aside.name)
