"""A single text becomes one audio file, with nothing kept."""

from pathlib import Path
from typing import TYPE_CHECKING

from maya_batch.audio.chapter_file import read_comment, write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, stitch
from maya_batch.audio.waveform_cache import audible
from maya_batch.audio.writers import FORMATS, Target
from maya_batch.book.plan import speech_plan
from maya_batch.book.settings import Machine, Sound
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.engine.api import Request
from maya_batch.engine.load import load_engine
from maya_batch.errors import UsageError
from maya_batch.interrupt import Stop
from maya_batch.quality import Problem
from maya_batch.quality.audio_checks import check_sound
from maya_batch.quality.code_checks import check_codes
from maya_batch.run.generate import sequence_seed
from maya_batch.run.loading import choose_decoding

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The silences of a manifest's defaults: a little before and after, so that players do not cut into the speech.
_EDGE = 0.2
#: How files say that they were made here; those of version 0.1 say nothing. `say` writes over no other.
_COMMENT = "maya-batch-say"


def say(
    text: str, description: str, sound: Sound, machine: Machine, path: Path, stop: Stop | None = None
) -> tuple[float, list[Problem]]:
    """Speak `text` into the file `path`; the seconds written and what is wrong with them.

    While the file is written, a signal ends it between two clips.

    Raises:
        Interruption: a signal came.
        ManifestError: the text has mistakes, each with its place.
        UsageError: a file of that name is there that was not made by this.
        MachineError: a model, the GPU, the disk or ffmpeg is not as it must be.
    """
    if path.suffix[1:] not in FORMATS:
        raise UsageError(f"{path}: the name must end in {' or '.join(f'.{name}' for name in FORMATS)}")
    if (path.exists() or path.is_symlink()) and read_comment(path) not in (_COMMENT, ""):
        raise UsageError(f"{path} is there and was not made by `say`; move it, or choose another name")
    chunks = speech_plan(text, description, sound)
    from maya_batch.audio.snac_codec import load_codec
    from maya_batch.engine.device import choose_device

    engine = load_engine(
        machine.engine,
        find_checkpoint(sound.model, "model").folder,
        device=machine.device,
        dtype=machine.dtype,
        quantization=machine.quantization or "none",
        batch_size=machine.batch_size,
    )
    codec = load_codec(find_checkpoint(sound.codec, "codec").folder, engine.layout, choose_device(machine.device))
    requests = [
        Request(
            chunk.ref,
            chunk.description,
            chunk.text,
            sequence_seed(chunk.ref, sound.seed),
            chunk.max_frames,
            chunk.expected_frames,
        )
        for chunk in chunks
    ]
    decoding = choose_decoding(engine, requests, sound, machine)
    rows = {row.key: row for rows in engine.generate(requests, sound.sampling, decoding) for row in rows}
    problems: list[Problem] = []
    stop = stop or Stop()

    def clips() -> "Iterator[Clip]":
        for request, chunk in zip(requests, chunks, strict=True):
            stop.check()
            row = rows[chunk.ref]
            wave = codec.decode(row.codes, request.seed)
            found = (
                *check_codes(row, chunk.text, chunk.expected_frames, engine.layout, None, sound.quality),
                *check_sound(wave, engine.layout.sampling_rate, chunk.text, sound.quality),
            )
            problems.extend(Problem(problem.kind, f"{problem.detail}, in {chunk.text[:40]!r}") for problem in found)
            yield Clip(audible(wave), chunk.pause)

    tags = TrackTags(title=text[:60], album="", artist="", track=1, tracks=1, comment=_COMMENT)
    pcm = stitch(clips(), start=_EDGE, end=_EDGE, sampling_rate=engine.layout.sampling_rate)
    target = Target(path, path.suffix[1:], None)
    with stop.put_off():
        seconds = write_chapter(pcm, [target], tags, engine.layout.sampling_rate)
    return seconds, problems
