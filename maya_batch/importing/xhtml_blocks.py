"""XHTML and HTML (and DTBook) -> blocks in reading order, with every character of the file accounted for.

White space is collapsed as HTML does, inline elements do not split words, emphasis is dropped, no-break spaces and soft
hyphens stay. Left out of the text and counted in `Block.omitted`: note marks, numbers of pages and of verse lines, ruby
annotations, hidden elements, alternative texts of images next to text, formulas in a sentence.
"""

from collections.abc import Collection
from typing import NamedTuple

from maya_batch.importing.blocks import Block
from maya_batch.importing.xhtml_bounds import MarkupBounds
from maya_batch.importing.xhtml_encoding import decode
from maya_batch.importing.xhtml_reader import TreeReader
from maya_batch.importing.xhtml_tree import parse


class Reading(NamedTuple):
    """What one file says. `markup` plus the characters of the blocks are `characters`."""

    blocks: tuple[Block, ...]
    markup: int
    """Characters that are no text of the book: tags, the head, comments, white space between blocks."""
    characters: int
    """All characters of the decoded file."""
    remarks: tuple[str, ...]
    """Encodings guessed, undefined entities; each begins with the name of the file, if it has one."""


def read_blocks(
    content: bytes, file: str, *, keep: Collection[str] = (), bounds: MarkupBounds | None = None
) -> Reading:
    """Read a file. `file` is its name inside the manuscript, "" if it is the manuscript.

    `keep` has reasons of `Block.omitted` whose text stays in the text: "note mark", "page number", "line number",
    "hidden", "ruby", "alternative text", "formula".

    The files of a book share `bounds`. A UsageError says that the file is too large, or nested too deep.
    """
    decoded = decode(content)
    named = file or "the manuscript"
    tree = parse(decoded.text, named, bounds)
    blocks = [] if tree.root is None else TreeReader(file, frozenset(keep)).read(tree.root)
    remarks = [f"{named} {remark}" for remark in (decoded.remark, *tree.remarks) if remark]
    characters = len(decoded.text)
    markup = characters - sum(block.characters for block in blocks)
    return Reading(tuple(blocks), markup, characters, tuple(remarks))
