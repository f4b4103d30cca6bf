"""The block model between the readers of manuscripts and the writer of book folders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "heading",
    "paragraph",
    "verse",
    "list_item",
    "table",
    "quote",
    "scene_break",
    "figure",
    "sidebar",
    "note",
    "formula",
    "code",
    "page_break",
]
"""What a block is. A `verse` keeps its lines; a `figure` is its caption, else its alternative text; a `table` has one
line for each row and tabs between cells; a `note` is a footnote or endnote; a `page_break` has a number or nothing."""


@dataclass(frozen=True)
class Place:
    """Where a block came from: an element of a file of the manuscript."""

    file: str
    """The name inside the manuscript, "" for a manuscript that is one file."""
    element: str
    """The path of the element, like `/html/body/section[2]/p[7]`; `line 12` in plain text."""


@dataclass(frozen=True)
class Block:
    """A part of the manuscript in reading order."""

    kind: Kind
    text: str
    """What it says: white space collapsed, no markup; verse, tables and code have a line feed between lines."""
    place: Place
    level: int = 0
    """Of a heading 1 to 6, of a list item its depth from 1; else 0."""
    ids: tuple[str, ...] = ()
    """The ids of its element, of elements in it, and of empty elements before it: contents and links point to them."""
    roles: frozenset[str] = frozenset()
    """The epub:type and ARIA roles of it and of the elements around it, in lower case without prefix."""
    omitted: Mapping[str, int] = field(default_factory=dict)
    """Characters of the source inside it that are not in `text`, by reason: "white space", "note mark", "page number",
    "hidden", "ruby", "alternative text", …"""
    raised: tuple[tuple[int, int], ...] = ()
    """Start and end in `text` of raised numbers and signs, which may be marks of notes; `plain_note_marks` decides."""

    @property
    def characters(self) -> int:
        """The characters of the source that it accounts for."""
        return len(self.text) + sum(self.omitted.values())


@dataclass(frozen=True)
class ContentsEntry:
    """An entry of the table of contents."""

    title: str
    level: int
    """From 1."""
    file: str
    """The file that it points to; "" if it points nowhere."""
    anchor: str = ""
    """The id in that file; "" for its beginning."""


@dataclass(frozen=True)
class Metadata:
    """What the manuscript says of itself; empty where it says nothing."""

    title: str = ""
    subtitle: str = ""
    authors: tuple[str, ...] = ()
    language: str = ""
    series: str = ""
    series_number: str = ""
    publisher: str = ""
    date: str = ""
    isbn: str = ""
    description: str = ""


@dataclass(frozen=True)
class Image:
    """A cover."""

    content: bytes
    suffix: Literal[".jpg", ".png"]


@dataclass(frozen=True)
class Document:
    """A manuscript that was read in, whatever its format."""

    metadata: Metadata
    blocks: tuple[Block, ...]
    """In reading order: that of the spine, of the file."""
    contents: tuple[ContentsEntry, ...]
    """In the order in which they stand in the table of contents; empty if there is none."""
    markup: Mapping[str, int]
    """By file: the characters of its decoded text that are no text of the book: tags, comments, declarations, the head,
    scripts, entities beyond the character they stand for."""
    sizes: Mapping[str, int]
    """By file: all characters of its decoded text; equal to its markup plus the characters of its blocks."""
    cover: Image | None = None
    remarks: tuple[str, ...] = ()
    """What a person should know of the manuscript: missing items, encodings guessed, contents in another order."""
