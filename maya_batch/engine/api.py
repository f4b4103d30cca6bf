"""Engines write speech codes for texts; this is what they are asked, what they answer, and how one is had.

An engine knows nothing of books, chapters or files: requests go in, generations come out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from maya_batch.checkpoint.token_layout import Codes, TokenLayout

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
    """One text to be spoken. `seed` alone decides the row's draws, whatever is generated beside it."""

    key: str
    description: str
    text: str
    seed: int
    max_frames: int
    expected_frames: int | None = None
    """How long it will most likely become, for dividing the memory; None: as long as it may."""

    @property
    def likely_frames(self) -> int:
        """The frames to count with."""
        return self.max_frames if self.expected_frames is None else self.expected_frames


@dataclass(frozen=True)
class Generation:
    """What an engine wrote for the request `key`: codes [frames, 7] and why it ended.

    `eos`: the model ended it; `cap`: it reached max_frames; `broken`: a frame broke out of its slots, the codes
    are the whole frames before it and `detail` says where.
    """

    key: str
    codes: Codes
    finish: Finish
    detail: str = ""


@dataclass
class Work:
    """What the framed rows of an engine took so far."""

    steps: int = 0
    """Passes of a batch through the model, a token a row."""
    bytes_read: int = 0
    """The fewest bytes these passes had to read: the weights each time, and the keys and values of the rows."""
    most_rows: int = 0
    waits: int = 0
    """Frames that the GPU had to wait for, having nothing left to do."""
    restarts: int = 0
    """Rows that were begun anew, because others needed their memory."""
    planned_bytes: int = 0
    """The GPU memory that the last batch was planned to take in all, weights and codec too; 0 on a CPU."""


class Engine(Protocol):
    """A language model ready to speak."""

    layout: TokenLayout
    dtype: str
    quantization: str
    batch_size: int
    """Rows spoken together, at most."""
    work: Work

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        ...

    def in_grammar_probability(self, requests: Sequence[Request], sampling: Sampling) -> float:
        """The mean probability, in the first frames of these requests, that a free draw keeps to its slot."""
        ...

    def peak_memory(self) -> int:
        """The most GPU memory this process ever held, in bytes; 0 on a CPU."""
        ...

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        tick: Callable[[], None] | None = None,
        more: Callable[[], Sequence[Request]] | None = None,
    ) -> Iterator[list[Generation]]:
        """Codes for all requests, each as soon as it has ended; they are begun in the order given.

        `tick` is called between frames, so that a caller can show the time or stop the run by raising. `more`, asked
        between frames, too, as long as there are rows that others can join, has requests that were answered and come
        again with other seeds; they go before all that wait.
        """
        ...
