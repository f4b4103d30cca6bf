"""What the driver, which renders the book, and its workers tell each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import Decoder
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Decoding, Engine, EngineStats, Generation, Sampling


@dataclass(frozen=True)
class EngineSettings:
    """How a worker loads its engine; see `engine.load.load_engine`."""

    engine: str
    device: str
    dtype: str
    quantization: str
    batch_size: int | None
    kv_cache: str

    @classmethod
    def of(cls, machine: Machine) -> "EngineSettings":
        """What the settings of the machine say, where no book has its own."""
        quantization = machine.quantization or "none"
        return cls(*(machine.engine, machine.device, machine.dtype, quantization, machine.batch_size, machine.kv_cache))

    def load(self, load_engine: Callable[..., Engine], path: Path) -> Engine:
        """Load the checkpoint at `path` with `load_engine`."""
        return load_engine(
            self.engine,
            path,
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            batch_size=self.batch_size,
            kv_cache=self.kv_cache,
        )


@dataclass(frozen=True)
class CodecJob:
    """The codec with which workers decode. They find it by its name on their own machines, and load it if it has this
    identity.
    """

    load: Callable[[Path, TokenLayout, str], Decoder]
    checkpoint: Checkpoint
    identity: str


@dataclass(frozen=True)
class Job:
    """What a worker is started with. It finds the checkpoint by its name on its own machine."""

    load: Callable[..., Engine]
    checkpoint: Checkpoint
    settings: EngineSettings
    codec: CodecJob | None = None
    """None: the driver decodes."""


@dataclass(frozen=True)
class Note:
    """A line of a worker's log: its level, as `logging` numbers them, and the message."""

    level: int
    message: str


@dataclass(frozen=True)
class Loaded:
    """The engine that a worker has loaded."""

    identity: str
    """Of its checkpoint, as model.lock has it."""
    name: str
    dtype: str
    quantization: str
    kv_cache: Literal["model", "int8"]
    offers_int8_cache: bool
    batch_size: int
    layout: TokenLayout
    tags: tuple[str, ...]
    notes: tuple[Note, ...] = ()

    @property
    def form(self) -> str:
        """Engine, number format and quantization, which all workers of a run have in common."""
        return f"{self.name} {self.dtype} {self.quantization}"


@dataclass(frozen=True)
class Call:
    """One call of the engine's `generate`. A worker that gets a request of another one drops all earlier requests."""

    number: int
    sampling: Sampling
    decoding: Decoding
    kv_cache: Literal["model", "int8"]


@dataclass(frozen=True)
class Beat:
    """What a worker answers several times a second."""

    generations: Sequence[Generation]
    frames: int
    """How often its engine has called `tick`; a worker whose number stands still hangs."""
    batch_size: int
    stats: EngineStats
    peak_memory: int
    """As `Engine.peak_memory`."""
    idle: float
    """Seconds without a request since the engine was loaded."""
    failure: str = ""
    """Why its engine has failed; it generates nothing more."""
    notes: Sequence[Note] = field(default_factory=tuple)
    waveforms: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """The samples of generations, by key; what is not here, the driver decodes."""

    def without_takes(self) -> "Beat":
        """The counters alone. The memory of codes and samples is Ray's, which frees it when none of them is kept."""
        return replace(self, generations=(), waveforms={})
