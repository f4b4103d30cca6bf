"""The lexicon of a book: compiled from the manuscript, and which of its entries the book uses."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from maya_batch.book.chunk import Chunk
from maya_batch.errors import Finding
from maya_batch.manifest import ChapterText, Manuscript
from maya_batch.messages.plural import plural
from maya_batch.messages.quoting import quoted
from maya_batch.text.chunking import Piece
from maya_batch.text.lexicon import RULE, Entry, Lexicon
from maya_batch.text.passage import Passage
from maya_batch.text.rules import TEXT_RULES

#: The most unused entries that a line for people names.
_NAMED = 10

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class LexiconUse:
    """What a book uses of its lexicon."""

    entries: Count
    """The number of entries."""
    used: Count
    """The number of entries that are spoken at least once."""
    places: Count
    """The number of places where an entry is spoken."""
    unused: tuple[str, ...]
    """The entries that are not spoken, each as `file:line:column: word`."""

    def __str__(self) -> str:
        """One line for people, which names the first unused entries."""
        more = f", and {len(self.unused) - _NAMED} more" if len(self.unused) > _NAMED else ""
        return self._head() + (f"; not used: {', '.join(self.unused[:_NAMED])}{more}" if self.unused else "")

    def lines(self) -> list[str]:
        """Lines for people, one for each unused entry."""
        return [self._head(), *(f"not used: {entry}" for entry in self.unused)]

    def _head(self) -> str:
        entries = "1 entry" if self.entries == 1 else f"{self.entries} entries"
        return f"lexicon: {self.used} of {entries} used in {plural(self.places, 'place')}"


def compile_lexicon(manuscript: Manuscript) -> tuple[Lexicon, list[Finding]]:
    """The lexicon, with its entries in the manuscript's order, and a finding for each word that has two entries."""
    lexicon = Lexicon(Entry(entry.word, entry.respelling, entry.voice, entry.exact) for entry in manuscript.lexicon)
    findings = []
    for index, first in lexicon.duplicates:
        (file, line, column), entry = manuscript.lexicon[first].place, manuscript.lexicon[index]
        what = f"{quoted(entry.word)} has an entry already, at {file}:{line}:{column}"
        findings.append(Finding(*entry.place, what, "remove one of them"))
    return lexicon, findings


def refused_keys(manuscript: Manuscript, rules: int) -> Iterator[Finding]:
    """Keys of the book that its version of the text rules does not have: they are never ignored in silence."""
    if rules >= TEXT_RULES:
        return
    book = manuscript.book
    for key, is_set in (
        ("lexicon", book.lexicon is not None),
        ("normalize", "normalize" in book.model_fields_set and book.normalize == "on"),
    ):
        if is_set:
            what = f"this book was begun with text rules {rules}, which have no `{key}`"
            mend = f"`render --upgrade-text` switches it to rules {TEXT_RULES}; or delete the key"
            yield Finding(str(manuscript.path), *manuscript.place((key,)), what, mend)


def divided_entries(chapter: ChapterText, passages: Sequence[Passage], pieces: Sequence[Piece]) -> Iterator[Finding]:
    """Phrases of the lexicon that two chunks share, so that they are spoken as they are written."""
    cuts = [piece.start for piece in pieces]
    for passage in passages:
        for part in passage.said:
            change = passage.change(part)
            if part.rule == RULE and bisect_left(cuts, change.end) > bisect_right(cuts, change.start):
                what = f"{quoted(change.written)} is divided between two chunks and is spoken as it is written"
                yield Finding(*chapter.place(change.start), what, "add an entry for each of its words")


def lexicon_use(manuscript: Manuscript, lexicon: Lexicon, chunks: Iterable[Chunk]) -> LexiconUse | None:
    """What the chunks of a book use of its lexicon; None without one."""
    if not lexicon.entries:
        return None
    used: Counter[Entry] = Counter()
    for chunk in chunks:
        for change in chunk.changes:
            entry = lexicon.entry(change.written, chunk.voice) if change.rule == RULE else None
            if entry is not None:
                used[entry] += 1
    unused = (
        f"{':'.join(map(str, known.place))}: {known.word}"
        for known, entry in zip(manuscript.lexicon, lexicon.entries, strict=True)
        if entry not in used
    )
    return LexiconUse(len(lexicon.entries), len(used), used.total(), tuple(unused))
