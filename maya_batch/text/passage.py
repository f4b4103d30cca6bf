"""The parser's results: passages, and problems by their offset, which the manifest maps to file:line:column."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise


@dataclass(frozen=True)
class Replacement:
    """What stands for `text[start:end]` of a passage, and the rule that says so."""

    start: int
    end: int
    text: str
    rule: str


@dataclass(frozen=True)
class Change:
    """Characters of the source that are given to the model in another form."""

    start: int
    end: int
    """Span in the source, in characters."""
    written: str
    """The text before the change: that of the source, or what an earlier rule made of it."""
    spoken: str
    rule: str
    """The rule's name, for people, like "ligature" or "lexicon"."""


@dataclass(frozen=True)
class Passage:
    """What one voice says in one paragraph; `text[i]` came from `source[source_offset(i)]`."""

    paragraph: int
    """From 0; scene breaks are not counted."""
    voice: str | None
    """None: the chapter's voice."""
    start: int
    end: int
    """Span in the source, in characters, with the marker before and the blank lines after."""
    text: str
    """Clean text, stripped: escapes resolved, newlines as spaces, `<` only as part of a tag."""
    scene_breaks_after: int = 0
    """Scene breaks between this passage and the next."""
    pause_before: float = 0.0
    """Seconds of silence that the text asks for at the chapter's start, before its first passage."""
    pause_after: float | None = None
    """Seconds of silence that the text asks for after this passage."""
    text_marks: tuple[int, ...] = field(default=(0,), repr=False)
    """Ascending positions in `text` where a part that equals the source starts."""
    source_marks: tuple[int, ...] = field(default=(0,), repr=False)
    """The offset in the source of each of `text_marks`."""
    changes: tuple[Change, ...] = ()
    """In the order in which they were made."""
    said: tuple[Replacement, ...] = ()
    """What is spoken for parts of `text`, ascending; made in the pieces, so that it moves no cut."""

    def said_in(self, start: int, end: int) -> Sequence[Replacement]:
        """Those of `said` that lie wholly in text[start:end]."""
        if not self.said:
            return ()
        first = bisect_left(self.said, start, key=lambda part: part.start)
        last = bisect_right(self.said, end, first, key=lambda part: part.end)
        return self.said[first:last]

    def spoken(self, start: int, end: int) -> str:
        """text[start:end] as it is spoken, stripped."""
        if not self.said:
            return self.text[start:end].strip()
        parts: list[str] = []
        at = start
        for part in self.said_in(start, end):
            parts += (self.text[at : part.start], part.text)
            at = part.end
        return "".join([*parts, self.text[at:end]]).strip()

    def change(self, made: Replacement) -> Change:
        """A replacement in `text`, as a change for the record."""
        start, end = self.source_offset(made.start), self.source_offset(made.end)
        return Change(start, end, self.text[made.start : made.end], made.text, made.rule)

    def source_offset(self, position: int) -> int:
        """Return the offset in the source of a position in `text`; monotonic, never inside an escape."""
        mark = bisect_right(self.text_marks, position) - 1
        offset = self.source_marks[mark] + position - self.text_marks[mark]
        last = mark + 1 == len(self.source_marks)
        return min(offset, self.end if last else self.source_marks[mark + 1])

    def replaced(self, replacements: Sequence[Replacement]) -> "Passage":
        """Return the passage with its text changed, and the changes on record.

        `replacements` ascend and do not overlap. An offset inside a replacement is that of its start or its end.

        Raises:
            ValueError: they do not ascend, overlap, or lie outside the text.
        """
        if not replacements:
            return self
        changed = _ChangedText(self)
        for replacement in replacements:
            changed.replace(replacement)
        return changed.passage()


class _ChangedText:
    """A passage's text while it is changed from left to right."""

    def __init__(self, passage: Passage) -> None:
        self.old = passage
        self.at = 0
        self.parts: list[str] = []
        self.length = 0
        self.text_marks: list[int] = []
        self.source_marks: list[int] = []
        self.changes = list(passage.changes)

    def replace(self, new: Replacement) -> None:
        if not self.at <= new.start <= new.end <= len(self.old.text):
            raise ValueError(f"{new} does not follow position {self.at} of {len(self.old.text)}")
        self._keep(new.start)
        change = self.old.change(new)
        self.changes.append(change)
        if new.text:
            self._add(new.text[0], change.start)
            self._add(new.text[1:], change.end)
            # No offset follows from the characters of the replacement.
            self.text_marks.append(self.length)
            self.source_marks.append(change.end)
        self.at = new.end

    def passage(self) -> Passage:
        self._keep(len(self.old.text))
        text = "".join(self.parts)
        lead = len(text) - len(text.lstrip())
        return replace(
            self.old,
            text=text.strip(),
            text_marks=tuple(mark - lead for mark in self.text_marks) or (0,),
            source_marks=tuple(self.source_marks) or (self.old.start,),
            changes=tuple(self.changes),
        )

    def _keep(self, end: int) -> None:
        """Append the old text up to `end`, with its marks."""
        old = self.old
        first, last = bisect_right(old.text_marks, self.at), bisect_right(old.text_marks, end - 1)
        edges = [self.at, *old.text_marks[first:last], end]
        for begin, stop in pairwise(edges):
            self._add(old.text[begin:stop], old.source_offset(begin))
        self.at = end

    def _add(self, text: str, offset: int) -> None:
        if text:
            self.text_marks.append(self.length)
            self.source_marks.append(offset)
            self.parts.append(text)
            self.length += len(text)


@dataclass(frozen=True)
class TextProblem:
    """What is wrong at `offset` (characters from the start of the chapter's source text), and how to fix it.

    `tag` is true for unknown and closing tags, which `--allow-unknown-tags` turns into warnings.
    """

    offset: int
    what: str
    mend: str = ""
    tag: bool = False
