"""Writes the subtitles of a book that differ from what they are now; nothing is encoded for them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.book_files import book_files
from maya_batch.book.chapter_sound import ChapterSound
from maya_batch.book.cues import has_times
from maya_batch.book.state import BookState
from maya_batch.book.subtitle_files import SubtitleFile, book_subtitles, chapter_subtitles, subtitle_record
from maya_batch.book.track_tags import track_tags
from maya_batch.files.atomic_write import write_atomic
from maya_batch.messages.plural import plural
from maya_batch.run.chapter_job import chapter_job
from maya_batch.run.chapters import keep, make_audio_folder
from maya_batch.run.progress import ProgressListener

log = logging.getLogger(__name__)


def measure_pauses(
    state: BookState, waveforms: WaveformCache, progress: ProgressListener, check: Callable[[], None]
) -> None:
    """Measure where the sentences of current chapters may be, where an earlier version has not done so.

    `check` is called often and ends this by raising an error.

    Raises:
        MachineError: the codec is missing, or `.maya` cannot be written.
    """
    chapters = [each for each in state.plan.chapters if state.current(each) and not has_times(state, each)]
    if not chapters:
        return
    waveforms.load()
    log.info("measuring the pauses of %s written before subtitles were asked for", plural(len(chapters), "chapter"))
    progress.joining(sum(len(chapter.chunks) for chapter in chapters))
    for chapter in chapters:
        job = chapter_job(state, chapter.chunks, [], track_tags(state.plan.manuscript, chapter, ""), chapter.jingle)
        measured = job.measure(waveforms, check, progress.joined)
        fingerprint = read_comment(state.output.targets(chapter)[0].path) or ""
        before = state.chapter_sounds.get(fingerprint)
        state.chapter_sounds.put(fingerprint, measured if before is None else _completed(before, measured))


def write_subtitles(state: BookState, partial: bool = False) -> Iterator[Path]:
    """Write the subtitles that differ, of chapters and of the M4B or its parts; yields the path of each.

    Raises:
        MachineError: a file cannot be written, or a stream cannot be read.
    """
    record = subtitle_record(state)
    for file in _asked_for(state, partial):
        if file.state == "current":
            continue
        make_audio_folder(state)
        if not record.wrote(file.path):
            keep(file.path)
        # Recorded first: after a kill in between, the old file is kept as one that was changed.
        record.put(file.path, file.content)
        write_atomic(file.path, file.content)
        yield file.path


def _asked_for(state: BookState, partial: bool) -> Iterator[SubtitleFile]:
    if state.output.subtitle_suffixes:
        for chapter in state.plan.chapters:
            yield from chapter_subtitles(state, chapter)
        yield from book_subtitles(state, book_files(state, partial))


def _completed(before: ChapterSound, measured: ChapterSound) -> ChapterSound:
    """What was measured when a chapter was written, with where its clips are."""
    clips = {
        name: replace(clip, spoken=now.spoken, quiet=now.quiet, lead=now.lead)
        for name, clip in before.clips.items()
        if (now := measured.clips.get(name)) is not None
    }
    return replace(before, clips=measured.clips | clips)
