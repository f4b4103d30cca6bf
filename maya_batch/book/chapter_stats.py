"""Length and loudness of a chapter's files, measured when they are written."""

from typing import Annotated, NamedTuple

from pydantic import Field

LONGEST = 1_000_000
"""Seconds: 12 days. No chapter is as long, and a file that says so is damaged."""


class ChapterStats(NamedTuple):
    """One chapter."""

    seconds: Annotated[float, Field(ge=0, le=LONGEST)]
    lufs: float | None
    """The loudness; None for silence."""
