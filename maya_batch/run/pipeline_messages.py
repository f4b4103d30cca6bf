"""What the owners of a run tell each other: see the picture in maya_batch/README.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maya_batch.book.chunk import Chunk
from maya_batch.book.take_store import Take
from maya_batch.quality import Problem
from maya_batch.run.chapters import ChapterWork, Finished


@dataclass(frozen=True)
class TakeRequest:
    """A take to generate: of which chunk, under which key, and the number of the attempt."""

    chunk: Chunk
    key: str
    attempt: int


# To postprocess.


@dataclass(frozen=True)
class Generated:
    """Takes that the engine finished together."""

    takes: list[Take]


@dataclass(frozen=True)
class Unexamined:
    """Takes of one chunk that an earlier run stored, and did not inspect."""

    takes: list[Take]


@dataclass(frozen=True)
class ExaminedAll:
    """All unexamined takes were sent: chapters that wait for no take can be written."""


@dataclass(frozen=True)
class Inspected:
    """A take with all that the inspection found; before it, the problems in `known` were."""

    take: Take
    known: tuple[Problem, ...]
    seconds: float
    """How long its sound was checked."""
    listening: float
    """How long it was transcribed, in seconds."""


@dataclass(frozen=True)
class ChapterEnded:
    """What became of the files of a chapter."""

    work: ChapterWork
    outcome: Finished | BaseException | None
    """What was made, or the error; None if the run ended meanwhile: then the files are as they were."""
    spent: float
    """Seconds."""


@dataclass(frozen=True)
class Encoded:
    """The MP3 of a stored take."""

    take: Take
    mp3: bytes


@dataclass(frozen=True)
class Ended:
    """No message follows: the evidence that is only in memory is to be stored."""


PostprocessMessage = Generated | Unexamined | ExaminedAll | Inspected | ChapterEnded | Encoded | Ended


# To inspect, and to the threads that run ffmpeg: these get a `ChapterWork`, too.


@dataclass(frozen=True)
class Decoded:
    """A stored take that is being decoded."""

    take: Take
    text: str
    waveform: Callable[[], NDArray[np.float32]]
    """Waits for the waveform, mono float32."""
    respellings: Mapping[str, str] = field(default_factory=dict)
    """What the lexicon has the text say, and the words that it stands for."""


@dataclass(frozen=True)
class ToCompare:
    """A stored take that people will compare with others, and its waveform, mono float32."""

    take: Take
    waveform: NDArray[np.float32]


FfmpegMessage = ChapterWork | ToCompare


# To the engine's thread, which alone calls the progress listener.


@dataclass(frozen=True)
class Retry:
    """A chunk to generate again."""

    request: TakeRequest


@dataclass(frozen=True)
class Rendered:
    """A chunk has its take, of so many seconds of speech."""

    seconds: float


@dataclass(frozen=True)
class Examined:
    """A chunk's take from an earlier run is examined, and needs no retry."""


@dataclass(frozen=True)
class Published:
    """A chapter file was written, with so many seconds of audio."""

    path: Path
    seconds: float


EngineMessage = Retry | Rendered | Examined | Published
