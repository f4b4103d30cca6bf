"""What was measured and done when a chapter was assembled: loudness and pauses of its clips, and its mastering."""

from dataclasses import dataclass, field
from itertools import chain

from maya_batch.book.chapter_stats import LONGEST


@dataclass(frozen=True)
class ClipSound:
    """One clip in its chapter."""

    lufs: float | None
    """Its loudness before mastering; None for silence and below 400 ms."""
    gain: float = 0.0
    """dB that its voice and itself were evened by."""
    step: float | None = None
    """LU by which it is louder than the clip of its voice before it, with both gains; None without two loudnesses."""
    spoken: tuple[int, int] | None = None
    """Where its first sound begins and its last one ends, in ms from the start of the file; None if it is not known."""
    quiet: tuple[tuple[int, int], ...] = ()
    """Start and end of each pause between them, in ms from the start of the file."""
    lead: int = 0
    """Where its first sound begins in its take, in ms."""

    def __post_init__(self) -> None:
        places = [] if self.spoken is None else [self.spoken[0], *chain(*self.quiet), self.spoken[1]]
        limits = [0, *places, 1000 * LONGEST]
        is_empty = any(start == end for start, end in self.quiet)
        if is_empty or limits != sorted(limits) or not 0 <= self.lead <= 1000 * LONGEST:
            raise ValueError(f"{places}: not a clip and its pauses in order")


@dataclass(frozen=True)
class ChapterSound:
    """One chapter."""

    clips: dict[str, ClipSound]
    """By the index of the chunk in its chapter, as text."""
    gain: float | None = None
    """dB that the whole chapter was raised by; None without mastering."""
    voices: dict[str, float] = field(default_factory=dict)
    """dB by voice."""
    missed: float = 0.0
    """dB that it lacks to its target."""
    over: float = 0.0
    """dB by which a peak of its encoded files is above the true peak of `master`."""
