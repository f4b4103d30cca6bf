"""What is wrong with a take, and what was heard of it: the evidence that is kept beside its codes.

Seen from the codes (`codes`), from the samples (`sound`) and from a recognizer's transcript (`words`); all of it pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a take: its `kind`, in one word, and the figures."""

    kind: str
    detail: str


@dataclass(frozen=True)
class Transcript:
    """What a recognizer made of a take."""

    recognizer: str
    """Its name, as a person gave it."""
    text: str
    """The transcript, as it came."""
    word_error: float
    """Words wrong, missing and too many, as a share of the words that should have been said."""
    unheard: tuple[int, ...] = ()
    """Which of the text's words, counted from 0 as whitespace parts them, were not found in the transcript."""
