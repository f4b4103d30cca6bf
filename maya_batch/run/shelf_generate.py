"""The engine's thread in a run over several books: it generates their takes in one batch."""

import time
from collections.abc import Callable, Iterator, Sequence

from maya_batch.audio.waveform_cache import noise_seed
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Decoding, Engine, Generation, Hooks, Request, Sampling
from maya_batch.run.generate import checked_take, engine_name, generation_order, request_for, sequence_seed
from maya_batch.run.result import process_age
from maya_batch.run.shelf_book import OpenBook, ShelfRequest

#: Asks for further requests.
Ask = Callable[[], Sequence[ShelfRequest]]


class ShelfGenerator:
    """Owns the engine while a batch runs, on the main thread."""

    def __init__(self, engine: Engine, sampling: Sampling, decoding: Decoding) -> None:
        self._engine, self._sampling, self._decoding = engine, sampling, decoding
        self._asked: dict[str, ShelfRequest] = {}
        self.first_frame = 0.0
        """Seconds from the start of the process to the first frame; 0 where none was generated."""

    def generate(
        self, requests: Sequence[ShelfRequest], tick: Callable[[], None], retries: Ask, later: Ask
    ) -> Iterator[list[tuple[OpenBook, list[Take]]]]:
        """Generate takes; those that end together are returned together, by book, as soon as they end.

        `tick`, `retries` and `later` are called by the engine. The time that it takes is added to the stage "model" of
        the books whose takes end, by their lengths.
        """

        def frame() -> None:
            self.first_frame = self.first_frame or process_age()
            tick()

        began = time.monotonic()
        for generations in self._engine.generate(
            self._in_order(requests),
            self._sampling,
            self._decoding,
            Hooks(
                frame,
                lambda: [self._ask(request) for request in retries()],
                lambda: self._in_order(later()),
            ),
        ):
            spent, frames = time.monotonic() - began, sum(len(made.codes) for made in generations)
            by_book: dict[int, tuple[OpenBook, list[Take]]] = {}
            for made in generations:
                asked = self._asked.pop(made.key)
                _, takes = by_book.setdefault(asked.book.entry.number, (asked.book, []))
                takes.append(self._take(made, asked))
            for book, takes in by_book.values():
                share = sum(len(take.codes) for take in takes) / frames if frames else 1 / len(by_book)
                book.count(spent * share)
            yield list(by_book.values())
            began = time.monotonic()

    def _in_order(self, requests: Sequence[ShelfRequest]) -> list[Request]:
        return [self._ask(request) for request in generation_order(requests, self._engine.batch_size)]

    def _ask(self, asked: ShelfRequest) -> Request:
        self._asked[asked.name] = asked
        key, attempt = asked.request.key, asked.request.attempt
        return request_for(asked.chunk, asked.name, sequence_seed(key, attempt), noise_seed(key, attempt))

    def _take(self, made: Generation, asked: ShelfRequest) -> Take:
        seed = sequence_seed(asked.request.key, asked.request.attempt)
        return checked_take(made, asked.request, seed, asked.book.run.state.plan, engine_name(self._engine))
