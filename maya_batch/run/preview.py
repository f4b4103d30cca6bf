"""A preview of a book: the beginning of each chapter, and each voice, from takes that the book uses later."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import FORMATS, Target
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.track_tags import track_tags
from maya_batch.book.voice_chunks import first_chunk
from maya_batch.engine.load import engine_for
from maya_batch.errors import UsageError
from maya_batch.interrupt import Stop
from maya_batch.manifest import output_folder
from maya_batch.run.chapter_job import chapter_job
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import ProgressListener
from maya_batch.run.render import opened_run
from maya_batch.run.result import RunResult
from maya_batch.run.sample_files import sample_folder, sample_paths
from maya_batch.run.scope import Scope
from maya_batch.torch_errors import translated_torch_errors

#: Expected seconds of speech after which no chunk is added to the beginning of a chapter.
_ENOUGH = 30.0

#: The comment by which `preview` recognizes its own files. It does not begin like that of a chapter.
_COMMENT = "maya-batch-preview"


@dataclass(frozen=True)
class _Sample:
    """One file to write."""

    stem: str
    chunks: list[Chunk]
    tags: TrackTags


def preview_book(
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    folder: Path | None = None,
    output: Path | None = None,
    check_tags: bool = True,
    stop: Stop | None = None,
    loaders: Loaders | None = None,
) -> RunResult:
    """Render about half a minute of each chapter, and a chunk of each voice not heard there, into files in `folder`.

    The default is `<manifest>-preview` next to the manifest. The takes are stored in the book's own folder (`output`,
    or the manifest's), where `render` finds them. The result has only the problems of these takes.

    Raises:
        UsageError: a file in the way was not written by `preview`, or as `render_book`.
        BusyError, Interruption, GpuLostError, MachineError: as `render_book`.
    """
    engine_for(machine.engine, Path(plan.sound.model))
    samples = list(_samples(plan))
    format_ = plan.book.output.audio[0]
    if FORMATS[format_.type].of_book:
        format_ = format_.model_copy(update={"type": "m4a"})  # the same sound, one file for each sample
    folder = sample_folder(plan, "preview") if folder is None else folder
    if folder.resolve() == output_folder(plan.manuscript, output).resolve():
        raise UsageError(f"{folder} is the book's own output folder; name another --output for the preview")
    paths = sample_paths(folder, [f"{sample.stem}.{format_.type}" for sample in samples], "preview", _COMMENT)
    scope = Scope(samples=frozenset(chunk.ref for sample in samples for chunk in sample.chunks))
    stop = stop or Stop()
    with (
        opened_run(
            *(plan, machine, progress, output, None, True),
            check_tags=check_tags,
            stop=stop,
            loaders=loaders,
            scope=scope,
        ) as run,
        translated_torch_errors(run.waveforms.forget),
    ):
        run.render_takes(())
        run.waveforms.load()
        for sample, path in zip(samples, paths, strict=True):
            targets = [Target(path, format_.type, format_.bitrate, format_.sample_rate, format_.mode)]
            with stop.deferred():
                job = chapter_job(run.state, sample.chunks, targets, sample.tags)
                seconds, _ = job.write(run.waveforms, stop.check)
            run.result.files.append(path)
            progress.published(path, seconds)
        run.result.problems = [found for found in run.state.problems() if scope.renders(found[0])]
        return run.result


def _samples(plan: Plan) -> Iterator[_Sample]:
    heard: set[tuple[str, int]] = set()
    for chapter in plan.chapters:
        chunks = _beginning(plan, chapter)
        heard.update((chunk.description, chunk.seed) for chunk in chunks)
        yield _Sample(chapter.stem, chunks, track_tags(plan.manuscript, chapter, _COMMENT))
    for name, voice in plan.book.voices.items():
        first = first_chunk(plan, voice)
        if first is None or (first.description, first.seed) in heard:
            continue
        heard.add((first.description, first.seed))
        tags = TrackTags(name, plan.book.title, plan.book.author, 1, 1, _COMMENT)
        yield _Sample(f"voice-{name}", [replace(first, pause=0.0)], tags)


def _beginning(plan: Plan, chapter: Chapter) -> list[Chunk]:
    """The first chunks of a chapter, of about half a minute; the last one without its pause."""
    seconds = 0.0
    chunks: list[Chunk] = []
    for chunk in chapter.chunks:
        if seconds >= _ENOUGH:
            break
        chunks.append(chunk)
        seconds += plan.layout.seconds(chunk.expected_frames) + chunk.pause
    return [*chunks[:-1], replace(chunks[-1], pause=0.0)]
