"""Gathers the report of a run from the book's state and the run's result, and writes it next to the chapters."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from maya_batch.audio.adts import read_stream
from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.loudness import file_loudness
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.audio.writers import STREAM
from maya_batch.book.book_lexicon import lexicon_use
from maya_batch.book.chapter_sound import ChapterSound
from maya_batch.book.chapter_stats import ChapterStats
from maya_batch.book.character_accounting import book_characters, chapter_characters
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.report_files import PAGE_NAME, report_fingerprint
from maya_batch.book.settings import sound_settings
from maya_batch.book.state import BookState
from maya_batch.checkpoint.locate import DEMO
from maya_batch.manifest import Render, output_folder
from maya_batch.messages.plural import plural
from maya_batch.report.audio_clip import AudioClip, read_clip
from maya_batch.report.files import write_report
from maya_batch.report.model import (
    MOST_TAKES,
    ChapterReport,
    ChunkReport,
    KvCacheTrial,
    Report,
    SkippedReport,
    count_problems,
    worst_takes,
)
from maya_batch.run.listening import listen_book
from maya_batch.run.result import RunResult
from maya_batch.run.take_clips import take_clip
from maya_batch.wording import incomplete, left_out

log = logging.getLogger(__name__)


def write_book_report(
    state: BookState, result: RunResult, waveforms: WaveformCache, began: datetime, exit_code: int, reason: str
) -> Path:
    """Write report.json, report.html and listen.html into the book's folder; returns the path of report.html.

    A run that had nothing to do leaves the earlier report, if it still tells the same about the book. Takes with
    problems become audio clips on the pages: decoded if the run has loaded the codec, or from stored clips.

    Raises:
        MachineError: a file cannot be written.
    """
    fingerprint = "" if reason or state.model_config is None else _fingerprint(state, exit_code)
    idle = not (result.chunks or result.examined or result.retries or result.files)
    if fingerprint and idle and report_fingerprint(state.folder) == fingerprint:
        return state.folder / PAGE_NAME
    report = make_report(state, result, began, exit_code, reason)
    clips = report_clips(state, report, waveforms)
    # A run that is being stopped ends soon: the next one makes the clips.
    listening = listen_book(state, report, None if reason else waveforms)
    return write_report(state.folder, report, clips, fingerprint, listening)


@cache
def _program_version() -> str:
    """The version of this program, which is looked up in all folders of packages."""
    return version("maya-batch")


def _fingerprint(state: BookState, exit_code: int) -> str:
    """A digest of all that a report tells about the book, and of how the run ended."""
    book, plan = state.plan.book, state.plan
    whole = (
        _program_version(),
        exit_code,
        book.title,
        book.author,
        book.language,
        str(plan.manuscript.path.absolute()),
    )
    digest = hashlib.sha256(repr((*whole, plan.sound.model, *_flags(state))).encode())
    use = lexicon_use(plan.manuscript, plan.lexicon, plan.chunks())
    digest.update(b"" if use is None else repr(use).encode(errors="surrogatepass"))
    if plan.manuscript.skipped or any(chapter.part for chapter in plan.chapters):
        digest.update(repr((plan.manuscript.skipped, [chapter.part for chapter in plan.chapters])).encode())
    for chapter in plan.chapters:
        files = [read_comment(target.path) for target in state.output.targets(chapter)]
        digest.update(repr((chapter.title, state.fingerprint(chapter), files)).encode())
        for chunk in chapter.chunks:
            digest.update(repr(_evidence(state, chunk)).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _evidence(state: BookState, chunk: Chunk) -> tuple[object, ...]:
    """What the pages tell about a chunk, but for its spoken text and its take: the chapter's fingerprint has these."""
    take = state.take(chunk)
    if take is None:
        return ()
    problems = [(problem.kind, problem.detail) for problem in take.problems]
    transcript = take.transcript and (take.transcript.text, take.transcript.word_error, take.transcript.unheard)
    chosen = state.store.chosen(take.key)
    return (
        take.attempt,
        [(other.attempt, len(other.problems)) for other in state.takes(chunk)],
        chunk.source,
        problems,
        transcript,
        chosen,
        bool(problems) and state.omitted(chunk),
    )


def make_report(state: BookState, result: RunResult, began: datetime, exit_code: int, reason: str) -> Report:
    """The report of a run that began at `began` (aware) and ends now."""
    plan = state.plan
    stored, nothing = state.chapter_sounds.all(), ChapterSound({})
    sounds = {
        chapter.number: stored.get(_measured(state, chapter), nothing) if state.current(chapter) else nothing
        for chapter in plan.chapters
    }
    chapters = tuple(_chapter(state, chapter, sounds[chapter.number]) for chapter in plan.chapters)
    chunks = tuple(_chunk(state, chunk, sounds[chunk.chapter]) for chunk in plan.chunks())
    return Report(
        title=plan.book.title,
        author=plan.book.author,
        language=plan.book.language,
        book=str(plan.manuscript.path.absolute()),
        model=plan.sound.model,
        engine=result.engine,
        started=began.isoformat(timespec="seconds"),
        ended=datetime.now().astimezone().isoformat(timespec="seconds"),
        speech_hours=result.speech / 3600,
        x_realtime=result.x_realtime,
        listening_seconds=round(result.stages.get("listening", 0.0), 1),
        retries=result.retries,
        exit_code=exit_code,
        exit_reason=reason or _reason(result),
        problems_by_kind=count_problems(chunks),
        characters=book_characters(state, [chapter.characters for chapter in chapters]),
        chapters=chapters,
        chunks=chunks,
        version=_program_version(),
        flags=tuple(_flags(state)),
        lexicon=lexicon_use(plan.manuscript, plan.lexicon, plan.chunks()),
        skipped=tuple(SkippedReport(**asdict(chapter)) for chapter in plan.manuscript.skipped),
        kv_cache_trial=_kv_cache_trial(state),
        workers=dict(sorted(result.engine_stats.workers.items())),
    )


