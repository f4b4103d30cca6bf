"""Where every character of a manuscript is: read aloud, in a title, left out for a reason, white space or markup."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maya_batch.importing.blocks import Document
from maya_batch.importing.chapters import Chapter
from maya_batch.importing.reading_rules import Reading


@dataclass(frozen=True)
class Sums:
    """Characters of the decoded manuscript; all together are `total`."""

    spoken: int
    """In the chapters that are read aloud."""
    announced: int
    """In headings that the titles of these chapters say."""
    skipped: Mapping[str, int]
    """By reason: whole chapters, and notes, tables, page numbers and so on inside the others."""
    white_space: int
    """Line ends and indentation of the source."""
    markup: int
    total: int

    def lines(self) -> list[str]:
        """A line for each sum."""
        skipped = sorted(self.skipped.items(), key=lambda pair: (-pair[1], pair[0]))
        rows = [("read aloud", self.spoken), ("in titles", self.announced)]
        rows += [(f"skipped: {reason}", count) for reason, count in skipped]
        rows += [("white space", self.white_space), ("markup", self.markup), ("all", self.total)]
        widest = max(len(name) for name, _ in rows)
        return [f"{name:<{widest}}  {count:>11,} characters" for name, count in rows if count or name == "all"]


def account(document: Document, chapters: Sequence[Chapter], reading: Reading) -> Sums:
    """The sums of a document and its chapters.

    Raises:
        AssertionError: they do not add up, in a file or as a whole: a bug of a reader or of `chapters`.
    """
    characters = _characters_of(document)
    for file, size in document.sizes.items():
        parts = document.markup.get(file, 0) + characters[file]
        if parts != size:
            raise AssertionError(f"{file or 'the manuscript'}: {parts:,} of {size:,} characters are accounted for")
    spoken = announced = white_space = 0
    skipped: Counter[str] = Counter()
    for chapter in chapters:
        for block, in_title in [*((b, True) for b in chapter.announced), *((b, False) for b in chapter.blocks)]:
            for reason, count in block.omitted.items():
                if reason == "white space":
                    white_space += count
                else:
                    skipped[reason] += count
            reason = chapter.skip or ("" if in_title and block.kind == "heading" else reading.reason(block))
            if reason:
                skipped[reason] += len(block.text)
            elif in_title:
                announced += len(block.text)
            else:
                spoken += len(block.text)
    markup, total = sum(document.markup.values()), sum(document.sizes.values())
    found = spoken + announced + white_space + markup + skipped.total()
    if found != total:
        raise AssertionError(f"{found:,} of {total:,} characters of the manuscript are accounted for")
    return Sums(spoken, announced, dict(+skipped), white_space, markup, total)


def _characters_of(document: Document) -> Counter[str]:
    found: Counter[str] = Counter()
    for block in document.blocks:
        found[block.place.file] += block.characters
    return found
