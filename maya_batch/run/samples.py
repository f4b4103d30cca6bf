"""Speech that belongs to no book folder: one text into a file (`say`), or a voice in several seeds (`audition`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from maya_batch.audio.chapter_file import read_comment, write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, stitch
from maya_batch.audio.waveform_cache import audible, noise_seed
from maya_batch.audio.writers import FORMATS, Target
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan, speech_plan
from maya_batch.book.settings import Machine, Sound
from maya_batch.book.state import book_state
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.engine.api import Decoding, Engine, Request
from maya_batch.engine.load import load_engine
from maya_batch.errors import UsageError
from maya_batch.interrupt import Stop
from maya_batch.manifest import Voice
from maya_batch.manifest.error_recovery import suggestion
from maya_batch.messages.quoting import quoted
from maya_batch.quality import Problem
from maya_batch.quality.audio_checks import check_sound
from maya_batch.quality.code_checks import check_codes
from maya_batch.run.generate import sequence_seed
from maya_batch.run.loading import choose_decoding, load_book_engine
from maya_batch.text.typography import finish_description

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec

#: What a voice says that says nothing in the book: some 6 s, a question, and a pause.
_STOCK_TEXT = "The lamp was lit, and for a while nobody spoke. Had anyone seen her go? Only the rain answered."

#: Seconds of silence before and after, so that players do not cut into the speech.
_EDGE = 0.2

#: The comments by which each command knows its own files, and writes over no others. They do not begin as those of
#: chapters do, so that `clean` leaves them alone. `say` of version 0.1 wrote no comment.
_SAY, _AUDITION = "maya-batch-say", "maya-batch-audition"


@dataclass(frozen=True)
class Sample:
    """One file that was written."""

    path: Path
    seed: int
    seconds: float
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Line:
    """A chunk, the request for it, and the seed of the codec's noise."""

    chunk: Chunk
    request: Request
    noise_seed: int


@dataclass(frozen=True)
class _File:
    """What is spoken into one file."""

    path: Path
    lines: Sequence[_Line]
    tags: TrackTags


def say(text: str, description: str, sound: Sound, machine: Machine, path: Path, stop: Stop | None = None) -> Sample:
    """Speak `text` into the file `path`. A signal that comes while the file is written ends the command when it is
    whole.

    Raises:
        Interruption: a signal came.
        ManifestError: the text has mistakes, each with its place.
        UsageError: a file of that name is there that was not made by this.
        MachineError: a model, the GPU, the disk or ffmpeg is not as it must be.
    """
    if path.suffix[1:] not in FORMATS:
        raise UsageError(f"{path}: the name must end in {' or '.join(f'.{name}' for name in FORMATS)}")
    if (path.exists() or path.is_symlink()) and read_comment(path) not in (_SAY, ""):
        raise UsageError(f"{path} is there and was not made by `say`; move it, or choose another name")
    chunks = speech_plan(text, description, sound)
    engine = load_engine(
        machine.engine,
        find_checkpoint(sound.model, "model").folder,
        device=machine.device,
        dtype=machine.dtype,
        quantization=machine.quantization or "none",
        batch_size=machine.batch_size,
    )
    codec = _load_codec(find_checkpoint(sound.codec, "codec").folder, engine, machine)
    lines = []
    for chunk in chunks:
        seed = sequence_seed(chunk.ref, sound.seed)
        lines.append(_Line(chunk, _request(chunk, chunk.ref, seed), seed))
    decoding = choose_decoding(engine, [line.request for line in lines], sound, machine)
    file = _File(path, lines, _tags(text[:60], "", _SAY))
    [(seconds, problems)] = _record(engine, codec, sound, decoding, [file], stop or Stop())
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
) -> list[Sample]:
    """Speak a text in the voice `name` with the seeds 0 to `seeds` - 1, a WAV each, as `<name>-seed-<n>.wav`.

    Without `text`, what the voice says first in the book, just as the book has it once the voice has that seed. The
    folder is `<manifest>-audition` beside the manifest where none is given. Nothing of the book is touched. A signal
    that comes while a file is written ends the command when it is whole.

    Raises:
        Interruption: a signal came.
        UsageError: the book has no such voice, or a file is in the way that was not made here.
        ManifestError: the text has mistakes, each with its place.
        MachineError: a model, the GPU, the disk or ffmpeg is not as it must be.
    """
    voices = plan.book.voices
    if name not in voices:
        raise UsageError(f"--voice {quoted(name)}: {suggestion(name, voices, 'the voices of the book')}")
    paths = _audition_paths(plan, name, seeds, folder)
    readings = [_reading(plan, voices[name], text, seed) for seed in range(seeds)]
    state = book_state(plan, machine)
    # All of the book too: how freely the model may draw is measured on its first chunks, as `render` does it.
    engine, model_config = load_book_engine(state, machine, [*plan.chunks(), *readings[0]], check_tags)
    codec = _load_codec(state.lock.locate(plan.sound.codec, "codec").folder, engine, machine)
    files = []
    for seed, (path, chunks) in enumerate(zip(paths, readings, strict=True)):
        lines = []
        for chunk in chunks:
            key = chunk.key(model_config, plan.sound)
            lines.append(_Line(chunk, _request(chunk, key, sequence_seed(key, 1)), noise_seed(key, 1)))
        files.append(_File(path, lines, _tags(f"{name}, seed {seed}", plan.book.title, _AUDITION)))
    decoding: Decoding = "free" if model_config.decoding == "free" else "framed"
    recorded = _record(engine, codec, plan.sound, decoding, files, stop or Stop())
    return [
        Sample(path, seed, seconds, tuple(problem for _, problem in problems))
        for seed, (path, (seconds, problems)) in enumerate(zip(paths, recorded, strict=True))
    ]


