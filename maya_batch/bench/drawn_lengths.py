"""Ends the sequences of random weights, which never end a text, at drawn lengths of about a real model's pace."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from maya_batch.bench.workload import PACE
from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Decoding, Engine, EngineStats, Generation, Request, Sampling
from maya_batch.engine.load import load_engine


def drawn_frames(seed: int, text: str, pace: tuple[int, int] = PACE) -> int:
    """The length of a text in frames: tokens a word, drawn between the two bounds of `pace` from the request's seed."""
    drawn = np.random.Generator(np.random.Philox(key=seed).jumped()).uniform(*pace)
    return max(round(len(text.split()) * drawn / SLOTS), MIN_FRAMES)


def load_with_drawn_lengths(
    name: str, folder: Path, *, device: str, dtype: str, quantization: str, batch_size: int | None
) -> Engine:
    """Load an engine as `load_engine` does, and end its sequences at drawn lengths."""
    engine = load_engine(name, folder, device=device, dtype=dtype, quantization=quantization, batch_size=batch_size)
    return DrawnLengths(engine)


class DrawnLengths:
    """Wraps an engine, and ends each sequence after `drawn_frames`."""

    def __init__(self, engine: Engine, pace: tuple[int, int] = PACE) -> None:
        self._engine, self._pace = engine, pace

    @property
    def layout(self) -> TokenLayout:
        """The wrapped engine's layout."""
        return self._engine.layout

    @property
    def dtype(self) -> str:
        """The wrapped engine's dtype."""
        return self._engine.dtype

    @property
    def quantization(self) -> str:
        """The wrapped engine's quantization."""
        return self._engine.quantization

    @property
    def batch_size(self) -> int:
        """The wrapped engine's batch size."""
        return self._engine.batch_size

    @property
    def stats(self) -> EngineStats:
        """The wrapped engine's stats."""
        return self._engine.stats

    def tags(self) -> tuple[str, ...]:
        """The wrapped engine's tags."""
        return self._engine.tags()

    def in_grammar_probability(self, requests: Sequence[Request], sampling: Sampling) -> float:
        """The wrapped engine's probability."""
        return self._engine.in_grammar_probability(requests, sampling)

    def peak_memory(self) -> int:
        """The wrapped engine's peak memory."""
        return self._engine.peak_memory()

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        tick: Callable[[], None] | None = None,
        retries: Callable[[], Sequence[Request]] | None = None,
    ) -> Iterator[list[Generation]]:
        """Generate with the wrapped engine; every request, retries included, gets a drawn length."""
        with_lengths = None if retries is None else lambda: self._with_lengths(retries())
        return self._engine.generate(self._with_lengths(requests), sampling, decoding, tick, with_lengths)

    def _with_lengths(self, requests: Sequence[Request]) -> list[Request]:
        return [
            replace(request, stop_after_frames=drawn_frames(request.seed, request.text, self._pace))
            for request in requests
        ]
