"""A voice of a book in several seeds, one file each, so that a person can choose one by ear."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import yaml

from maya_batch.audio.chapter_file import read_comment, write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, stitch
from maya_batch.audio.waveform_cache import audible, noise_seed
from maya_batch.audio.writers import Target
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.plan import Chunk, Plan, speech_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.engine.api import Decoding, Generation, Request
from maya_batch.errors import UsageError
from maya_batch.interrupt import Stop
from maya_batch.manifest import Voice
from maya_batch.manifest.error_recovery import suggestion
from maya_batch.messages.quoting import quoted
from maya_batch.quality import Problem
from maya_batch.quality.audio_checks import check_sound
from maya_batch.quality.code_checks import check_codes
from maya_batch.run.generate import sequence_seed
from maya_batch.run.loading import load_book_engine
from maya_batch.text.word_count import finish_description

#: What a voice says that says nothing in the book: some 6 s, a question, and a pause.
_STOCK = "The lamp was lit, and for a while nobody spoke. Had anyone seen her go? Only the rain answered."
#: How files say that they were made here. Another word than chapters have: samples are nothing for `clean`.
_MARK = "maya-batch-audition"
#: The silences around a sample, as `say` has them.
_EDGE = 0.2


@dataclass(frozen=True)
class Sample:
    """One file: the voice in one seed."""

    path: Path
    seed: int
    seconds: float
    problems: tuple[Problem, ...]


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
    if folder is None:
        folder = plan.manuscript.folder / f"{plan.manuscript.path.stem}-audition"
        if folder.is_symlink():
            raise UsageError(f"{folder} is a link; to have the files where it leads, name it with --output")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder; move it, or name another --output")
    paths = [folder / f"{name}-seed-{seed}.wav" for seed in range(seeds)]
    for path in paths:
        if (path.exists() or path.is_symlink()) and read_comment(path) != _MARK:
            raise UsageError(f"{path} is there and was not made by audition; move it, or name another --output")
    readings = [_reading(plan, voices[name], text, seed) for seed in range(seeds)]
    return list(_record(plan, machine, name, readings, paths, check_tags, stop or Stop()))


def pinning(name: str, description: str, seed: int) -> str:
    """The lines of a manifest that give a voice its seed."""
    lines = {"voices": {name: {"description": description, "seed": seed}}}
    return yaml.safe_dump(lines, sort_keys=False, allow_unicode=True, width=10**6).rstrip()


def _reading(plan: Plan, voice: Voice, text: str | None, seed: int) -> list[Chunk]:
    """What is spoken with this seed: the text, or the voice's first chunk as the book has it with that seed."""
    own = finish_description(voice.description), plan.sound.seed if voice.seed is None else voice.seed
    before = list(takewhile(lambda chunk: (chunk.description, chunk.seed) != own, plan.chunks()))
    first = next((chunk for chunk in plan.chunks() if (chunk.description, chunk.seed) == own), None)
    if text is None and first is not None:
        name = (first.description, first.text, seed)
        equals = sum((chunk.description, chunk.text, chunk.seed) == name for chunk in before)
        return [replace(first, seed=seed, occurrence=equals + 1, pause=0.0)]
    chunks = speech_plan(_STOCK if text is None else text, voice.description, plan.sound, plan.book.language)
    return [replace(chunk, seed=seed) for chunk in chunks]


def _record(
    plan: Plan,
    machine: Machine,
    name: str,
    readings: Sequence[Sequence[Chunk]],
    paths: Sequence[Path],
    check_tags: bool,
    stop: Stop,
) -> Iterator[Sample]:
    """Speak all readings together and write each one into its file."""
    from maya_batch.audio.snac_codec import load_codec
    from maya_batch.engine.device import choose_device

    state = book_state(plan, machine)
    # All of the book too: how freely the model may draw is measured on its first chunks, as `render` does it.
    engine, model_config = load_book_engine(state, machine, [*plan.chunks(), *readings[0]], check_tags)
    codec = load_codec(
        state.lock.locate(plan.sound.codec, "codec").folder, engine.layout, choose_device(machine.device)
    )
    key = partial(_key, model_config, plan)
    requests = [
        Request(
            key(chunk),
            chunk.description,
            chunk.text,
            sequence_seed(key(chunk), 1),
            chunk.max_frames,
            chunk.expected_frames,
        )
        for chunks in readings
        for chunk in chunks
    ]
    rows: dict[str, Generation] = {}
    decoding: Decoding = "free" if model_config.decoding == "free" else "framed"
    for generations in engine.generate(requests, plan.sound.sampling, decoding):
        rows |= {row.key: row for row in generations}
    rate, quality = engine.layout.sampling_rate, plan.sound.quality
    for seed, (chunks, path) in enumerate(zip(readings, paths, strict=True)):
        clips: list[Clip] = []
        problems: list[Problem] = []
        for chunk in chunks:
            row = rows[key(chunk)]
            wave = codec.decode(row.codes, noise_seed(row.key, 1))
            clips.append(Clip(audible(wave), chunk.pause))
            problems += check_codes(row, chunk.text, chunk.expected_frames, engine.layout, None, quality)
            problems += check_sound(wave, rate, chunk.text, quality)
        tags = TrackTags(
            title=f"{name}, seed {seed}", album=plan.book.title, artist="", track=1, tracks=1, comment=_MARK
        )
        pcm = stitch(clips, start=_EDGE, end=_EDGE, sampling_rate=rate)
        with stop.put_off():
            seconds = write_chapter(pcm, [Target(path, "wav")], tags, rate)
        yield Sample(path, seed, seconds, tuple(problems))


def _key(model_config: ModelConfig, plan: Plan, chunk: Chunk) -> str:
    return chunk.key(model_config, plan.sound)
