"""A chunk, its key, and the chapter that it is part of."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.settings import Sound
from maya_batch.engine.api import Sampling
from maya_batch.text.passage import Change

#: Raised when the meaning of anything in a key changes; then old takes no longer match.
_KEY_VERSION = 1

#: The JSON that is digested to a key.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Chunk:
    """A text that one voice speaks in one go."""

    chapter: int
    """Its number, from 1; opening credits have 0."""
    index: int
    """In its chapter, from 1; people name the chunk `chapter:index`."""
    source: str
    """The text in the manifest; the sources of all chunks of a chapter, joined, are the chapter's text. Empty if the
    chunk is spoken before it and announces the chapter's title.
    """
    description: str
    text: str
    seed: int
    occurrence: int
    """The number of this chunk, from 1, among the chunks of the book with equal description, text and seed."""
    expected_frames: int
    max_frames: int
    pause: float
    """Silence after it, in seconds; after the last one of a chapter, what is added to `chapter_end`."""
    words: int
    pause_before: float = 0.0
    """Silence before it, in seconds: what the first one of a chapter adds to `chapter_start`."""
    changes: tuple[Change, ...] = ()
    """What is spoken in another form than written; their offsets are those of the chapter's text, or, where the title
    is announced, of the title.
    """
    voice: str = ""
    """The name of its voice in the manifest."""

    @property
    def ref(self) -> str:
        """The name of the chunk for people, like `3:17`."""
        return f"{self.chapter}:{self.index}"

    def key(self, model_config: ModelConfig, sound: Sound) -> str:
        """The key of this chunk's takes: a digest of all that shapes their codes."""
        shaping = {
            "version": _KEY_VERSION,
            "recipe": {"model": model_config.model, **model_config.recipe},
            "description": self.description,
            "text": self.text,
            "sampling": _plain(sound.sampling),
            "seed": self.seed,
            "occurrence": self.occurrence,
        }
        return hashlib.sha256(_CANONICAL.encode(shaping).encode()).hexdigest()


@dataclass(frozen=True)
class Chapter:
    """A chapter's chunks, and the stem of its file names."""

    number: int
    title: str
    stem: str
    chunks: tuple[Chunk, ...]
    part: str = ""
    """The part of the book that it belongs to; empty without one."""
    credits: bool = False
    """Whether these are opening or closing credits."""
    jingle: bool = False
    """Whether the book's jingle comes before it: it has one, and another chapter comes before."""


@lru_cache(maxsize=64)
def _plain(part: Sampling) -> dict[str, Any]:
    """A part of a key, as a mapping. Cached: it is the same for all chunks of a book."""
    return asdict(part)
