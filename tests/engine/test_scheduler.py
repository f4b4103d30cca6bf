"""The scheduler with whole books in the decode loop, with a model that only counts frames."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import EngineStats, Request, Sampling
from maya_batch.engine.batch_budget import BatchBudget, graph_batch_size
from maya_batch.engine.decode_loop import DecodeLoop
from maya_batch.engine.paged_cache import BLOCK_SIZE, PagedCache
from maya_batch.engine.sequence_state import SequenceState
from maya_batch.errors import MachineError
from maya_batch.run.generate import generation_order
from tests.measure.batch_orders import Card, run, texts


class CountingRunner:
    """A frame is counted; a sequence ends at its drawn length."""

    def __init__(self, cache: PagedCache, state: SequenceState, sizes: list[tuple[int, int]]) -> None:
        self.cache, self.state, self.sizes = cache, state, sizes

    def warm_up(self, batch_size: int) -> None:
        pass

    def prefill(self, batch_slots: list[int], prompts: list[list[int]]) -> None:
        pass

    def decode(self, batch_size: int, max_context: int) -> None:
        state = self.state
        self.sizes.append((batch_size, int(state.live.sum())))
        over = ((state._stop_after <= state.frames) & (state.live == 1)).int()
        state.ended |= over
        state.live &= 1 - over
        state.frames += state.live

    def prepare(self, batch_size: int) -> bool:
        return False

    def in_grammar_probabilities(self, batch_size: int, max_context: int) -> torch.Tensor:
        raise AssertionError("a book is decoded, not measured")


class CountingBackend:
    """A model whose keys and values are one number a position."""

    device = torch.device("cpu")
    layer_bytes = position_bytes = 1

    def __init__(self, prompt_tokens: int = 0) -> None:
        self.prompt_tokens = prompt_tokens
        self.sizes: list[tuple[int, int]] = []
        """The batch size of each frame, and how many sequences were running."""

    def padded(self, sequences: int) -> int:
        return graph_batch_size(sequences)

    def runner(self, budget: BatchBudget, state: SequenceState) -> CountingRunner:
        self.cache = PagedCache(
            layers=1,
            kv_heads=1,
            head_dim=1,
            batch_slots=graph_batch_size(budget.sequences),
            positions=budget.positions,
            block_size=budget.block_size,
            blocks=budget.blocks,
            dtype=torch.float32,
            device=self.device,
        )
        return CountingRunner(self.cache, state, self.sizes)


@dataclass
class Book:
    requests: list[Request] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, sequences: int, expected_pace: float) -> "Book":
        rng = np.random.default_rng(0)
        book = cls()
        for number in range(sequences):
            words = int(rng.integers(10, 51))
            most, expected = (250 + 64 * words) // SLOTS, int(words * expected_pace) // SLOTS
            text = " ".join(["a"] * words)
            stop = drawn_frames(number, text)
            book.requests.append(Request(str(number), "v", text, number, most, expected, stop))
            book.prompts.append(50 + int(words * 1.3))
        return book


@dataclass
class Decoded:
    frames: dict[str, int]
    together: list[int]
    stats: EngineStats
    free_blocks: int
    sizes: list[tuple[int, int]]


class LoopOver:
    """The loop over a book, with so many blocks of memory."""

    def __init__(self, book: Book, batch_size: int, blocks: int, prompt_tokens: int = 0) -> None:
        self._book = book
        self._stats = EngineStats()
        budget = BatchBudget(batch_size, 3700, blocks, BLOCK_SIZE)
        sampling = Sampling(repetition_penalty=1.0)
        self._backend = CountingBackend(prompt_tokens)
        self._loop = DecodeLoop(self._backend, TokenLayout(), book.requests, sampling, budget, self._stats)

    def all(self) -> Decoded:
        frames: dict[str, int] = {}
        together: list[int] = []
        for generations in self._loop.decode([[0] * length for length in self._book.prompts]):
            frames |= {generation.key: len(generation.codes) for generation in generations}
            together.append(len(self._loop._scheduler.running))
        return Decoded(frames, together, self._stats, self._backend.cache.free_blocks, self._backend.sizes)


def test_the_batch_slots_stay_taken_until_the_last_sequences() -> None:
    book = Book.of(600, expected_pace=52)
    decoded = LoopOver(book, batch_size=96, blocks=3000).all()
    assert len(decoded.frames) == 600
    steady = decoded.together[: len(decoded.together) * 6 // 10]
    assert np.mean(steady) > 90
    assert (decoded.stats.max_sequences, decoded.stats.preemptions) == (96, 0)
    assert decoded.free_blocks == 3000


@pytest.mark.parametrize("expected_pace", [30.0, pytest.param(46.0, marks=pytest.mark.soak), 60.0])  # 46 is right
def test_little_memory_is_filled_however_wrong_the_expectation(expected_pace: float) -> None:
    book = Book.of(300, expected_pace)
    blocks = 400
    decoded = LoopOver(book, batch_size=128, blocks=blocks).all()
    assert len(decoded.frames) == 300
    held = sum(
        frames * SLOTS * (length + frames * SLOTS / 2)
        for frames, length in zip((decoded.frames[request.key] for request in book.requests), book.prompts, strict=True)
    )
    taken = held / (decoded.stats.steps * blocks * BLOCK_SIZE)
    print(f"\nexpected {expected_pace}: {taken:.0%} of the blocks taken, {decoded.stats.preemptions} preemptions")
    assert taken > 0.6
    assert decoded.stats.preemptions < 100  # the youngest sequences: little is lost
    assert decoded.free_blocks == blocks


@pytest.mark.parametrize("blocks", [400, 4000])
def test_a_frame_is_as_small_as_its_sequences_allow(blocks: int) -> None:
    decoded = LoopOver(Book.of(300, expected_pace=46), batch_size=128, blocks=blocks, prompt_tokens=2048).all()
    assert len(decoded.frames) == 300
    assert {size - graph_batch_size(running) for size, running in decoded.sizes} == {0}


def test_what_is_decoded_does_not_depend_on_the_memory() -> None:
    book = Book.of(60, expected_pace=20)
    assert (
        LoopOver(book, batch_size=32, blocks=120).all().frames == LoopOver(book, batch_size=8, blocks=2000).all().frames
    )


def test_a_sequence_that_fits_into_no_memory_is_an_error() -> None:
    with pytest.raises(MachineError, match="too small for one sequence of"):
        LoopOver(Book.of(3, expected_pace=46), batch_size=8, blocks=9).all()


def test_a_prompt_that_fits_into_no_memory_is_an_error() -> None:
    with pytest.raises(MachineError, match="too small for even one chunk"):
        LoopOver(Book.of(3, expected_pace=46), batch_size=8, blocks=1).all()


@pytest.mark.parametrize(("positions", "hours"), [(279_000, 2), (260_000, 4), (75_000, 2)])
def test_of_a_hundred_sequences_in_a_full_memory_at_most_one_begins_again(positions: int, hours: float) -> None:
    """The benchmark's texts and drawn lengths, which are not those that are expected."""
    requests = texts(hours)
    done = run(Card("some card", positions, 512, 1.46, 0.0217, hours), generation_order(requests, 512))
    assert done.preemptions <= len(requests) / 100
    assert done.full > 0.5