def _kv_cache_trial(state: BookState) -> KvCacheTrial | None:
    found = state.lock.trial(state.plan.sound.model)
    if found is None:
        return None
    return KvCacheTrial(**{field.name: found[field.name] for field in fields(KvCacheTrial)})


def _flags(state: BookState) -> Iterator[str]:
    """The flags that a command needs to find these takes, where the book itself does not set them."""
    plan = state.plan
    if output_folder(plan.manuscript).absolute() != state.folder.absolute():
        yield from ("--output", str(state.folder.absolute()))
    own = sound_settings(plan.book.render, plan.manuscript.folder, Render())
    if plan.sound.model != own.model:
        yield from ("--model", plan.sound.model)
    if plan.sound.codec != own.codec and plan.sound.model != DEMO:
        yield from ("--codec", plan.sound.codec)
    yield from plan.allowed


def _reason(result: RunResult) -> str:
    """The reason of a run that was not stopped."""
    if result.incomplete:
        return incomplete(plural(len(result.incomplete), "chapter"))
    if result.left_out:
        return left_out(plural(len(result.left_out), "chapter"))
    if result.problems:
        return "the whole book is rendered; some takes have problems"
    return "the whole book is rendered"


def _chapter(state: BookState, chapter: Chapter, sound: ChapterSound) -> ChapterReport:
    seconds: float | None = None
    lufs: float | None = None
    path = state.output.targets(chapter)[0].path
    if state.current(chapter):
        fingerprint = read_comment(path) or ""
        chapter_stats = state.chapter_stats.get(fingerprint)
        if chapter_stats is None:  # written by an earlier version, or chapters.json was lost
            chapter_stats = ChapterStats(_length(path), file_loudness(path))
            state.chapter_stats.put(fingerprint, chapter_stats)
        seconds, lufs = chapter_stats
    file = next((path for path in state.output.files(chapter) if path.is_file()), None)
    name = None if file is None else file.relative_to(state.folder).as_posix()
    return ChapterReport(
        *(chapter.number, chapter.title, name, seconds, lufs, chapter_characters(state, chapter), chapter.part),
        master_gain_db=sound.gain,
        master_missed_db=sound.missed,
        master_over_db=sound.over,
        voice_gains_db=sound.voices,
    )


def _measured(state: BookState, chapter: Chapter) -> str:
    """The fingerprint of the file of a chapter that its loudness is stored for."""
    return read_comment(state.output.targets(chapter)[0].path) or ""


def _length(path: Path) -> float:
    import mutagen

    if path.suffix == f".{STREAM}":
        return read_stream(path).seconds
    return float(mutagen.File(path).info.length)


def _chunk(state: BookState, chunk: Chunk, sound: ChapterSound) -> ChunkReport:
    take = state.take(chunk)
    key = state.key(chunk) if state.model_config is not None else "0" * 64
    transcript = take.transcript if take is not None else None
    clip = sound.clips.get(str(chunk.index))
    return ChunkReport(
        ref=chunk.ref,
        text=chunk.text,
        key=key,
        attempt=0 if take is None else take.attempt,
        attempts=0 if take is None else state.attempts(chunk),
        problems=() if take is None else take.problems,
        word_error=None if transcript is None else transcript.word_error,
        heard=None if transcript is None else transcript.text,
        seconds=0.0 if take is None else state.plan.layout.seconds(len(take.codes)),
        chosen=state.chosen(chunk),
        unheard=() if transcript is None else transcript.unheard,
        omitted=state.omitted(chunk),
        loudness_lufs=None if clip is None else clip.lufs,
        step_lu=None if clip is None else clip.step,
    )


def report_clips(state: BookState, report: Report, waveforms: WaveformCache | None = None) -> dict[str, AudioClip]:
    """Audio clips of the worst takes of a report, by ref; the page says which have none.

    Without `waveforms` that are loaded, these are the stored ones.
    """
    worst = {chunk.ref: (chunk.key, chunk.attempt) for chunk in worst_takes(report.chunks)[:MOST_TAKES]}
    clips = {}
    for chunk in (chunk for chunk in state.plan.chunks() if chunk.ref in worst):
        take = state.take(chunk)
        if take is not None and (take.key, take.attempt) != worst[chunk.ref]:
            continue  # the book was edited, or another take is in use, since the report was written
        mp3 = None if take is None else take_clip(state, take, waveforms)
        if mp3 is not None:
            with suppress(ValueError):  # the stored file is not a clip
                clips[chunk.ref] = read_clip(mp3)
    return clips
