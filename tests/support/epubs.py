"""Builds EPUBs for tests, sound ones and broken ones."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    "<rootfiles>{}</rootfiles></container>"
)
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf"'
METADATA = "<dc:title>A Book</dc:title><dc:creator>Ann Author</dc:creator><dc:language>en</dc:language>"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def xhtml(body: str, head: str = "<title>A title</title>") -> str:
    """A well-formed XHTML file."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml" '
        f'xmlns:epub="http://www.idpf.org/2007/ops"><head>{head}</head><body>{body}</body></html>'
    )


def container(*packages: str) -> str:
    """META-INF/container.xml for these package documents."""
    kind = "application/oebps-package+xml"
    return CONTAINER.format("".join(f'<rootfile full-path="{name}" media-type="{kind}"/>' for name in packages))


def nav(*entries: str) -> str:
    """A navigation document with these list items."""
    return xhtml(f'<nav epub:type="toc"><ol>{"".join(entries)}</ol></nav>')


def link(title: str, href: str) -> str:
    """A list item of a navigation document."""
    return f'<li><a href="{href}">{title}</a></li>'


def ncx(*points: tuple[str, str]) -> str:
    """An NCX with these titles and links."""
    inside = "".join(
        f'<navPoint id="n{number}" playOrder="{number}"><navLabel><text>{title}</text></navLabel>'
        f'<content src="{src}"/></navPoint>'
        for number, (title, src) in enumerate(points, 1)
    )
    return f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>{inside}</navMap></ncx>'


def package(
    names: Sequence[str],
    *,
    spine: Sequence[str] | None = None,
    metadata: str = METADATA,
    items: str = "",
    refs: str = "",
) -> str:
    """A package document; an item's id is its name, and `spine` is all names without `items`."""
    manifest = "".join(f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in names)
    order = "".join(f'<itemref idref="{name}"/>' for name in (names if spine is None else spine))
    return (
        f'<package xmlns="http://www.idpf.org/2007/opf" version="3.0" {DC}><metadata>{metadata}</metadata>'
        f'<manifest>{manifest}{items}</manifest><spine toc="ncx">{order}{refs}</spine></package>'
    )


NAV_ITEM = '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
NCX_ITEM = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'


def write_zip(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A zip file of these entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_epub(
    path: Path,
    chapters: Mapping[str, str | bytes],
    *,
    opf: str | None = None,
    contents: str | None = None,
    toc: str | None = None,
    more: Mapping[str, str | bytes] | None = None,
) -> Path:
    """An EPUB of these XHTML files in `OPS/`, with a navigation document and an NCX if they are given."""
    items = (NAV_ITEM if contents is not None else "") + (NCX_ITEM if toc is not None else "")
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container("OPS/book.opf"),
        "OPS/book.opf": package(list(chapters), items=items) if opf is None else opf,
    }
    files |= {f"OPS/{name}": content for name, content in chapters.items()}
    if contents is not None:
        files["OPS/nav.xhtml"] = contents
    if toc is not None:
        files["OPS/toc.ncx"] = toc
    return write_zip(path, files | dict(more or {}))
