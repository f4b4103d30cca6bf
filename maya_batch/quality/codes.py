"""What is wrong with a take, seen from its codes alone."""

from maya_batch.engines import Generation
from maya_batch.quality import Problem
from maya_batch.tokens import TokenLayout


def check_codes(generation: Generation, layout: TokenLayout) -> tuple[Problem, ...]:
    """The problems of what an engine wrote for one chunk."""
    frames = len(generation.codes)
    heard = f"{frames} frames, {layout.seconds(frames):.1f} s"
    if generation.finish == "cap":
        return (Problem("cap", f"no end within {heard}: it may run on, or stop before the text does"),)
    if generation.finish == "broken":
        return (Problem("broken", f"left its frame after {heard} ({generation.detail}); the rest is missing"),)
    return ()