def voice_with_seed(name: str, description: str, seed: int) -> str:
    """The lines of a manifest that give a voice its seed."""
    lines = {"voices": {name: {"description": description, "seed": seed}}}
    return yaml.safe_dump(lines, sort_keys=False, allow_unicode=True, width=10**6).rstrip()


def _record(
    engine: Engine, codec: "Codec", sound: Sound, decoding: Decoding, files: Sequence[_File], stop: Stop
) -> list[tuple[float, list[tuple[Chunk, Problem]]]]:
    """Generate all lines together and write each file: its seconds, and what is wrong with each chunk."""
    requests = [line.request for file in files for line in file.lines]
    batches = engine.generate(requests, sound.sampling, decoding)
    generations = {generation.key: generation for batch in batches for generation in batch}
    layout, quality = engine.layout, sound.quality

    written = []
    for file in files:
        clips: list[Clip] = []
        problems: list[tuple[Chunk, Problem]] = []
        for line in file.lines:
            chunk, generation = line.chunk, generations[line.request.key]
            waveform = codec.decode(generation.codes, line.noise_seed)
            found = (
                *check_codes(generation, chunk.text, chunk.expected_frames, layout, None, quality),
                *check_sound(waveform, layout.sampling_rate, chunk.text, quality),
            )
            problems += [(chunk, problem) for problem in found]
            clips.append(Clip(audible(waveform), chunk.pause))
        pcm = stitch(clips, start=_EDGE, end=_EDGE, sampling_rate=layout.sampling_rate)
        with stop.deferred():
            target = Target(file.path, file.path.suffix[1:])
            seconds = write_chapter(pcm, [target], file.tags, layout.sampling_rate)
        written.append((seconds, problems))
    return written


def _tags(title: str, album: str, comment: str) -> TrackTags:
    return TrackTags(title=title, album=album, artist="", track=1, tracks=1, comment=comment)


def _request(chunk: Chunk, key: str, seed: int) -> Request:
    return Request(key, chunk.description, chunk.text, seed, chunk.max_frames, chunk.expected_frames)


def _load_codec(folder: Path, engine: Engine, machine: Machine) -> "Codec":
    from maya_batch.audio.snac_codec import load_codec
    from maya_batch.engine.device import choose_device

    return load_codec(folder, engine.layout, choose_device(machine.device))


def _audition_paths(plan: Plan, name: str, seeds: int, folder: Path | None) -> list[Path]:
    """The files to write, in a folder where they may be written."""
    if folder is None:
        folder = plan.manuscript.folder / f"{plan.manuscript.path.stem}-audition"
        if folder.is_symlink():
            raise UsageError(f"{folder} is a link; to have the files where it leads, name it with --output")
    return sample_paths(folder, [f"{name}-seed-{seed}.wav" for seed in range(seeds)], "audition", _AUDITION)


def sample_paths(folder: Path, names: Sequence[str], command: str, comment: str) -> list[Path]:
    """The files to write, in a folder where `command`, which writes its files with this comment, may write them.

    Raises:
        UsageError: the folder is a file, or one of the files is there and has another comment.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder; move it, or name another --output")
    paths = [folder / name for name in names]
    for path in paths:
        if (path.exists() or path.is_symlink()) and read_comment(path) != comment:
            raise UsageError(f"{path} is there and was not made by {command}; move it, or name another --output")
    return paths


def _reading(plan: Plan, voice: Voice, text: str | None, seed: int) -> list[Chunk]:
    """What is spoken with this seed: the text, or the voice's first chunk as the book has it with that seed."""
    own = finish_description(voice.description), plan.sound.seed if voice.seed is None else voice.seed
    before = list(takewhile(lambda chunk: (chunk.description, chunk.seed) != own, plan.chunks()))
    first = next((chunk for chunk in plan.chunks() if (chunk.description, chunk.seed) == own), None)
    if text is None and first is not None:
        name = (first.description, first.text, seed)
        equals = sum((chunk.description, chunk.text, chunk.seed) == name for chunk in before)
        return [replace(first, seed=seed, occurrence=equals + 1, pause=0.0)]
    chunks = speech_plan(_STOCK_TEXT if text is None else text, voice.description, plan.sound, plan.book.language)
    return [replace(chunk, seed=seed) for chunk in chunks]
