"""The checks of a take: of its codes (`code_checks`), its samples (`audio_checks`) and its transcript
(`transcript_checks`). What they find is stored with the take.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One problem of a take: its `kind`, in one word, and the details for a person."""

    kind: str
    detail: str


@dataclass(frozen=True)
class Transcript:
    """The transcript of a take."""

    recognizer: str
    """The name of the ASR model, as the user gave it."""
    text: str
    """The words, as the ASR model wrote them."""
    word_error: float
    """Wrong, missing and extra words, as a share of the words of the text."""
    unheard: tuple[int, ...] = ()
    """The words of the text that are not in the transcript, counted from 0; whitespace separates words."""
    starts: tuple[int, ...] = ()
    """When each word of `text` begins, in ms from the start of the take; empty if it is not known."""
