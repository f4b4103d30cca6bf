"""Requests with short texts for the engines' tests, and what they become."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from maya_batch.engine.api import NO_HOOKS, Engine, EngineStats, Generation, Hooks, Request, Sampling
from tests.support.demo import FEMALE, MALE

TEXTS = ["Yes.", "Come in, my friend.", "He ran.", "<sigh> Well.", "Who is it?", "Go on.", "Stop now.", "The rain."]
MAX_FRAMES = [4, 4, 4, 4, 4, 4, 30, 7, 5, 6, 7, 5]


def request(number: int, frames: int) -> Request:
    """Prompts of many lengths."""
    voice = (FEMALE, MALE, "Female.", f"{MALE} Slow pacing.", "Male voice.")[number % 5]
    text = "No!" if frames == 30 else TEXTS[number % len(TEXTS)]
    return Request(f"{number}", voice, text, 100 + number, frames)


REQUESTS = [request(number, frames) for number, frames in enumerate(MAX_FRAMES)]


def generate(
    engine: Engine,
    requests: Sequence[Request],
    sampling: Sampling,
    batch_size: int,
    hooks: Hooks = NO_HOOKS,
    stats: EngineStats | None = None,
) -> Iterator[list[Generation]]:
    """Generate with at most so many sequences together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "batch_size", batch_size)
        patch.setattr(engine, "stats", stats or EngineStats())
        yield from engine.generate(requests, sampling, "framed", hooks)


def generate_all(
    engine: Engine, requests: Sequence[Request], sampling: Sampling, batch_size: int
) -> dict[str, Generation]:
    finished = [generation for found in generate(engine, requests, sampling, batch_size) for generation in found]
    assert sorted(generation.key for generation in finished) == sorted(request.key for request in requests)
    return {generation.key: generation for generation in finished}


def assert_same(found: dict[str, Generation], wanted: dict[str, Generation]) -> None:
    for key, generation in found.items():
        assert generation.finish == wanted[key].finish
        assert np.array_equal(generation.codes, wanted[key].codes), key


SAMPLED = Sampling(temperature=1.0, top_p=1.0, repetition_penalty=1.1)
