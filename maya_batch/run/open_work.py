"""What a run has to do: the chunks that need a take, and the stored takes to examine."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from maya_batch.book.chunk import Chunk
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.run.scope import Scope
from maya_batch.run.take_inspector import TakeInspector


@dataclass(frozen=True)
class OpenWork:
    """Looks for what there is to do in a book, within a scope.

    With `redo_seeds`, by key, these chunks are rendered once each; those in `redone` were, by an earlier start.
    """

    state: BookState
    inspector: TakeInspector
    scope: Scope
    redo_seeds: Mapping[str, int | None] | None
    redone: Container[str]

    def chunks(self) -> Iterator[Chunk]:
        """The chunks that this run may render, in reading order."""
        return filter(self.scope.renders, self.state.plan.chunks())

    def waiting(self) -> list[Chunk]:
        """The chunks that need a take."""
        state, seeds = self.state, self.redo_seeds
        if seeds is not None:
            return [c for c in state.plan.chunks() if state.key(c) in seeds and state.key(c) not in self.redone]
        return [chunk for chunk in self.chunks() if state.needs_take(chunk)]

    def unexamined(self) -> list[tuple[Chunk, Take]]:
        """The stored takes to examine, with their chunks."""
        return list(self._unexamined() if self.redo_seeds is None else self._made())

    def _unexamined(self) -> Iterator[tuple[Chunk, Take]]:
        """Stored takes that were not inspected, and those in use that were not transcribed."""
        for chunk in self.chunks():
            if self.state.lacks_take(chunk):
                continue
            used = self.state.take(chunk)
            for take in self.state.takes(chunk):
                if not take.examined or (take is used and self.inspector.needs_work(take)):
                    yield chunk, take

    def _made(self) -> Iterator[tuple[Chunk, Take]]:
        """The last takes of the keys whose chunks were redone."""
        for chunk in self.state.plan.chunks():
            if (key := self.state.key(chunk)) in self.redone:
                yield chunk, self.state.store.all(key)[-1]
