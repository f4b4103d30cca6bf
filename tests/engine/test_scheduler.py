"""Who speaks when: whole books through the decoding loop, with a model that only counts frames."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Request, Sampling, Work
from maya_batch.engine.batch_budget import Budget
from maya_batch.engine.decode_loop import Lockstep
from maya_batch.engine.paged_cache import PAGE, KvCache
from maya_batch.engine.sequence_state import Rows
from maya_batch.errors import MachineError

PACE = (37, 55)


class CountingLlama:
    layers = kv_heads = heads = head_dim = layer_bytes = position_bytes = 1
    dtype = torch.float32
    head = torch.zeros(1)


class CountingFrames:
    """A frame is counted; a row ends where its length was drawn to be."""

    def __init__(
        self, llama: object, cache: KvCache, rows: Rows, layout: TokenLayout, positions: int, graphs: bool
    ) -> None:
        self.rows = rows

    def prompt(self, places: list[int], prompts: list[list[int]]) -> None:
        pass

    def speak(self, rows: int, extent: int) -> None:
        state = self.rows
        over = ((state._end <= state.frames) & (state.live == 1)).int()
        state.ended |= over
        state.live &= 1 - over
        state.frames += state.live


@dataclass
class Book:
    requests: list[Request] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, rows: int, expected_pace: float) -> "Book":
        rng = np.random.default_rng(0)
        book = cls()
        for number in range(rows):
            words = int(rng.integers(10, 51))
            most, expected = (250 + 64 * words) // SLOTS, int(words * expected_pace) // SLOTS
            book.requests.append(Request(str(number), "v", " ".join(["a"] * words), number, most, expected))
            book.prompts.append(50 + int(words * 1.3))
        return book


@dataclass
class Spoken:
    frames: dict[str, int]
    together: list[int]
    work: Work
    free: int


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch) -> "type[Speaker]":
    monkeypatch.setattr("maya_batch.engine.decode_loop.Frames", CountingFrames)
    return Speaker


class Speaker:
    """The loop over a book, its memory as given."""

    def __init__(self, book: Book, rows: int, pages: int) -> None:
        layout, self._book = TokenLayout(drawn_pace=PACE), book
        self._work = Work()
        budget = Budget(rows, 3700, pages, PAGE)
        sampling = Sampling(repetition_penalty=1.0)
        self._loop = Lockstep(CountingLlama(), layout, book.requests, sampling, budget, self._work, graphs=False)  # type: ignore[arg-type]

    def all(self) -> Spoken:
        longest = max(self._book.prompts)
        mask = torch.tensor([[0] * (longest - length) + [1] * length for length in self._book.prompts])
        frames: dict[str, int] = {}
        together: list[int] = []
        for generations in self._loop.decode(None, torch.zeros_like(mask), attention_mask=mask):
            frames |= {generation.key: len(generation.codes) for generation in generations}
            together.append(len(self._loop._schedule.speaking))
        return Spoken(frames, together, self._work, self._loop._cache.free)


def test_the_places_stay_taken_until_the_last_rows(speak: type[Speaker]) -> None:
    book = Book.of(600, expected_pace=52)
    spoken = speak(book, rows=96, pages=3000).all()
    assert len(spoken.frames) == 600
    steady = spoken.together[: len(spoken.together) * 6 // 10]
    assert np.mean(steady) > 90
    assert (spoken.work.most_rows, spoken.work.restarts) == (96, 0)
    assert spoken.free == 3000


@pytest.mark.parametrize("expected_pace", [30.0, 46.0, 60.0])
def test_little_memory_is_filled_however_wrong_the_expectation(speak: type[Speaker], expected_pace: float) -> None:
    book = Book.of(300, expected_pace)
    pages = 400
    spoken = speak(book, rows=128, pages=pages).all()
    assert len(spoken.frames) == 300
    held = sum(
        frames * SLOTS * (length + frames * SLOTS / 2)
        for frames, length in zip((spoken.frames[request.key] for request in book.requests), book.prompts, strict=True)
    )
    taken = held / (spoken.work.steps * pages * PAGE)
    print(f"\nexpected {expected_pace}: {taken:.0%} of the pages taken, {spoken.work.restarts} rows begun anew")
    assert taken > 0.6
    assert spoken.work.restarts < 100  # the youngest rows: little is lost
    assert spoken.free == pages


def test_what_is_spoken_does_not_depend_on_the_memory(speak: type[Speaker]) -> None:
    book = Book.of(60, expected_pace=20)
    assert speak(book, rows=32, pages=120).all().frames == speak(book, rows=8, pages=2000).all().frames


def test_a_row_that_fits_into_no_memory_is_an_error(speak: type[Speaker]) -> None:
    with pytest.raises(MachineError, match="GPU memory does not hold one row of"):
        speak(Book.of(3, expected_pace=46), rows=8, pages=9).all()


def test_a_prompt_that_fits_into_no_memory_is_an_error(speak: type[Speaker]) -> None:
    with pytest.raises(MachineError, match="does not hold one prompt"):
        speak(Book.of(3, expected_pace=46), rows=8, pages=1).all()
