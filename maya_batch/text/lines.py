"""The lines of a passage, as they are in the source: in the passage's text line ends are spaces."""

from dataclasses import dataclass

from maya_batch.text.passage import Passage


@dataclass(frozen=True)
class Line:
    """The span of a line in a passage's text, without white space at its ends."""

    start: int
    end: int
    text: str


def line_ends(passage: Passage, source: str) -> list[int]:
    """The positions in the passage's text where the source has a line end, ascending."""
    if source.find("\n", passage.start, passage.end) < 0:
        return []
    text = passage.text
    ends: list[int] = []
    marks = [*passage.text_marks, len(text)]
    for number, offset in enumerate(passage.source_marks):
        start, stop = max(marks[number], 0), min(marks[number + 1], len(text))
        offset += start - marks[number]
        at = source.find("\n", offset, offset + stop - start)
        while at >= 0:
            position = start + at - offset
            if text[position] == " ":
                ends.append(position)
            at = source.find("\n", at + 1, offset + stop - start)
    return ends


def lines_of(passage: Passage, source: str) -> list[Line]:
    """The lines of a passage that are not blank."""
    text = passage.text
    lines = []
    start = 0
    for end in [*line_ends(passage, source), len(text)]:
        content = text[start:end].strip()
        if content:
            left = start + len(text[start:end]) - len(text[start:end].lstrip())
            lines.append(Line(left, left + len(content), content))
        start = end + 1
    return lines


def is_as_written(passage: Passage, source: str, position: int) -> bool:
    """Whether a character stands for itself: false if it was escaped or written as an entity."""
    return source.startswith(passage.text[position], passage.source_offset(position))
