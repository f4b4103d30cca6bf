"""What a run did."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.engine.api import EngineStats
from maya_batch.errors import EXIT_PROBLEMS, EXIT_STOPPED, EXIT_WHOLE
from maya_batch.quality import Problem

#: Stages of a run that follow each other, and what is done in the last of them or, on a GPU, beside the model.
IN_TURN, BESIDE = ("loading", "model", "finishing"), ("files", "codec and audio", "examining")


@dataclass
class RunResult:
    """What a run did. Times in seconds, by stage: loading, model and finishing follow each other, and while the model
    speaks on a GPU, threads beside it spend some on files, on codec and audio, and on examining takes; on a CPU these
    are in finishing.
    """

    chunks: int = 0
    """Chunks that this run has spoken, and that have a take that stays."""
    examined: int = 0
    """Chunks whose takes an earlier run has made, and this one has only examined."""
    speech: float = 0.0
    """Seconds of speech in those takes."""
    retries: int = 0
    """Takes that were made because an earlier one had problems."""
    files: list[Path] = field(default_factory=list)
    problems: list[tuple[Chunk, Problem]] = field(default_factory=list)
    incomplete: list[Chapter] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    peak_gpu_bytes: int = 0
    first_frame: float = 0.0
    """Seconds from the start of the process to the first frame spoken; 0 where none was."""
    engine_stats: EngineStats = field(default_factory=EngineStats)
    engine: str = ""
    """Engine, number format and quantization."""
    report: Path | None = None
    """The page that tells of the run; None where none was written."""

    def spent(self, stage: str, since: float) -> None:
        """Add the time since `since` (of the monotonic clock) to a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + time.monotonic() - since

    @property
    def exit_code(self) -> int:
        """Of a run that came to its end: chapters that lack takes weigh more than problems."""
        if self.incomplete:
            return EXIT_STOPPED
        return EXIT_PROBLEMS if self.problems else EXIT_WHOLE

    @property
    def x_realtime(self) -> float | None:
        """Seconds of speech a second, the model being loaded; None where nothing was rendered."""
        rendering = self.stages.get("model", 0.0) + self.stages.get("finishing", 0.0)
        return self.speech / rendering if self.speech and rendering else None


def process_age() -> float:
    """Seconds since this process was started, the interpreter's own start and all imports counted in (Linux)."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
