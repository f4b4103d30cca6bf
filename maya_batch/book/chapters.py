"""Turns the pieces of a book into its chapters' chunks: voices, seeds, lengths, pauses."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.pause_lengths import PauseLengths
from maya_batch.book.settings import Sound
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.manifest import Book, ChapterText
from maya_batch.text.chunking import Piece
from maya_batch.text.token_estimate import cap_tokens, expected_tokens
from maya_batch.text.typography import finish_description, speakable


class Spoken(NamedTuple):
    """A piece as the model gets it."""

    text: str
    expected_frames: int
    max_frames: int


class Draft(NamedTuple):
    """A chapter that is cut."""

    text: ChapterText
    pieces: Sequence[Piece]
    spoken: Sequence[Spoken]
    """Of each piece."""


def spoken_pieces(text: ChapterText, pieces: Sequence[Piece], book: Book, rules: int) -> list[Spoken]:
    """What the model gets of pieces of a chapter, by a version of the text rules."""
    # Only those of this chapter: a book may have thousands of voices, and chapters.
    descriptions = _descriptions(book, {piece.voice or text.voice for piece in pieces})
    found = list[Spoken]()
    for piece in pieces:
        description, spoken = descriptions[piece.voice or text.voice], speakable(piece.text)
        lengths = (tokens(spoken, description, book.language, rules) for tokens in (expected_tokens, cap_tokens))
        found.append(Spoken(spoken, *map(_frames, lengths)))
    return found


def planned_chapters(drafts: Sequence[Draft], book: Book, sound: Sound, pauses: PauseLengths) -> tuple[Chapter, ...]:
    """The chapters, with pieces turned into chunks: voices, pauses, occurrences."""
    seen: Counter[tuple[str, str, int]] = Counter()
    last = max(
        [len(book.chapters), *(draft.text.number for draft in drafts)]
    )  # closing credits come after all chapters
    digits = max(2, len(str(last)))  # also where chapters are skipped, which renames no file
    descriptions = _descriptions(book, book.voices)
    chapters = list[Chapter]()
    # Credits are counted last: adding them changes the key of no chunk that speaks the same words.
    for text, pieces, models in sorted(drafts, key=lambda draft: draft.text.credits):
        chunks = []
        jingle = book.jingle is not None and bool(chapters) and not text.credits
        for index, (piece, spoken) in enumerate(zip(pieces, models, strict=True), start=1):
            name = piece.voice or text.voice
            voice_seed = book.voices[name].seed
            description = descriptions[name]
            seed = voice_seed if voice_seed is not None else sound.seed
            seen[description, spoken.text, seed] += 1
            following = pieces[index] if index < len(pieces) else None
            chunks.append(
                Chunk(
                    chapter=text.number,
                    index=index,
                    source=text.text[piece.start : piece.end],
                    description=description,
                    text=spoken.text,
                    seed=seed,
                    occurrence=seen[description, spoken.text, seed],
                    expected_frames=spoken.expected_frames,
                    max_frames=spoken.max_frames,
                    pause=pauses.after(piece, following, text.voice),
                    words=piece.words,
                    pause_before=piece.pause_before,
                    changes=piece.changes,
                    voice=name,
                )
            )
        stem = f"{text.number:0{digits}}-{text.slug}".rstrip("-")
        chapters.append(Chapter(text.number, text.title, stem, tuple(chunks), text.part, text.credits, jingle))
    return tuple(sorted(chapters, key=lambda chapter: chapter.number))


def spoken_as(chunk: Chunk, text: str, voice: str, book: Book, seed: int) -> Chunk:
    """A chunk that has another text, spoken by a voice of the book; `seed` is for a voice without one."""
    own = book.voices[voice]
    description, spoken = finish_description(own.description), speakable(text)
    return replace(
        chunk,
        description=description,
        text=spoken,
        seed=seed if own.seed is None else own.seed,
        expected_frames=_frames(expected_tokens(spoken, description, book.language)),
        max_frames=_frames(cap_tokens(spoken, description, book.language)),
        voice=voice,
        changes=(),
    )


def _descriptions(book: Book, voices: Iterable[str]) -> dict[str, str]:
    return {name: finish_description(book.voices[name].description) for name in voices}


def _frames(tokens: int) -> int:
    return -(-tokens // SLOTS)
