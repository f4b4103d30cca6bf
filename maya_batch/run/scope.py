"""The part of a book that a run works on."""

from dataclasses import dataclass

from maya_batch.book.chunk import Chapter, Chunk


@dataclass(frozen=True)
class Scope:
    """Which chunks a run renders, and of which chapters it writes the files; None means all."""

    chapters: frozenset[int] | None = None
    """The numbers of the chapters that are rendered and written."""
    samples: frozenset[str] | None = None
    """The refs of the only chunks that are rendered; then no chapter is written."""

    def renders(self, chunk: Chunk) -> bool:
        """Whether the run renders this chunk if it needs a take."""
        if self.samples is not None:
            return chunk.ref in self.samples
        return self.chapters is None or chunk.chapter in self.chapters

    def writes(self, chapter: Chapter) -> bool:
        """Whether the run writes the files of this chapter."""
        return self.samples is None and (self.chapters is None or chapter.number in self.chapters)


WHOLE_BOOK = Scope()
