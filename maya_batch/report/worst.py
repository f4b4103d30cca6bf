"""Which takes a person should listen to first."""

from collections.abc import Iterable

from maya_batch.report.data import ChunkReport

MOST_TAKES = 50
"""Takes whose sound is put into the page: at 32 kbit/s these are about 4 MB, and more than anybody hears in one go."""


def worst_takes(chunks: Iterable[ChunkReport]) -> list[ChunkReport]:
    """The takes with anything against them, the worst first: by problems, then by word error, then as they are read.

    Those that a person chose come last: they were heard already. Chunks without a take are not among them.
    """
    doubtful = [chunk for chunk in chunks if chunk.attempt and (chunk.problems or chunk.word_error)]
    return sorted(doubtful, key=lambda chunk: (chunk.chosen, -len(chunk.problems), -(chunk.word_error or 0.0)))
