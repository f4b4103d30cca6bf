"""The engine's thread: takes are requested in an order that keeps the engine busy, and their codes are checked."""

import hashlib
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from maya_batch.audio.waveform_cache import noise_seed
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.take_store import Take
from maya_batch.engine.api import Decoding, Engine, Generation, Hooks, Request
from maya_batch.quality.code_checks import check_form
from maya_batch.run.pipeline_messages import TakeRequest
from maya_batch.run.result import StageTimes, process_age


class _OfChunk(Protocol):
    @property
    def chunk(self) -> Chunk:
        """The chunk that is spoken."""


Asked = TypeVar("Asked", bound=_OfChunk)


class TakeGenerator:
    """Owns the engine: generates the takes of one run, on the main thread."""

    def __init__(
        self, engine: Engine, plan: Plan, decoding: Decoding, seeds: Mapping[str, int | None], times: StageTimes
    ) -> None:
        """`seeds`, by key, are those that a person gave; None, like no entry, leaves the seed to the attempt.

        The time that the engine takes is added to the stage "model" of `times`.
        """
        self._engine, self._plan, self._decoding, self._seeds, self._times = engine, plan, decoding, seeds, times
        self.first_frame = 0.0
        """Seconds from the start of the process to the first frame; 0 where none was generated."""

    def generate(
        self,
        requests: Sequence[TakeRequest],
        tick: Callable[[], None],
        retries: Callable[[Container[str]], Sequence[TakeRequest]],
    ) -> Iterator[list[Take]]:
        """Generate takes; those that end together are returned together, as soon as they end.

        Between frames the engine calls `tick`, then `retries`, which is given the keys of these requests and returns
        those to generate again; their previous takes were returned before.
        """
        latest: dict[str, TakeRequest] = {}
        keys = {request.key for request in requests}

        def ask(request: TakeRequest) -> Request:
            latest[request.key] = request
            noise = noise_seed(request.key, request.attempt)
            return request_for(request.chunk, request.key, self._seed(request), noise)

        def frame() -> None:
            self.first_frame = self.first_frame or process_age()
            tick()

        began = time.monotonic()
        for generations in self._engine.generate(
            [ask(request) for request in generation_order(requests, self._engine.batch_size)],
            self._plan.sound.sampling,
            self._decoding,
            Hooks(frame, lambda: [ask(request) for request in retries(keys)]),
        ):
            self._times.spent("model", began)
            yield [self._take(generation, latest[generation.key]) for generation in generations]
            began = time.monotonic()
        self._times.spent("model", began)

    def _seed(self, request: TakeRequest) -> int:
        given = self._seeds.get(request.key)
        return sequence_seed(request.key, request.attempt) if given is None else given

    def _take(self, generation: Generation, request: TakeRequest) -> Take:
        return checked_take(generation, request, self._seed(request), self._plan, engine_name(self._engine))


def request_for(chunk: Chunk, key: str, seed: int, noise: int) -> Request:
    """The request that generates a chunk, with the seeds of its random numbers and of its noise."""
    about = chunk.description, chunk.text, seed, chunk.max_frames, chunk.expected_frames
    return Request(key, *about, noise_seed=noise)


def checked_take(generation: Generation, request: TakeRequest, seed: int, plan: Plan, engine: str) -> Take:
    """The take of a generation, with the problems of its codes; `engine` is its `engine_name`."""
    return Take(
        key=request.key,
        attempt=request.attempt,
        codes=generation.codes,
        seed=seed,
        finish=generation.finish,
        problems=check_form(generation, request.chunk.text, plan.layout, plan.sound.quality),
        engine=engine,
    )


def generation_order(requests: Sequence[Asked], batch_size: int) -> list[Asked]:
    """Reading order, which completes chapters during the night; but the last requests by length, the longest first.

    This leaves no long sequence alone on the GPU at the end. Sorting more of them would leave more chapters to be
    written then, and long sequences alone fill a small memory with few of them.
    """
    last = max(min(batch_size, len(requests)) // 4, 1)
    head, tail = requests[:-last], requests[-last:]
    return [*head, *sorted(tail, key=lambda request: -request.chunk.expected_frames)]


def sequence_seed(key: str, attempt: int) -> int:
    """The seed of a sequence's random numbers: its chunk and the number of the attempt decide it, nothing else."""
    # "row" is what version 0.1 called a sequence; another word would be other seeds.
    return int.from_bytes(hashlib.sha256(f"row {key} {attempt}".encode()).digest()[:7])


def engine_name(engine: Engine) -> str:
    """Engine, number format and quantization, in three words; a fourth one if keys and values have 8 bits."""
    words = f"{engine.name} {engine.dtype} {engine.quantization}"
    return words if engine.kv_cache == "model" else f"{words} kv-{engine.kv_cache}"


def peak_in_process(engine: Engine, machine: Machine) -> bool:
    """Whether `engine.peak_memory()` is the memory of this process: with llama.cpp on a CPU it is, else it is a GPU's.

    `machine` is what the engine was loaded for.
    """
    if engine.name != "gguf":
        return False
    from maya_batch.engine.compute_device import compute_device

    return not compute_device(engine.name, machine.device).is_gpu
