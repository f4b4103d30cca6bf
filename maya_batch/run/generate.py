"""Chunks become takes: asked for in an order that keeps the engine busy, and checked by their codes as they come."""

import hashlib
import time
from collections.abc import Callable, Container, Mapping, Sequence

from maya_batch.book.plan import Chunk
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Decoding, Engine, Request
from maya_batch.quality.code_checks import check_form
from maya_batch.run.result import Outcome, process_age


class Speaker:
    """An engine, and the book that it speaks."""

    def __init__(self, engine: Engine, state: BookState, outcome: Outcome) -> None:
        self._engine, self._state, self._outcome = engine, state, outcome

    def speak(
        self,
        chunks: Sequence[Chunk],
        seeds: Mapping[str, int | None],
        receive: Callable[[list[Take]], None],
        tick: Callable[[], None],
        again: Callable[[Container[str]], Sequence[Chunk]],
    ) -> None:
        """Have the next take of each chunk spoken; `seeds`, by key, are those that a person gave, or None.

        `receive` is given takes as they end, `tick` called between two frames; so is `again`, which has those chunks of
        the keys it is given that are to be spoken once more, what they said last being received.
        """
        state, plan, engine = self._state, self._state.plan, self._engine
        by_key = {state.key(chunk): chunk for chunk in chunks}
        attempts = {key: state.attempts(chunk) for key, chunk in by_key.items()}
        row_seeds: dict[str, int] = {}

        def ask(key: str, chunk: Chunk) -> Request:
            attempts[key] += 1
            self._outcome.retries += attempts[key] > 1 and key not in seeds
            given = seeds.get(key)
            row_seeds[key] = row_seed(key, attempts[key]) if given is None else given
            return Request(key, chunk.description, chunk.text, row_seeds[key], chunk.max_frames, chunk.expected_frames)

        def more() -> list[Request]:
            return [ask(state.key(chunk), chunk) for chunk in again(by_key)]

        requests = [ask(key, chunk) for key, chunk in by_key.items()]
        decoding: Decoding = "free" if state.recipe is not None and state.recipe.decoding == "free" else "framed"

        def frame() -> None:
            self._outcome.first_frame = self._outcome.first_frame or process_age()
            tick()

        began = time.monotonic()
        for generations in engine.generate(requests, plan.sound.sampling, decoding, frame, more):
            self._outcome.spent("model", began)
            receive(
                [
                    Take(
                        key=generation.key,
                        attempt=attempts[generation.key],
                        codes=generation.codes,
                        seed=row_seeds[generation.key],
                        finish=generation.finish,
                        problems=check_form(generation, by_key[generation.key].text, plan.layout, plan.sound.quality),
                        engine=engine_name(engine),
                    )
                    for generation in generations
                ]
            )
            began = time.monotonic()
        self._outcome.spent("model", began)


def in_order(chunks: Sequence[Chunk], rows: int) -> list[Chunk]:
    """Reading order, so that chapters are whole during the night; but the last rows by length, the longest first, so
    that none is left alone on the GPU at the end. More of them would leave more chapters to be put together then, and
    long rows alone fill a small memory with few of them.
    """
    last = max(min(rows, len(chunks)) // 4, 1)
    head, tail = chunks[:-last], chunks[-last:]
    return [*head, *sorted(tail, key=lambda chunk: -chunk.expected_frames)]


def row_seed(key: str, attempt: int) -> int:
    """What settles a row's draws: its chunk and which attempt this is, nothing else."""
    return int.from_bytes(hashlib.sha256(f"row {key} {attempt}".encode()).digest()[:7])


def engine_name(engine: Engine) -> str:
    """Engine, number format and quantization, in three words."""
    return f"hf {engine.dtype} {engine.quantization}"
