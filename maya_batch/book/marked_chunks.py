"""What marks ask for, by chunk: duplicates are named, and contradictions are refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from maya_batch.book.chunk import Chunk
from maya_batch.book.chunk_refs import find_chunks
from maya_batch.book.marks_file import Mark
from maya_batch.book.plan import Plan
from maya_batch.errors import Finding, UsageError, listed_lines


@dataclass
class MarkedChunks:
    """The chunks of a book that marks name."""

    again: list[Chunk] = field(default_factory=list)
    """To get one more take, in the order of the marks."""
    keep: list[tuple[Chunk, int]] = field(default_factory=list)
    """With the number of the take to use."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Ref and note, of each mark that has one."""
    repeated: list[str] = field(default_factory=list)
    """A line for each mark that says the same as one before it."""


def marked_chunks(
    marks: Sequence[Mark], plan: Plan, key_of: Callable[[Chunk], str], attempts_of: Callable[[Chunk], Sequence[int]]
) -> MarkedChunks:
    """The chunks that these marks name, each once; `attempts_of` gives the numbers of a chunk's takes.

    Raises:
        UsageError: a mark names no chunk, a chunk that was edited since, or a take that does not exist, or two marks
            ask for different things; each with file:line:column.
    """
    marked, wrong = MarkedChunks(), list[Finding]()
    before: dict[str, Mark] = {}
    for mark in marks:
        try:
            chunks = find_chunks([mark.ref], plan, key_of)
        except UsageError as error:
            wrong.append(mark.finding(str(error), "delete the line" if "@" in mark.ref else ""))
            continue
        if mark.note:
            marked.notes.append((mark.ref, mark.note))
        if mark.action == "note":
            continue
        for chunk in chunks:
            earlier = before.setdefault(chunk.ref, mark)
            if earlier is not mark:
                _compare(mark, earlier, marked, wrong)
            elif mark.attempt is None:
                marked.again.append(chunk)
            elif mark.attempt in (there := attempts_of(chunk)):
                marked.keep.append((chunk, mark.attempt))
            else:
                takes = ", ".join(map(str, there)) or "none"
                wrong.append(mark.finding(f"chunk {mark.ref} has no take {mark.attempt}", f"existing takes: {takes}"))
    if wrong:
        raise UsageError(*listed_lines(wrong))
    return marked


def _compare(mark: Mark, earlier: Mark, marked: MarkedChunks, wrong: list[Finding]) -> None:
    """Put two marks of one chunk on record: as repeated, or as a mistake."""
    line = earlier.place[1]
    if mark.written == earlier.written:
        found = mark.finding(f"{mark.ref} is marked `{mark.written}` in line {line}, too; it is done only once")
        marked.repeated.append(str(found))
    else:
        what = f"{mark.ref} is marked `{mark.written}` here and `{earlier.written}` in line {line}"
        wrong.append(mark.finding(what, "delete one of the two lines"))
