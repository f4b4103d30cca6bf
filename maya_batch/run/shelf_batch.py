"""A batch of a run over several books: the engine, and which books can be rendered with it as it is."""

from dataclasses import dataclass
from pathlib import Path

from maya_batch.engine.api import Decoding, Sampling
from maya_batch.run.loading import BookEngine
from maya_batch.run.shelf_book import OpenBook


@dataclass(frozen=True)
class ShelfBatch:
    """What the books of a batch have in common."""

    loaded: BookEngine
    sampling: Sampling
    checkpoint: Path
    begun: bool
    """Whether the book that it began with was rendered before, so that its model.lock settles the model config."""

    @property
    def decoding(self) -> Decoding:
        """Constrained or unconstrained."""
        return "free" if self.loaded.model_config.decoding == "free" else "framed"

    def serves(self, book: OpenBook) -> bool:
        """Whether a book is rendered with this engine, as it is now.

        A new book takes over what an earlier new one found out about the model: its decoding and its KV cache.
        """
        state = book.run.state
        if (state.plan.sound.sampling, checkpoint_of(book)) != (self.sampling, self.checkpoint):
            return False
        return not self.begun if state.model_config is None else state.model_config == self.loaded.model_config


def checkpoint_of(book: OpenBook) -> Path:
    """Where the model of a book is."""
    state = book.run.state
    return state.lock.find(state.plan.sound.model, "model").path
