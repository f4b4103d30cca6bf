"""Files of speech outside of a book folder: which may be written, and how they are recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment, write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, stitch
from maya_batch.audio.waveform_cache import Decoder, audible
from maya_batch.audio.writers import Target
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Sound
from maya_batch.engine.api import Decoding, Engine, Request
from maya_batch.errors import UsageError
from maya_batch.interrupt import Stop
from maya_batch.quality import Problem
from maya_batch.quality.audio_checks import check_sound
from maya_batch.quality.code_checks import check_codes

#: Seconds of silence before and after the speech, which some players cut off.
_EDGE = 0.2


@dataclass(frozen=True)
class Sample:
    """One file that was written."""

    path: Path
    seed: int
    seconds: float
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Line:
    """A chunk, the request for it, and the seed of the codec's noise."""

    chunk: Chunk
    request: Request
    noise_seed: int


@dataclass(frozen=True)
class SampleFile:
    """One file to write."""

    path: Path
    lines: Sequence[Line]
    tags: TrackTags


def record(
    engine: Engine, codec: Decoder, sound: Sound, decoding: Decoding, files: Sequence[SampleFile], stop: Stop
) -> list[tuple[float, list[tuple[Chunk, Problem]]]]:
    """Generate all lines in one batch and write each file; returns its seconds and the problems of its chunks."""
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
        start = _EDGE + file.lines[0].chunk.pause_before
        pcm = stitch(clips, start=start, end=_EDGE, sampling_rate=layout.sampling_rate)
        with stop.deferred():
            target = Target(file.path, file.path.suffix[1:])
            seconds = write_chapter(pcm, [target], file.tags, layout.sampling_rate)
        written.append((seconds, problems))
    return written


def track_tags(title: str, album: str, comment: str) -> TrackTags:
    """The tags of a file; `comment` says which command wrote it."""
    return TrackTags(title=title, album=album, artist="", track=1, tracks=1, comment=comment)


def sample_folder(plan: Plan, command: str) -> Path:
    """The default folder of a command's files, `<manifest>-<command>` next to the manifest.

    Raises:
        UsageError: it is a link.
    """
    folder = plan.manuscript.folder / f"{plan.manuscript.path.stem}-{command}"
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link; to write where it leads, name it with --output")
    return folder


def sample_paths(folder: Path, names: Sequence[str], command: str, comment: str) -> list[Path]:
    """The paths of files to write. `comment` is that of the files which `command` writes, and may overwrite.

    Raises:
        UsageError: the folder is a file, or one of the files exists with another comment.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; move it, or name another --output")
    paths = [folder / name for name in names]
    for path in paths:
        if (path.exists() or path.is_symlink()) and read_comment(path) != comment:
            raise UsageError(f"{path} exists and was not written by `{command}`; move it, or name another --output")
    return paths
