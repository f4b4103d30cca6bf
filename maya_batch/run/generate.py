"""Chunks -> takes: requested in an order that keeps the engine busy, and checked by their codes as they come."""

import hashlib
import time
from collections.abc import Callable, Container, Mapping, Sequence

from maya_batch.book.chunk import Chunk
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Decoding, Engine, Request
from maya_batch.quality.code_checks import check_form
from maya_batch.run.result import RunResult, process_age


class TakeGenerator:
    """An engine, and the book whose takes it generates."""

    def __init__(self, engine: Engine, state: BookState, result: RunResult) -> None:
        self._engine, self._state, self._result = engine, state, result

    def generate(
        self,
        chunks: Sequence[Chunk],
        chosen_seeds: Mapping[str, int | None],
        on_takes: Callable[[list[Take]], None],
        tick: Callable[[], None],
        retries: Callable[[Container[str]], Sequence[Chunk]],
    ) -> None:
        """Generate the next take of each chunk. `chosen_seeds`, by key, are those that a person gave, or None.

        `on_takes` receives finished takes. Between frames the engine calls `tick`, then `retries`, which is given the
        keys of these chunks and returns those to generate again; their previous takes were delivered before.
        """
        state, plan, engine = self._state, self._state.plan, self._engine
        by_key = {state.key(chunk): chunk for chunk in chunks}
        attempts = {key: state.attempts(chunk) for key, chunk in by_key.items()}
        seeds: dict[str, int] = {}

        def ask(key: str, chunk: Chunk) -> Request:
            attempts[key] += 1
            self._result.retries += attempts[key] > 1 and key not in chosen_seeds
            given = chosen_seeds.get(key)
            seeds[key] = sequence_seed(key, attempts[key]) if given is None else given
            return Request(key, chunk.description, chunk.text, seeds[key], chunk.max_frames, chunk.expected_frames)

        def requests_again() -> list[Request]:
            return [ask(state.key(chunk), chunk) for chunk in retries(by_key)]

        requests = [ask(key, chunk) for key, chunk in by_key.items()]
        decoding: Decoding = (
            "free" if state.model_config is not None and state.model_config.decoding == "free" else "framed"
        )

        def frame() -> None:
            self._result.first_frame = self._result.first_frame or process_age()
            tick()

        began = time.monotonic()
        for generations in engine.generate(requests, plan.sound.sampling, decoding, frame, requests_again):
            self._result.spent("model", began)
            on_takes(
                [
                    Take(
                        key=generation.key,
                        attempt=attempts[generation.key],
                        codes=generation.codes,
                        seed=seeds[generation.key],
                        finish=generation.finish,
                        problems=check_form(generation, by_key[generation.key].text, plan.layout, plan.sound.quality),
                        engine=engine_name(engine),
                    )
                    for generation in generations
                ]
            )
            began = time.monotonic()
        self._result.spent("model", began)


def generation_order(chunks: Sequence[Chunk], batch_size: int) -> list[Chunk]:
    """Reading order, so that chapters are complete during the night; but the last chunks by length, the longest first.

    So no long one is left alone on the GPU at the end. More of them would leave more chapters to be written then, and
    long sequences alone fill a small memory with few of them.
    """
    last = max(min(batch_size, len(chunks)) // 4, 1)
    head, tail = chunks[:-last], chunks[-last:]
    return [*head, *sorted(tail, key=lambda chunk: -chunk.expected_frames)]


def sequence_seed(key: str, attempt: int) -> int:
    """The seed of a sequence's random numbers: its chunk and the number of the attempt decide it, nothing else."""
    # "row" is what version 0.1 called a sequence; another word would be other seeds.
    return int.from_bytes(hashlib.sha256(f"row {key} {attempt}".encode()).digest()[:7])


def engine_name(engine: Engine) -> str:
    """Engine, number format and quantization, in three words."""
    return f"hf {engine.dtype} {engine.quantization}"
