"""Cuts a chapter of a book into pieces: what is changed before, what is said in its place, and what fits the model."""

from collections.abc import Callable
from functools import cache

from maya_batch.book.book_lexicon import divided_entries
from maya_batch.book.settings import Sound
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.errors import Finding
from maya_batch.manifest import Book, ChapterText
from maya_batch.text.chunking import Piece, chunk_script
from maya_batch.text.lexicon import Lexicon
from maya_batch.text.marks import mark_strippers
from maya_batch.text.parser import parse_script
from maya_batch.text.passage import Passage, TextProblem
from maya_batch.text.readings.writing_out import written_out
from maya_batch.text.rewriting import Rewriter, rewrite, say_as
from maya_batch.text.token_estimate import cap_tokens
from maya_batch.text.typography import finish_description
from maya_batch.text.typography_mending import mendings

MOST_PROBLEMS = 10_000
"""After this many mistakes the search for further ones stops."""

# The ids around the text: SOH, BOS, EOT, EOH, SOA, SOS, and the EOS at the end; and the bytes of `<description=""> `.
_FRAME_IDS, _FRAME_BYTES = 7, 17


def chapter_pieces(
    chapter: ChapterText, book: Book, sound: Sound, layout: TokenLayout, context: int, rules: int, lexicon: Lexicon
) -> tuple[list[Piece], list[TextProblem], list[Finding]]:
    """One chapter's pieces, the problems of its text, and warnings.

    `context` is the model's, in tokens; `rules` is the version of the text rules.
    """
    passages, problems = chapter_passages(chapter, book, layout, rules, lexicon)
    pieces, misfits = chunk_script(
        chapter.text,
        passages,
        words=sound.chunk_words,
        fits=_budget(chapter, book, sound, context, rules),
        language=book.language,
        rules=rules,
    )
    return pieces, [*problems, *misfits], list(divided_entries(chapter, passages, pieces))


def chapter_passages(
    chapter: ChapterText, book: Book, layout: TokenLayout, rules: int, lexicon: Lexicon
) -> tuple[list[Passage], list[TextProblem]]:
    """One chapter's passages, as they are cut into pieces, and the problems of its text."""
    passages, problems = parse_script(chapter.text, book.voices.keys(), layout.tags, rules)
    if sum(not problem.tag for problem in problems) >= MOST_PROBLEMS:
        return [], problems
    passages, refused = rewrite(passages, _rewriters(chapter, book, rules))
    passages, unsaid = say_as(passages, sayings(chapter.voice, book, rules, lexicon))
    return passages, [*problems, *refused, *unsaid]


def _rewriters(chapter: ChapterText, book: Book, rules: int) -> list[Rewriter]:
    """What changes the text of a chapter before it is cut, in this order; rules 1 change nothing."""
    if rules == 1:
        return []
    return [
        *mendings(chapter.text, book.language),
        *mark_strippers(chapter.text, book.marks),
    ]


def sayings(voice: str, book: Book, rules: int, lexicon: Lexicon) -> list[Rewriter]:
    """What is spoken in place of parts of a text; the cuts do not depend on it. The first rule wins.

    `voice` is that of passages without one.
    """
    if rules == 1:
        return []
    found = [lexicon.rewriter(voice)] if lexicon.entries else []
    return [*found, written_out(book.language)] if book.normalize == "on" else found


def _budget(
    chapter: ChapterText, book: Book, sound: Sound, context: int, rules: int
) -> Callable[[str, str | None], bool]:
    """A function: whether a voice's text, at its longest, fits into max_tokens and the model's context."""

    @cache
    def description_of(voice: str | None) -> tuple[str, int]:
        description = finish_description(book.voices[voice or chapter.voice].description)
        return description, len(description.encode())

    @cache
    def fits(text: str, voice: str | None) -> bool:
        description, length = description_of(voice)
        # Without the tokenizer: a byte-level one makes at most one token a byte.
        prompt = _FRAME_IDS + _FRAME_BYTES + length + len(text.encode())
        room = min(sound.max_tokens, context - prompt)
        if room < 0:
            return False  # before the words are counted: the text may be as long as a file
        return -(-cap_tokens(text, description, book.language, rules) // SLOTS) * SLOTS <= room

    return fits
