"""Ends the sequences of random weights, which never end a text, at random lengths of a real model's pace."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from maya_batch.bench.workload import PACE
from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS
from maya_batch.engine.api import NO_HOOKS, Decoding, Engine, Generation, Hooks, Request, Sampling
from maya_batch.engine.load import load_engine


def drawn_frames(seed: int, text: str, pace: tuple[int, int] = PACE) -> int:
    """The length of a text in frames, with tokens a word drawn from the range `pace` by the request's seed."""
    drawn = np.random.Generator(np.random.Philox(key=seed).jumped()).uniform(*pace)
    return max(round(len(text.split()) * drawn / SLOTS), MIN_FRAMES)


def load_with_drawn_lengths(name: str, folder: Path, *, kv_cache: str = "auto", **settings: Any) -> Engine:
    """Load an engine as `load_engine` does, with its settings, and end its sequences at drawn lengths.

    With a `kv_cache` of `auto` it has 8 bits where the engine offers them: a trial of random weights tells nothing.
    """
    engine = load_engine(name, folder, kv_cache=kv_cache, **settings)
    if kv_cache == "auto" and engine.offers_int8_cache:
        engine.use_kv_cache("int8")
    return cast(Engine, DrawnLengths(engine))


class DrawnLengths:
    """Wraps an engine, and ends each sequence after `drawn_frames`."""

    offers_int8_cache = False
    """Its cache is decided."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        """Everything but `generate` comes from the engine."""
        return getattr(self._engine, name)

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        """Generate with the wrapped engine; every request, also those that join later, gets a drawn length."""
        joining = Hooks(
            hooks.tick, lambda: self._with_lengths(hooks.retries()), lambda: self._with_lengths(hooks.later())
        )
        return self._engine.generate(self._with_lengths(requests), sampling, decoding, joining)

    def _with_lengths(self, requests: Sequence[Request]) -> list[Request]:
        return [replace(request, stop_after_frames=drawn_frames(request.seed, request.text)) for request in requests]
