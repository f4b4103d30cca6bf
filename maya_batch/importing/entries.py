"""Where the entries of the table of contents begin in the text; without a table, the headings are the entries."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise

from maya_batch.importing.blocks import Block, ContentsEntry, Document
from maya_batch.importing.matter import CONTENTS, gutenberg_reasons, reason_of_title
from maya_batch.importing.titles import ends_parts, heading_title, is_part, one_line, plain
from maya_batch.messages.quoting import quoted_names

_LISTED_WORDS = 25
"""The most words that a list of contents has for a chapter besides its number."""
_MOST_LEVELS = 8
"""The deepest level of contents; what is below counts as being there."""


@dataclass
class Entry:
    """An entry of the contents, and the number of the block where it begins; None if it points nowhere."""

    title: str
    level: int
    start: int | None
    children: list["Entry"] = field(default_factory=list)
    from_heading: bool = False

    def walk(self) -> Iterator["Entry"]:
        """It and all below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


def find_entries(document: Document) -> tuple[list[Entry], list[str]]:
    """The top entries with those below them, and remarks about the contents.

    All of a document's entries have a start, but for those that have none and have entries below them. Starts do not
    decrease from an entry to the next: the order of the text wins.
    """
    blocks = document.blocks
    flat, remarks = _resolve(document.contents, blocks)
    if len({entry.start for entry in flat if entry.start is not None}) < 2:
        headings = heading_entries(blocks)
        if not flat and len(headings) < 2 and len({block.place.file for block in blocks}) > 1:
            return [], []  # chapters by file
        if len(headings) >= 2 or not any(entry.start is not None for entry in flat):
            return _tree(headings), [*remarks, *(["chapters follow the headings"] if flat else [])]
    return _tree(flat), remarks


def heading_entries(blocks: Sequence[Block]) -> list[Entry]:
    """The headings of the level at which chapters are, and the parts above them, in order.

    That level is the first one with several headings; if most of them are parts (“Part One”), it is the next one. A
    single heading before all others is the title of the book. Where a heading without a text comes again later with
    one, it stands in a list of contents.
    """
    around = gutenberg_reasons(blocks)
    headings = [
        Entry(heading_title(block.text), block.level or 1, at, from_heading=True)
        for at, block in enumerate(blocks)
        if block.kind == "heading" and plain(block.text) and at not in around
    ]
    headings = _without_listed(headings, blocks)
    levels = sorted({entry.level for entry in headings})
    if not levels:
        return []
    at_level = {level: [entry for entry in headings if entry.level == level] for level in levels}
    chosen = next((level for level in levels if len(at_level[level]) > 1), levels[-1])
    parts = [entry for entry in headings if entry.level <= chosen and is_part(entry.title)]
    while 2 * len(parts) >= len(at_level[chosen]) and (deeper := [level for level in levels if level > chosen]):
        chosen = deeper[0]
        parts = [entry for entry in at_level[chosen] if is_part(entry.title)]
    kept = [entry for entry in headings if entry.level <= chosen]
    if len(kept) > 1 and kept[0].level < kept[1].level and _alone(kept[0], kept) and not is_part(kept[0].title):
        kept = kept[1:]
    highest = min(entry.level for entry in kept)
    for entry in kept:
        if ends_parts(entry.title):
            entry.level = highest
    return kept


def _alone(first: Entry, entries: Sequence[Entry]) -> bool:
    return all(entry.level > first.level for entry in entries if entry is not first)


def _without_listed(headings: list[Entry], blocks: Sequence[Block]) -> list[Entry]:
    """The headings without those of a list of contents: the same heading comes again later, and no text follows here.

    After the heading “Contents” a few words may follow: the name of the chapter and its page.
    """
    last = {plain(entry.title): entry.start or 0 for entry in headings}
    ends = [*(entry.start or 0 for entry in headings[1:]), len(blocks)]
    kept: list[Entry] = []
    in_contents = False
    for entry, end in zip(headings, ends, strict=False):
        start, name = entry.start or 0, plain(entry.title)
        text = [block for block in blocks[start + 1 : end] if block.kind not in ("page_break", "list_item")]
        begins = " ".join(name.split()[:2])
        again = max(last[name], last.get(begins, 0) if in_contents else 0) > start
        if again and (not text or (in_contents and sum(len(block.text.split()) for block in text) <= _LISTED_WORDS)):
            continue
        in_contents = reason_of_title(entry.title) == CONTENTS
        kept.append(entry)
    return kept


def _resolve(contents: Sequence[ContentsEntry], blocks: Sequence[Block]) -> tuple[list[Entry], list[str]]:
    """The entries with their starts in the order of the text, and remarks."""
    firsts: dict[str, int] = {}
    anchors: dict[tuple[str, str], int] = {}
    headings: dict[tuple[str, str], int] = {}
    for at, block in enumerate(blocks):
        firsts.setdefault(block.place.file, at)
        if block.kind == "heading":
            headings.setdefault((block.place.file, plain(block.text)), at)
        for name in block.ids:
            anchors.setdefault((block.place.file, name), at)
    entries: list[Entry] = []
    lost: list[str] = []
    for entry in contents:
        start = anchors.get((entry.file, entry.anchor)) if entry.anchor else firsts.get(entry.file)
        if start is None and entry.file in firsts:
            start = headings.get((entry.file, plain(entry.title)), firsts[entry.file])
            lost.append(one_line(entry.title))
        elif start is None and entry.file:
            lost.append(one_line(entry.title))
        entries.append(Entry(one_line(entry.title), min(entry.level, _MOST_LEVELS), start))
    remarks = [f"the contents point to places that do not exist: {quoted_names(lost)}"] if lost else []
    starts = [entry.start for entry in entries if entry.start is not None]
    if any(a > b for a, b in pairwise(starts)):
        remarks.append("the contents are in another order than the text; chapters follow the text")
    moved = _before_headings(set(starts), blocks)
    for made in entries:
        if made.start is not None:
            made.start = moved[made.start]
    return entries, remarks


def _before_headings(starts: Set[int], blocks: Sequence[Block]) -> dict[int, int]:
    """Each start moved before headings right above it: many contents point to the first paragraph after them."""
    texts = list(range(len(blocks)))  # for each block the first one from there that is no page break
    for at in reversed(range(len(blocks) - 1)):
        if blocks[at].kind == "page_break":
            texts[at] = texts[at + 1]
    moved = {}
    for start in starts:
        at = start
        while (
            at
            and blocks[texts[start]].kind != "heading"
            and blocks[at - 1].kind in ("heading", "page_break")
            and blocks[at - 1].place.file == blocks[start].place.file
            and at - 1 not in starts
        ):
            at -= 1
        moved[start] = at
    return moved


def _tree(flat: Sequence[Entry]) -> list[Entry]:
    """The entries below each other by their levels, each list in the order of the text."""
    top: list[Entry] = []
    open_: list[Entry] = []
    for entry in flat:
        while open_ and open_[-1].level >= entry.level:
            open_.pop()
        (open_[-1].children if open_ else top).append(entry)
        open_.append(entry)
    return _in_order(_without_lost(top))


def _without_lost(entries: list[Entry]) -> list[Entry]:
    for entry in entries:
        entry.children = _without_lost(entry.children)
    return [entry for entry in entries if entry.start is not None or entry.children]


def _in_order(entries: list[Entry]) -> list[Entry]:
    for entry in entries:
        entry.children = _in_order(entry.children)
    return sorted(entries, key=first_start)


def first_start(entry: Entry) -> int:
    """Where the first text of an entry or of those below it is."""
    return min(each.start for each in entry.walk() if each.start is not None)
