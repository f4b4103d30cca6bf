"""What a run did."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.engine.api import EngineStats
from maya_batch.errors import EXIT_PROBLEMS, EXIT_STOPPED, EXIT_WHOLE
from maya_batch.quality import Problem

#: Stages of a run that follow each other; and stages that are part of the last one or, on a GPU, run in the background.
IN_TURN = ("loading", "model", "finishing")
IN_BACKGROUND = ("files", "codec and audio", "examining", "listening")


class StageTimes(dict[str, float]):
    """Seconds by stage, counted by one thread."""

    def spent(self, stage: str, since: float) -> None:
        """Add the time since `since` (of the monotonic clock) to a stage."""
        self.add(stage, time.monotonic() - since)

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds to a stage."""
        self[stage] = self.get(stage, 0.0) + seconds


@dataclass
class RunResult:
    """What a run did.

    On a GPU, files, codec and audio, examining and listening (with speech recognition) run in the background while the
    model generates; finishing is what is left of them after it. What several threads do at the same time is added up.
    On a CPU all four are part of finishing.
    """

    chunks: int = 0
    """Chunks that this run generated a good take of, or used up all attempts for."""
    examined: int = 0
    """Chunks whose takes an earlier run stored, and this one only examined."""
    speech: float = 0.0
    """Seconds of speech in those takes."""
    retries: int = 0
    """Takes that were made because an earlier one had problems."""
    files: list[Path] = field(default_factory=list)
    problems: list[tuple[Chunk, Problem]] = field(default_factory=list)
    incomplete: list[Chapter] = field(default_factory=list)
    left_out: list[Chapter] = field(default_factory=list)
    """Chapters without current files that the run was told to leave to another one."""
    stages: StageTimes = field(default_factory=StageTimes)
    peak_gpu_bytes: int = 0
    """The most memory that the engine held: of the GPU, or, if `peak_in_process`, of this process."""
    peak_in_process: bool = False
    first_frame: float = 0.0
    """Seconds from the start of the process to the first frame; 0 where none was generated."""
    engine_stats: EngineStats = field(default_factory=EngineStats)
    engine: str = ""
    """Engine, number format and quantization."""
    report: Path | None = None
    """The path of report.html; None where none was written."""

    @property
    def exit_code(self) -> int:
        """The exit code of a run that was not stopped: chapters that are not written override problems."""
        if self.incomplete or self.left_out:
            return EXIT_STOPPED
        return EXIT_PROBLEMS if self.problems else EXIT_WHOLE

    @property
    def x_realtime(self) -> float | None:
        """Seconds of speech a second, without the time of loading; None where nothing was rendered."""
        rendering = self.stages.get("model", 0.0) + self.stages.get("finishing", 0.0)
        return self.speech / rendering if self.speech and rendering else None


def process_age() -> float:
    """Seconds since this process was started, with the interpreter's start and all imports (Linux)."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
