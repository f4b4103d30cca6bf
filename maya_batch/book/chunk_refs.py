"""Finds chunks by their names: `3:17`, `3:20-25`, or `3:17@a1b2` with the start of the chunk's key."""

import re
from collections.abc import Callable, Sequence

from maya_batch.book.chapter_numbers import no_chapter
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan
from maya_batch.errors import UsageError
from maya_batch.messages.quoting import quoted, shorten

_REF = re.compile(r"(?P<chapter>\d{1,9}):(?P<first>\d{1,9})(-(?P<last>\d{1,9}))?(@(?P<key>[0-9a-f]{4,64}))?", re.ASCII)
#: Characters of a chunk's text in a message.
_SHOWN = 60


def find_chunks(refs: Sequence[str], plan: Plan, key_of: Callable[[Chunk], str]) -> list[Chunk]:
    """The chunks with these names, each once, in the order of the names.

    Raises:
        UsageError: a name is malformed, the book has no such chunk, or the chunk has another key now.
    """
    found: dict[str, Chunk] = {}
    for ref in refs:
        for chunk in _find(ref, plan, key_of):
            found[chunk.ref] = chunk
    return list(found.values())


def _find(ref: str, plan: Plan, key_of: Callable[[Chunk], str]) -> Sequence[Chunk]:
    parts = _REF.fullmatch(ref.lower())
    if parts is None:
        raise UsageError(f"{quoted(ref)} is not a chunk; write 3:17 (chapter 3, chunk 17), 3:20-25, or 3:17@a1b2")
    number, first, last = int(parts["chapter"]), int(parts["first"]), int(parts["last"] or parts["first"])
    if parts["last"] and parts["key"]:
        raise UsageError(f"{ref}: the part after @ belongs to one chunk and cannot follow a range; leave it out")
    if last < first:
        raise UsageError(f"{ref} runs backwards; write {number}:{last}-{first}")
    chunks = _chapter(ref, number, plan)
    if parts["key"] and not (0 < first <= len(chunks) and key_of(chunks[first - 1]).startswith(parts["key"])):
        raise UsageError(_moved(ref, parts["key"], chunks[first - 1 : first] if first else (), plan, key_of))
    if not 0 < first <= last <= len(chunks):
        wrong = first if not 0 < first <= len(chunks) else last
        raise UsageError(f"{ref}: there is no chunk {number}:{wrong}; chapter {number} has chunks 1 to {len(chunks)}")
    return chunks[first - 1 : last]


def _chapter(ref: str, number: int, plan: Plan) -> tuple[Chunk, ...]:
    for chapter in plan.chapters:
        if chapter.number == number:
            return chapter.chunks
    raise UsageError(f"{ref}: {no_chapter(number, plan)}")


def _moved(ref: str, key: str, there: Sequence[Chunk], plan: Plan, key_of: Callable[[Chunk], str]) -> str:
    """The message for a name whose key does not match the chunk that is `there`, if there is one."""
    place = ref.partition("@")[0]
    now = [chunk.ref for chunk in plan.chunks() if key_of(chunk).startswith(key)]
    reads = (
        "; ".join(f"{place} now reads {shorten(chunk.text, _SHOWN)!r}" for chunk in there)
        or f"there is no chunk {place} any more"
    )
    if now:
        return f"{ref} is now {' or '.join(now)}; {reads}"
    return f"{ref}: this chunk was edited, or its settings changed; {reads}"
