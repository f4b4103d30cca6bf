"""The sentences of a chapter as its chunks speak them, for people who read along."""

from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from maya_batch.book.announcement import announcement
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.pieces import chapter_passages, chapter_pieces
from maya_batch.book.plan import Plan, speaking_limits
from maya_batch.manifest import ChapterText
from maya_batch.text.break_points import Words
from maya_batch.text.cut_rules import cut_rules
from maya_batch.text.emotion_tags import TAG
from maya_batch.text.line_marks import LINE_END
from maya_batch.text.passage import Passage
from maya_batch.text.sentences import sentence_starts

_QUOTED_WORDS = 12
"""Sentences inside quoted speech are told apart where the whole has more words than this."""


@dataclass(frozen=True)
class SpokenSentence:
    """A sentence, or the part of a longer one, that one chunk speaks."""

    chunk: Chunk
    text: str
    """As it is written, in one line, without markup and emotion tags; a tag alone is in brackets, like [laugh]."""
    spoken: str
    """What stands for it in the text that is given to the model."""
    span: tuple[int, int] | None
    """Start and end in the chapter's text, in characters; None for the title, which is no part of it."""


def chapter_sentences(plan: Plan, chapter: Chapter) -> list[SpokenSentence]:
    """The sentences of a chapter in order; each of its chunks has at least one."""
    part, found = "", list[SpokenSentence]()
    for text in plan.manuscript.chapters:
        if text.number == chapter.number:
            found += _title(plan, chapter, text, part)
            found += _text(plan, chapter, text)
        part = text.part
    return found


def _title(plan: Plan, chapter: Chapter, text: ChapterText, part_before: str) -> Iterator[SpokenSentence]:
    """The sentences of the announcement."""
    title = announcement(text, part_before, "", lambda _: (1, 1))
    if title is None:
        return
    _, context = speaking_limits(plan.sound.model)
    pieces, _, _ = chapter_pieces(title, plan.book, plan.sound, plan.layout, context, plan.text_rules, plan.lexicon)
    chunks = [(piece.start, chunk) for piece, chunk in zip(pieces, chapter.chunks, strict=False)]
    yield from _of_text(plan, title, chunks, is_title=True)


def _text(plan: Plan, chapter: Chapter, text: ChapterText) -> Iterator[SpokenSentence]:
    chunks, at = list[tuple[int, Chunk]](), 0
    for chunk in chapter.chunks:
        if chunk.source:
            chunks.append((at, chunk))
            at += len(chunk.source)
    yield from _of_text(plan, text, chunks)


def _of_text(
    plan: Plan, text: ChapterText, chunks: Sequence[tuple[int, Chunk]], is_title: bool = False
) -> Iterator[SpokenSentence]:
    """The sentences of a text whose chunks begin at these offsets."""
    starts = [start for start, _ in chunks]
    passages, _ = chapter_passages(text, plan.book, plan.layout, plan.text_rules, plan.lexicon)
    for passage in passages:
        own = chunks[bisect_left(starts, passage.start) : bisect_left(starts, passage.end)]
        begins = [0, *(_position(passage, start) for start, _ in own[1:])]
        found = _sentence_starts(plan, passage)
        added = frozenset(_position(passage, change.start) for change in passage.changes if change.rule == LINE_END)
        for (_, chunk), begin, end in zip(own, begins, [*begins[1:], len(passage.text)], strict=True):
            inside = [start for start in found if begin < start < end]
            for low, high in pairwise(_worded(passage.text, [begin, *inside, end])):
                yield _sentence(passage, low, high, chunk, is_title, added)


def _position(passage: Passage, offset: int) -> int:
    """The position in a passage's text that comes from an offset in the source."""
    return bisect_left(range(len(passage.text)), offset, key=passage.source_offset)


def _sentence_starts(plan: Plan, passage: Passage) -> list[int]:
    words = Words(passage.text, cut_rules(plan.text_rules))
    return sentence_starts(words, plan.book.language, _QUOTED_WORDS)


def _worded(text: str, edges: Sequence[int]) -> list[int]:
    """The edges without those that would leave a sentence without a word."""
    kept = [edges[0]]
    for low, high in pairwise(edges[:-1]):
        if _has_word(text[low:high]):
            kept.append(high)
    if len(kept) > 1 and not _has_word(text[kept[-1] : edges[-1]]):
        kept.pop()
    return [*kept, edges[-1]]


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, TAG.sub("", text)))


def _sentence(
    passage: Passage, low: int, high: int, chunk: Chunk, is_title: bool, added: Container[int]
) -> SpokenSentence:
    """The sentence between two positions of a passage, without the signs that were `added` at line ends."""
    part = passage.text[low:high]
    low, high = low + len(part) - len(part.lstrip()), low + len(part.rstrip())
    first, last = passage.source_offset(low), passage.source_offset(high)
    part = "".join(passage.text[at] for at in range(low, high) if at not in added)
    written = " ".join(TAG.sub(" ", part).split()) or " ".join(f"[{tag.strip('</>')}]" for tag in TAG.findall(part))
    return SpokenSentence(chunk, written, passage.spoken(low, high), None if is_title else (first, last))
