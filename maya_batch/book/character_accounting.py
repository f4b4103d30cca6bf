"""Every character of a book accounted for: heard, spoken but unheard, in takes with problems, missing, or waived."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from itertools import pairwise

from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.state import BookState


@dataclass(frozen=True)
class Characters:
    """Where the characters of a text have gone. Each is counted once, in one of the parts that make up `total`.

    Raises:
        ValueError: a count is below zero, or the parts do not add up: some characters are not accounted for.
    """

    total: int
    heard: int
    """Spoken, listened to, and found to be what the text says."""
    unheard: int
    """Spoken; the take has no problems, but was not transcribed."""
    with_problems: int
    """Spoken, in takes that were kept with problems."""
    missing: int
    """Not spoken: there is no take."""
    waived: int
    """In takes with problems that a person has chosen all the same, or that are left out as the book wants it."""

    def __post_init__(self) -> None:
        parts = (self.heard, self.unheard, self.with_problems, self.missing, self.waived)
        if min(parts) < 0 or sum(parts) != self.total:
            raise ValueError(f"{self} does not add up: {sum(parts)} characters of {self.total} are accounted for")

    @classmethod
    def sum(cls, counts: Iterable["Characters"]) -> "Characters":
        """All of `counts` together; of none, nothing but zeros."""
        rows = [tuple(getattr(count, field.name) for field in fields(cls)) for count in counts]
        return cls(*map(sum, zip(*rows, strict=True))) if rows else cls(0, 0, 0, 0, 0, 0)


def chapter_characters(state: BookState, chapter: Chapter) -> Characters:
    """Where the characters of a chapter have gone: those of all its chunks, which together are its text."""
    return Characters.sum(chunk_characters(state, chunk) for chunk in chapter.chunks)


def chunk_characters(state: BookState, chunk: Chunk) -> Characters:
    """Where the manifest's characters of a chunk have gone.

    Of a take that was listened to, those of words that the recognizer did not find are unheard. What is between words,
    and what is never spoken, goes with the word before it.
    """
    total, take = len(chunk.source), state.take(chunk)
    if take is None or state.lacks_take(chunk):
        return Characters(total, 0, 0, 0, total, 0)
    if take.problems and (state.chosen(chunk) or state.omitted(chunk)):
        return Characters(total, 0, 0, 0, 0, total)
    if take.problems:
        return Characters(total, 0, 0, total, 0, 0)
    if take.transcript is None:
        return Characters(total, 0, total, 0, 0, 0)
    unheard = unheard_characters(chunk.source, chunk.text, set(take.transcript.unheard))
    return Characters(total, total - unheard, unheard, 0, 0, 0)


def unheard_characters(source: str, text: str, unheard: set[int]) -> int:
    """How many characters of `source` belong to `unheard` words of `text`, counted as whitespace parts them.

    `text` is `source` as it is spoken: words that are in both are the same ones, and those in `source` alone count as
    unheard where a word of `text` in their place is.
    """
    words, spoken = source.split(), text.split()
    if not unheard or not words:
        return 0
    lost = [False] * len(words)
    for _, first, last, begin, end in SequenceMatcher(None, words, spoken, autojunk=False).get_opcodes():
        whole = last - first == end - begin
        for place in range(first, last):
            those = {begin + place - first} if whole else set(range(begin, end))
            lost[place] = bool(those & unheard)
    return sum(length for length, is_lost in zip(_lengths(source), lost, strict=True) if is_lost)


def _lengths(source: str) -> list[int]:
    """The characters of each word and of what follows it; what is before the first one goes with that."""
    starts, place = [], 0
    for word in source.split():
        place = source.index(word, place)
        starts.append(place)
        place += len(word)
    edges = [0, *starts[1:], len(source)]
    return [end - start for start, end in pairwise(edges)]
