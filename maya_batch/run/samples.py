"""Speech outside of a book folder: one text into a file (`say`), or a voice in several seeds (`audition`)."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import yaml

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.waveform_cache import noise_seed
from maya_batch.audio.writers import CHAPTER_FORMATS
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan, speech_plan
from maya_batch.book.settings import Machine, Sound
from maya_batch.book.state import book_state
from maya_batch.book.voice_chunks import first_chunk
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.engine.api import Decoding
from maya_batch.errors import UsageError
from maya_batch.interrupt import Stop
from maya_batch.manifest import Voice
from maya_batch.manifest.error_recovery import suggestion
from maya_batch.messages.quoting import quoted
from maya_batch.quality import Problem
from maya_batch.run.cluster.messages import EngineSettings
from maya_batch.run.decoding_choice import choose_decoding, refuse_int8_cache
from maya_batch.run.generate import request_for, sequence_seed
from maya_batch.run.loading import Loaders, load_book_engine, unknown_tag
from maya_batch.run.sample_files import (
    Line,
    Sample,
    SampleFile,
    record,
    sample_folder,
    sample_paths,
    track_tags,
)

#: The text for a voice that has none in the book: some 6 s, with a question and a pause.
_STOCK_TEXT = "The lamp was lit, and for a while nobody spoke. Had anyone seen her go? Only the rain answered."

#: The comments by which each command recognizes its own files; it overwrites no others. They do not begin like those
#: of chapters, so `clean` ignores these files. `say` of version 0.1 wrote no comment.
_SAY, _AUDITION = "maya-batch-say", "maya-batch-audition"


def say(
    text: str,
    description: str,
    sound: Sound,
    machine: Machine,
    path: Path,
    stop: Stop | None = None,
    loaders: Loaders | None = None,
) -> Sample:
    """Speak `text` into the file `path`. A signal that comes while the file is written takes effect after it.

    Raises:
        Interruption: a signal came.
        ManifestError: the text has mistakes; each is told with its position.
        UsageError: `path` exists and was not written by `say`, or the checkpoint does not know a tag.
        MachineError: a model, the GPU, the disk or ffmpeg is missing or failed.
    """
    if path.suffix[1:] not in CHAPTER_FORMATS:
        raise UsageError(f"{path}: the name must end in {' or '.join(f'.{name}' for name in CHAPTER_FORMATS)}")
    if (path.exists() or path.is_symlink()) and read_comment(path) not in (_SAY, ""):
        raise UsageError(f"{path} exists and was not written by `say`; move it, or choose another name")
    chunks = speech_plan(text, description, sound)
    loaders = loaders or Loaders()
    engine = EngineSettings.of(machine).load(loaders.engine, find_checkpoint(sound.model, "model").path)
    if (tag := unknown_tag(engine, " ".join(chunk.text for chunk in chunks))) is not None:
        raise UsageError(f"this checkpoint has no token for {tag} and would read it aloud; remove the tag")
    codec = loaders.codec(find_checkpoint(sound.codec, "codec").path, engine.layout, machine.device)
    lines = []
    for chunk in chunks:
        seed = sequence_seed(chunk.ref, sound.seed)
        lines.append(Line(chunk, request_for(chunk, chunk.ref, seed, seed), seed))
    decoding = choose_decoding(engine, [line.request for line in lines], sound, machine)
    refuse_int8_cache(engine, decoding)
    file = SampleFile(path, lines, track_tags(text[:60], "", _SAY))
    [(seconds, problems)] = record(engine, codec, sound, decoding, [file], stop or Stop())
    told = [Problem(found.kind, f"{found.detail}, in {chunk.text[:40]!r}") for chunk, found in problems]
    return Sample(path, sound.seed, seconds, tuple(told))


def audition(
    plan: Plan,
    name: str,
    seeds: int,
    machine: Machine,
    text: str | None = None,
    folder: Path | None = None,
    check_tags: bool = True,
    stop: Stop | None = None,
    loaders: Loaders | None = None,
) -> list[Sample]:
    """Speak a text in the voice `name` with the seeds 0 to `seeds` - 1, each into a file `<name>-seed-<n>.wav`.

    Without `text`, the voice's first chunk is spoken, exactly as the book would have it with that seed. The default
    folder is `<manifest>-audition` next to the manifest. The book is not changed. A signal that comes while a file is
    written takes effect after it.

    Raises:
        Interruption: a signal came.
        UsageError: the book has no such voice, or a file in the way was not written by `audition`.
        ManifestError: the text has mistakes; each is told with its position.
        MachineError: a model, the GPU, the disk or ffmpeg is missing or failed.
    """
    voices = plan.book.voices
    if name not in voices:
        raise UsageError(f"--voice {quoted(name)}: {suggestion(name, voices, 'the voices of the book')}")
    paths = audition_paths(plan, [f"{name}-seed-{seed}.wav" for seed in range(seeds)], folder)
    readings = [_reading(plan, voices[name], text, seed) for seed in range(seeds)]
    titles = [f"{name}, seed {seed}" for seed in range(seeds)]
    recorded = record_readings(plan, paths, titles, readings, machine, check_tags, stop, loaders)
    return [
        Sample(path, seed, seconds, tuple(problem for _, problem in problems))
        for seed, (path, (seconds, problems)) in enumerate(zip(paths, recorded, strict=True))
    ]


def record_readings(
    plan: Plan,
    paths: Sequence[Path],
    titles: Sequence[str],
    readings: Sequence[Sequence[Chunk]],
    machine: Machine,
    check_tags: bool,
    stop: Stop | None,
    loaders: Loaders | None,
) -> list[tuple[float, list[tuple[Chunk, Problem]]]]:
    """Speak chunks into files as the book has them; returns the seconds of each file and the problems of its chunks."""
    loaders, state = loaders or Loaders(), book_state(plan, machine)
    # With the book's chunks: what is measured on its first chunks must be what `render` measures.
    loaded = load_book_engine(state, machine, [*plan.chunks(), *readings[0]], check_tags, loaders)
    engine, model_config = loaded.engine, loaded.model_config
    codec = loaders.codec(state.lock.locate(plan.sound.codec, "codec").path, engine.layout, machine.device)
    files = []
    for path, title, chunks in zip(paths, titles, readings, strict=True):
        lines = []
        for chunk in chunks:
            key = chunk.key(model_config, plan.sound)
            noise = noise_seed(key, 1)
            lines.append(Line(chunk, request_for(chunk, key, sequence_seed(key, 1), noise), noise))
        files.append(SampleFile(path, lines, track_tags(title, plan.book.title, _AUDITION)))
    decoding: Decoding = "free" if model_config.decoding == "free" else "framed"
    return record(engine, codec, plan.sound, decoding, files, stop or Stop())


def voice_with_seed(name: str, description: str, seed: int) -> str:
    """Manifest lines that set a voice's seed."""
    lines = {"voices": {name: {"description": description, "seed": seed}}}
    return yaml.safe_dump(lines, sort_keys=False, allow_unicode=True, width=10**6).rstrip()


def audition_paths(plan: Plan, names: Sequence[str], folder: Path | None) -> list[Path]:
    """The paths of the files to write; the default folder is `<manifest>-audition` next to the manifest.

    Raises:
        UsageError: another file is in the way.
    """
    folder = sample_folder(plan, "audition") if folder is None else folder
    return sample_paths(folder, names, "audition", _AUDITION)


def _reading(plan: Plan, voice: Voice, text: str | None, seed: int) -> list[Chunk]:
    """The chunks to speak with this seed: the text, or the voice's first chunk as the book has it with that seed."""
    first = first_chunk(plan, voice)
    if text is None and first is not None:
        name = (first.description, first.text, seed)
        before = takewhile(lambda chunk: chunk is not first, plan.chunks())
        equals = sum((chunk.description, chunk.text, chunk.seed) == name for chunk in before)
        return [replace(first, seed=seed, occurrence=equals + 1, pause=0.0)]
    chunks = speech_plan(_STOCK_TEXT if text is None else text, voice.description, plan.sound, plan.book.language)
    return [replace(chunk, seed=seed) for chunk in chunks]
