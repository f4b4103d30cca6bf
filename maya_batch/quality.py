"""What is wrong with a take, seen from its codes alone."""

from dataclasses import dataclass

from maya_batch.engines import Generation
from maya_batch.tokens import TokenLayout


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a take: its `kind`, in one word, and the figures."""

    kind: str
    detail: str


def check(generation: Generation, layout: TokenLayout) -> tuple[Problem, ...]:
    """The problems of what an engine wrote for one chunk."""
    frames = len(generation.codes)
    heard = f"{frames} frames, {layout.seconds(frames):.1f} s"
    if generation.finish == "cap":
        return (Problem("cap", f"no end within {heard}: it may run on, or stop before the text does"),)
    if generation.finish == "broken":
        return (Problem("broken", f"left its frame after {heard} ({generation.detail}); the rest is missing"),)
    return ()
