"""A passage while the parser reads it: its clean text so far, and where each part of it came from."""

import re
from dataclasses import dataclass, field

from maya_batch.text.passage import Passage

_SPEAKABLE = re.compile(r"[^\W_]")


@dataclass
class PassageBuilder:
    """What one voice says from `start` of the source on."""

    start: int
    voice: str | None = None
    paragraph: int = 0
    is_continued: bool = False
    """Whether it goes on after a pause inside its paragraph."""
    scene_breaks: int = 0
    pause_before: float = 0.0
    pause_after: float | None = None
    parts: list[str] = field(default_factory=list)
    length: int = 0
    text_marks: list[int] = field(default_factory=list)
    source_marks: list[int] = field(default_factory=list)

    def is_speakable(self) -> bool:
        """Whether it has a letter or a digit, those of tags included."""
        return any(map(_SPEAKABLE.search, self.parts))

    def add(self, text: str, offset: int) -> None:
        """Append `text`, which equals the source from `offset` on."""
        if text:
            self.text_marks.append(self.length)
            self.source_marks.append(offset)
            self.parts.append(text)
            self.length += len(text)

    def add_for(self, text: str, start: int, end: int) -> None:
        """Append `text` in place of source[start:end]: its first character maps to `start`, the rest to `end`."""
        self.add(text[0], start)
        self.text_marks += (self.length, self.length + len(text) - 1)
        self.source_marks += (end, end)
        if len(text) > 1:
            self.parts.append(text[1:])
            self.length += len(text) - 1

    def close(self, marks: str, offset: int) -> None:
        """Append closing marks, which equal the source from `offset` on, without the spaces before them."""
        last = self.parts.pop()
        self.length -= len(last)
        if kept := last.rstrip():
            self.parts.append(kept)
            self.length += len(kept)
        while self.text_marks and self.text_marks[-1] > self.length:  # of the spaces
            self.text_marks.pop()
            self.source_marks.pop()
        self.add(marks, offset)

    def join(self, rest: "PassageBuilder") -> None:
        """Append what follows, up to where `rest` ends."""
        self.text_marks += [self.length + mark for mark in rest.text_marks]
        self.source_marks += rest.source_marks
        self.parts += rest.parts
        self.length += rest.length

    def add_pause(self, seconds: float) -> None:
        """Add to the silence after the passage."""
        self.pause_after = (self.pause_after or 0.0) + seconds

    def passage(self, end: int) -> Passage:
        """The passage, whose span ends at `end`."""
        text = "".join(self.parts)
        lead = len(text) - len(text.lstrip())
        return Passage(
            paragraph=self.paragraph,
            voice=self.voice,
            start=self.start,
            end=end,
            text=text.strip(),
            scene_breaks_after=self.scene_breaks,
            pause_before=self.pause_before,
            pause_after=self.pause_after,
            text_marks=tuple(mark - lead for mark in self.text_marks),
            source_marks=tuple(self.source_marks),
        )
