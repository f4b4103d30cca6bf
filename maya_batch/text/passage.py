"""The parser's results: passages, and problems by their offset, which the manifest maps to file:line:column."""

from bisect import bisect_right
from dataclasses import dataclass, field


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
    text_marks: tuple[int, ...] = field(default=(0,), repr=False)
    """Ascending positions in `text` where a part that equals the source starts."""
    source_marks: tuple[int, ...] = field(default=(0,), repr=False)
    """The offset in the source of each of `text_marks`."""

    def source_offset(self, position: int) -> int:
        """Return the offset in the source of a position in `text`; monotonic, never inside an escape."""
        mark = bisect_right(self.text_marks, position) - 1
        offset = self.source_marks[mark] + position - self.text_marks[mark]
        last = mark + 1 == len(self.source_marks)
        return min(offset, self.end if last else self.source_marks[mark + 1])


@dataclass(frozen=True)
class TextProblem:
    """What is wrong at `offset` (characters from the start of the chapter's source text), and how to fix it.

    `tag` is true for unknown and closing tags, which `--allow-unknown-tags` turns into warnings.
    """

    offset: int
    what: str
    mend: str = ""
    tag: bool = False
