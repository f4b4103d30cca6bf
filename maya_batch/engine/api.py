"""The engine's API: an engine turns texts into speech codes.

An engine knows nothing of books, chapters or files: requests go in, generations come out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from maya_batch.checkpoint.token_layout import Codes, TokenLayout

#: "framed" is constrained decoding: only the codes of a frame's slot can be drawn. "free" is unconstrained decoding:
#: a token is drawn from the whole vocabulary, and each frame is checked afterwards.
Decoding = Literal["framed", "free"]

Finish = Literal["eos", "cap", "broken"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. A temperature of 0 takes the most probable token each time."""

    temperature: float = 0.4
    top_p: float = 0.9
    repetition_penalty: float = 1.1


@dataclass(frozen=True)
class Request:
    """One text to generate speech for. `seed` alone decides the random numbers, whatever else is in the batch."""

    key: str
    description: str
    text: str
    seed: int
    max_frames: int
    expected_frames: int | None = None
    """The most likely length, for dividing the memory; None: `max_frames`."""
    stop_after_frames: int | None = None
    """The sequence ends there as if the model had ended it; for benchmarks with random weights, which never end a text.

    Only constrained decoding honours it. `max_frames` still holds."""

    @property
    def likely_frames(self) -> int:
        """The length that the memory is divided by."""
        return self.max_frames if self.expected_frames is None else self.expected_frames


@dataclass(frozen=True)
class Generation:
    """What an engine generated for the request `key`: codes [frames, 7] and why the sequence ended.

    `eos`: the model ended it; `cap`: it reached max_frames; `broken`: a token was not of its slot, the codes are the
    whole frames before it and `detail` says where.
    """

    key: str
    codes: Codes
    finish: Finish
    detail: str = ""


@dataclass
class EngineStats:
    """What constrained decoding has taken since the engine was loaded."""

    steps: int = 0
    """Forward passes of a batch, which decode one token a sequence."""
    bytes_read: int = 0
    """The fewest bytes that these passes must read: the weights each time, and the sequences' keys and values."""
    max_sequences: int = 0
    """The largest batch."""
    gpu_waits: int = 0
    """Frames that the GPU waited for because it had nothing left to do."""
    preemptions: int = 0
    """Sequences that were preempted because others needed their memory."""
    planned_bytes: int = 0
    """The GPU memory that the last batch was planned to take, weights and codec included; 0 on a CPU."""


class Engine(Protocol):
    """A loaded language model."""

    @property
    def layout(self) -> TokenLayout:
        """The token layout of the checkpoint."""
        ...

    @property
    def dtype(self) -> str:
        """The number format that the model computes in."""
        ...

    @property
    def quantization(self) -> str:
        """How the weights are quantized: none, nf4, …"""
        ...

    @property
    def batch_size(self) -> int:
        """The most sequences that are decoded together."""
        ...

    @property
    def stats(self) -> EngineStats:
        """What constrained decoding has taken so far."""
        ...

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        ...

    def in_grammar_probabilities(self, requests: Sequence[Request], sampling: Sampling) -> tuple[float, ...]:
        """How likely, in the first frames of these requests, an unconstrained token is of its slot: a mean for each of
        the 7 slots.
        """
        ...

    def peak_memory(self) -> int:
        """The most GPU memory that this process has held, in bytes; 0 on a CPU."""
        ...

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        tick: Callable[[], None] | None = None,
        retries: Callable[[], Sequence[Request]] | None = None,
    ) -> Iterator[list[Generation]]:
        """Generate codes for all requests. They start in the order given; each is returned as soon as it ends.

        Between frames the engine calls `tick`, which can show the time or stop the run by raising. As long as the batch
        is running, it then calls `retries`, which returns finished requests to generate again with other seeds; these
        start before all waiting requests.
        """
        ...
