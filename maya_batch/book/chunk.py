"""What is spoken in one go, its key, and the chapter that it is part of."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.settings import Sound
from maya_batch.engine.api import Sampling

#: Counts up when the meaning of anything in a key changes; then old takes no longer fit.
_KEY_VERSION = 1

#: How what is in a key is written down.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Chunk:
    """What is spoken in one go, by one voice."""

    chapter: int
    index: int
    """Chapter and place in it, both from 1: `chapter:index` is how a person names the chunk."""
    source: str
    """The manifest's own characters; those of all chunks of a chapter, joined, are the chapter's text."""
    description: str
    text: str
    seed: int
    occurrence: int
    """Which one this is, from 1, of the chunks of the book with equal description, text and seed."""
    expected_frames: int
    max_frames: int
    pause: float
    """Silence after it, in seconds."""
    words: int

    @property
    def ref(self) -> str:
        """How a person names the chunk."""
        return f"{self.chapter}:{self.index}"

    def key(self, model_config: ModelConfig, sound: Sound) -> str:
        """The name of this chunk's takes: a digest of all that shapes its codes."""
        shaping = {
            "version": _KEY_VERSION,
            "recipe": _plain(model_config),
            "description": self.description,
            "text": self.text,
            "sampling": _plain(sound.sampling),
            "seed": self.seed,
            "occurrence": self.occurrence,
        }
        return hashlib.sha256(_CANONICAL.encode(shaping).encode()).hexdigest()


@dataclass(frozen=True)
class Chapter:
    """A chapter's chunks and the name of its files, without the ending."""

    number: int
    title: str
    stem: str
    chunks: tuple[Chunk, ...]


@lru_cache(maxsize=64)
def _plain(part: ModelConfig | Sampling) -> dict[str, Any]:
    """Part of a key as JSON has it; the same for all chunks of a book."""
    return asdict(part)
