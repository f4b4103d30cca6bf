"""Accounts for every character of a book: heard, spoken but unheard, with problems, missing, waived, or skipped."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from itertools import pairwise
from operator import attrgetter

from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.state import BookState


@dataclass(frozen=True)
class Characters:
    """The characters of a text by outcome. Each is counted once, in one of the parts of `total`.

    Raises:
        ValueError: a count is below zero, or the parts do not add up to `total`.
    """

    total: int
    heard: int
    """Spoken, and verified by the transcript."""
    unheard: int
    """Spoken in a take without problems, but not verified: there is no transcript, or the transcript lacks the word."""
    with_problems: int
    """Spoken in a take that is kept with problems."""
    missing: int
    """Not spoken: there is no take."""
    waived: int
    """In a take with problems that a person chose, or that is left out because of `failed: omit`."""
    skipped: int = 0
    """In a chapter that the manifest skips."""

    def __post_init__(self) -> None:
        parts = (self.heard, self.unheard, self.with_problems, self.missing, self.waived, self.skipped)
        if min(parts) < 0 or sum(parts) != self.total:
            raise ValueError(f"{self} does not add up: {sum(parts)} characters of {self.total} are accounted for")

    @classmethod
    def sum(cls, counts: Iterable["Characters"]) -> "Characters":
        """The sum of all `counts`; zeros if there are none."""
        rows = list(map(attrgetter(*(field.name for field in fields(cls))), counts))
        return cls(*map(sum, zip(*rows, strict=True))) if rows else cls(0, 0, 0, 0, 0, 0)


def book_characters(state: BookState, chapters: Iterable[Characters]) -> Characters:
    """The characters of all chapters, also of those that are skipped; `chapters` are those of the others."""
    skipped = sum(chapter.characters for chapter in state.plan.manuscript.skipped)
    return Characters.sum([*chapters, Characters(skipped, 0, 0, 0, 0, 0, skipped)])


def chapter_characters(state: BookState, chapter: Chapter) -> Characters:
    """The characters of a chapter: those of all its chunks, which together are its text."""
    return Characters.sum(chunk_characters(state, chunk) for chunk in chapter.chunks)


def chunk_characters(state: BookState, chunk: Chunk) -> Characters:
    """The characters of a chunk's text in the manifest.

    In a transcribed take, the words that are not in the transcript are unheard. Characters between words, and those
    that are never spoken, count with the word before them.
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
    """How many characters of `source` belong to the `unheard` words of `text`, given by index; whitespace parts words.

    `text` is `source` as it is spoken. Equal words in both match; words that differ count as unheard if a word of
    `text` in their place is unheard.
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
    """The characters of each word and of the space after it; what is before the first word counts with it."""
    starts, place = [], 0
    for word in source.split():
        place = source.index(word, place)
        starts.append(place)
        place += len(word)
    edges = [0, *starts[1:], len(source)]
    return [end - start for start, end in pairwise(edges)]
