"""Reads a single HTML or XHTML file."""

import re
from collections.abc import Collection
from html import unescape
from pathlib import Path

from maya_batch.importing.blocks import Block, Document, Metadata
from maya_batch.importing.files import read_file
from maya_batch.importing.titles import one_line
from maya_batch.importing.xhtml_blocks import read_blocks
from maya_batch.importing.xhtml_encoding import decode

_HEAD = 65536
"""Bytes at the beginning in which the head is looked for."""
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,1000})</title", re.I)
_META = re.compile(r"<meta\s[^>]{1,2000}>", re.I)
_ATTRIBUTE = re.compile(r"""\b(name|property|content)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.I)
_LANGUAGE = re.compile(r"""<html\b[^>]{0,2000}?\b(?:xml:)?lang\s*=\s*["']([A-Za-z-]{2,20})["']""", re.I)
_NAMES = {
    "author": "author",
    "dc.creator": "author",
    "dcterms.creator": "author",
    "description": "description",
    "dc.publisher": "publisher",
    "dc.date": "date",
    "dcterms.date": "date",
}


def read_html(path: Path, keep: frozenset[str] = frozenset()) -> Document:
    """The document of an HTML file; `keep` is as in `xhtml_blocks.read_blocks`.

    Raises:
        UsageError: it cannot be read, or is too large.
    """
    content = read_file(path)
    reading = read_blocks(content, "", keep=keep)
    metadata = html_metadata(decode(content[:_HEAD]).text, reading.blocks)
    sizes = {"": reading.characters}
    return Document(metadata, reading.blocks, (), {"": reading.markup}, sizes, remarks=reading.remarks)


def html_metadata(head: str, blocks: Collection[Block]) -> Metadata:
    """What the head says; the title may also be the first heading of the first level."""
    found: dict[str, str] = {}
    for tag in _META.findall(head):
        values = {name.lower(): one_line(unescape(a or b)) for name, a, b in _ATTRIBUTE.findall(tag)}
        name = _NAMES.get(values.get("name", values.get("property", "")).lower(), "")
        if name and values.get("content"):
            found.setdefault(name, values["content"])
    title = _TITLE.search(head)
    language = _LANGUAGE.search(head)
    return Metadata(
        title=first_title(blocks) or (one_line(unescape(title[1])) if title else ""),
        authors=(found["author"],) if "author" in found else (),
        language=language[1] if language else "",
        publisher=found.get("publisher", ""),
        date=found.get("date", ""),
        description=found.get("description", ""),
    )


def first_title(blocks: Collection[Block]) -> str:
    """The heading of the first level, if it is the only one and comes before all other headings; else ""."""
    headings = [block for block in blocks if block.kind == "heading"]
    first = headings[0] if headings else None
    alone = first is not None and all(block.level > first.level for block in headings[1:])
    return one_line(first.text) if first is not None and alone and len(headings) > 1 else ""


def page_of(body: str) -> bytes:
    """An XHTML page with this body, which may use epub:type."""
    names = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
    return f'<html {names}><head><meta charset="utf-8"/></head><body>{body}</body></html>'.encode()
