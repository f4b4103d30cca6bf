"""What a plan has spoken: each chunk's text, and each place where it differs from what is written."""

from collections import Counter
from dataclasses import dataclass

from maya_batch.book.announcement import announced_key
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan
from maya_batch.messages.plural import plural
from maya_batch.messages.quoting import quoted
from maya_batch.text.passage import Change


@dataclass(frozen=True)
class ChunkLine:
    """One chunk. `pause` is the silence after it, in seconds."""

    ref: str
    voice: str
    source: str
    """The text in the manifest or the chapter's file; of all chunks together, the whole chapter. An announced title has
    none."""
    text: str
    """The text given to the model."""
    words: int
    pause: float

    def lines(self) -> list[str]:
        """The chunk for people."""
        return [
            f"{self.ref}  {self.voice}",
            f"  source: {self.source.strip() or '(announced)'}",
            f"  text:   {self.text}",
        ]


@dataclass(frozen=True)
class ChangeLine:
    """One change of the text, and the place of what is written."""

    ref: str
    rule: str
    file: str
    line: int
    column: int
    written: str
    spoken: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}  {self.ref}  {self.rule}  {quoted(self.written)} -> {quoted(self.spoken)}"


def chunk_lines(plan: Plan) -> list[ChunkLine]:
    """All chunks in reading order."""
    return [
        ChunkLine(chunk.ref, chunk.voice, chunk.source, chunk.text, chunk.words, chunk.pause) for chunk in plan.chunks()
    ]


def change_lines(plan: Plan) -> list[ChangeLine]:
    """All changes in reading order. The full stop that a chunk without an end mark gets is none."""
    chapters = {chapter.number: chapter for chapter in plan.manuscript.chapters}

    def place(chunk: Chunk, change: Change) -> tuple[str, int, int]:
        chapter = chapters[chunk.chapter]
        if chunk.source:
            return chapter.place(change.start)
        return str(plan.manuscript.path), *plan.manuscript.place(announced_key(chapter))

    return [
        ChangeLine(chunk.ref, change.rule, *place(chunk, change), change.written, change.spoken)
        for chunk in plan.chunks()
        for change in sorted(chunk.changes, key=lambda change: change.start)
    ]


def counts(changes: list[ChangeLine]) -> dict[str, int]:
    """The number of changes by each rule, the most frequent first."""
    return dict(Counter(change.rule for change in changes).most_common())


def summary(changes: list[ChangeLine]) -> str:
    """The counts in one line for people."""
    parts = ", ".join(f"{count} by {rule}" for rule, count in counts(changes).items())
    return f"{plural(len(changes), 'change')}: {parts}" if changes else "the text is spoken as it is written"
