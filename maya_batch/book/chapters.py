"""Turns the pieces of a book into its chapters' chunks: voices, seeds, lengths, pauses."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.pause_lengths import PauseLengths
from maya_batch.book.settings import Sound
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.manifest import Book, ChapterText
from maya_batch.text.chunking import Piece
from maya_batch.text.token_estimate import cap_tokens, expected_tokens
from maya_batch.text.typography import finish_description, speakable


def planned_chapters(
    drafts: Sequence[tuple[ChapterText, list[Piece]]], book: Book, sound: Sound, rules: int, pauses: PauseLengths
) -> tuple[Chapter, ...]:
    """The chapters, with pieces turned into chunks: voices, lengths, pauses, occurrences."""
    seen: Counter[tuple[str, str, int]] = Counter()
    last = max([len(book.chapters), *(text.number for text, _ in drafts)])  # closing credits come after all chapters
    digits = max(2, len(str(last)))  # also where chapters are skipped, which renames no file
    descriptions = {name: finish_description(voice.description) for name, voice in book.voices.items()}
    chapters = list[Chapter]()
    # Credits are counted last: adding them changes the key of no chunk that speaks the same words.
    for text, pieces in sorted(drafts, key=lambda draft: draft[0].credits):
        chunks = []
        jingle = book.jingle is not None and bool(chapters) and not text.credits
        for index, piece in enumerate(pieces, start=1):
            name = piece.voice or text.voice
            voice_seed = book.voices[name].seed
            description, spoken = descriptions[name], speakable(piece.text)
            seed = voice_seed if voice_seed is not None else sound.seed
            seen[description, spoken, seed] += 1
            following = pieces[index] if index < len(pieces) else None
            chunks.append(
                Chunk(
                    chapter=text.number,
                    index=index,
                    source=text.text[piece.start : piece.end],
                    description=description,
                    text=spoken,
                    seed=seed,
                    occurrence=seen[description, spoken, seed],
                    expected_frames=_frames(expected_tokens(spoken, description, book.language, rules)),
                    max_frames=_frames(cap_tokens(spoken, description, book.language, rules)),
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


def _frames(tokens: int) -> int:
    return -(-tokens // SLOTS)
