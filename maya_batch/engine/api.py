"""The engine's API. Requests go in, generations come out; an engine knows nothing of books, chapters or files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from maya_batch.checkpoint.token_layout import Codes, TokenLayout

#: "framed" is constrained decoding: only the codes of a frame's slot can be drawn. "free" is unconstrained decoding:
#: a token is drawn from the whole vocabulary, and each frame is checked afterwards.
Decoding = Literal["framed", "free"]

Finish = Literal["eos", "cap", "broken"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. With a temperature of 0 it is always the most probable one."""

    temperature: float = 0.4
    top_p: float = 0.9
    repetition_penalty: float = 1.1


@dataclass(frozen=True)
class Request:
    """One text to generate speech for. Its random numbers depend on `seed` alone, not on the rest of the batch."""

    key: str
    description: str
    text: str
    seed: int
    max_frames: int
    expected_frames: int | None = None
    """The most likely length, for memory planning; None: `max_frames`."""
    stop_after_frames: int | None = None
    """The sequence ends here as if the model ended it; for benchmarks with random weights, which never end a text.

    Only constrained decoding uses it. `max_frames` still holds."""
    noise_seed: int | None = None
    """The seed of the noise with which a worker decodes the codes to sound; engines do not use it."""

    @property
    def likely_frames(self) -> int:
        """The length for memory planning."""
        return self.max_frames if self.expected_frames is None else self.expected_frames


@dataclass(frozen=True)
class Generation:
    """What an engine generated for the request `key`: codes [frames, 7] and why the sequence ended.

    `eos`: the model ended it. `cap`: it reached max_frames. `broken`: a token was not of its slot; the codes are the
    complete frames before it, and `detail` says so.
    """

    key: str
    codes: Codes
    finish: Finish
    detail: str = ""


@dataclass(frozen=True)
class CacheRounding:
    """What keys and values in 8 bits change in the model's predictions for whole takes."""

    takes: int
    tokens: int
    divergence: float
    """Kullback and Leibler's divergence from the predictions with the model's format: mean of the tokens, in nats."""
    same_best: float
    """The share of the tokens whose most probable code is the same."""


@dataclass
class EngineStats:
    """Counters of constrained decoding since the engine was loaded; of several workers, their sums."""

    steps: int = 0
    """Forward passes of a batch; each decodes one token of each sequence."""
    tokens: int = 0
    """Tokens that these passes decoded, until the host saw the ends of their sequences."""
    positions: int = 0
    """Positions of the cache that the sequences of these passes held."""
    cache_positions: int = 0
    """Positions that the cache of the last batch has room for."""
    bytes_read: int = 0
    """The bytes that these passes read at least: the weights each time, and the sequences' keys and values."""
    max_sequences: int = 0
    """The largest batch."""
    gpu_waits: int = 0
    """Frames that an idle GPU waited for."""
    preemptions: int = 0
    """Sequences that were preempted because others needed their memory."""
    planned_bytes: int = 0
    """The planned memory of the last batch in bytes, including weights: of the GPU, or, with llama.cpp on a CPU, of
    this process; else 0.
    """
    workers: dict[str, int] = field(default_factory=dict)
    """Takes by the name of the worker that generated them; empty where this process generates."""


def _nothing() -> None:
    pass


def _no_requests() -> Sequence[Request]:
    return ()


@dataclass(frozen=True)
class Hooks:
    """What an engine calls between frames, or between batches."""

    tick: Callable[[], None] = _nothing
    """Can show the time, or stop the run by raising. Not called after the last sequence has ended."""
    retries: Callable[[], Sequence[Request]] = _no_requests
    """Called after `tick`. Returns finished requests to generate again, with other seeds; they start before all that
    wait.
    """
    later: Callable[[], Sequence[Request]] = _no_requests
    """Called when none is waiting. Returns further requests, or none at the moment."""


NO_HOOKS = Hooks()


class Engine(Protocol):
    """A loaded language model."""

    @property
    def layout(self) -> TokenLayout:
        """The token layout of the checkpoint."""

    @property
    def name(self) -> str:
        """Hf or gguf."""

    @property
    def dtype(self) -> str:
        """The number format that the model computes in; gguf: those of its file."""

    @property
    def quantization(self) -> str:
        """The quantization of the weights: none, nf4, q4_k_m, …"""

    @property
    def kv_cache(self) -> str:
        """The format of keys and values: `model`, as the model computes, or `int8`."""

    @property
    def offers_int8_cache(self) -> bool:
        """Whether keys and values in 8 bits make this engine faster here, so that a book may begin with them."""

    @property
    def batch_size(self) -> int:
        """The most sequences that are decoded together."""

    @property
    def stats(self) -> EngineStats:
        """The counters of constrained decoding so far."""

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""

    def in_grammar_probabilities(self, requests: Sequence[Request], sampling: Sampling) -> tuple[float, ...]:
        """How likely, in the first frames of these requests, an unconstrained token is of its slot: a mean for each of
        the 7 slots.
        """

    def use_kv_cache(self, kv_cache: Literal["model", "int8"]) -> None:
        """Keep keys and values in this format from the next call on; only where `offers_int8_cache`."""

    def cache_rounding(self, requests: Sequence[Request], generations: Sequence[Generation]) -> CacheRounding:
        """What 8 bits change in the predictions for these generations of these requests; as `use_kv_cache`."""

    def peak_memory(self) -> int:
        """The most memory that was held, in bytes: of the GPU, or, with llama.cpp on a CPU, of this process; else 0."""

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        """Generate codes for all requests. They start in the order given; each is returned as soon as it ends.

        The batch is planned for `requests`, so they should fill it if others follow.
        """
