"""Finds what a voice of the book says."""

from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan
from maya_batch.manifest import Voice
from maya_batch.text.typography import finish_description


def first_chunk(plan: Plan, voice: Voice) -> Chunk | None:
    """The first chunk of a voice, or of another one with the same description and seed; None if there is none."""
    own = finish_description(voice.description), plan.sound.seed if voice.seed is None else voice.seed
    return next((chunk for chunk in plan.chunks() if (chunk.description, chunk.seed) == own), None)
