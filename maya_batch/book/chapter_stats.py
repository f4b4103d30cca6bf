"""Length and loudness of a chapter's files, measured when they are written."""

from typing import NamedTuple

from pydantic import NonNegativeFloat


class ChapterStats(NamedTuple):
    """One chapter."""

    seconds: NonNegativeFloat
    lufs: float | None
    """The loudness; None for silence."""
