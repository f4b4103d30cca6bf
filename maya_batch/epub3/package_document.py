"""The package document of an EPUB of a book: what it says of itself, which files it has, and in which order."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from maya_batch.epub3.media_overlay import ACTIVE_CLASS, SMIL_TYPE, clock
from maya_batch.manifest import Book

OPF, DC = "http://www.idpf.org/2007/opf", "http://purl.org/dc/elements/1.1/"
XHTML_TYPE = "application/xhtml+xml"

CONTAINER = "META-INF/container.xml"

MODIFIED = "2000-01-01T00:00:00Z"
"""EPUB asks for a date of the last change; the same book is the same file on any day."""
_TYPES = {
    ".xhtml": XHTML_TYPE,
    ".smil": SMIL_TYPE,
    ".css": "text/css",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}


@dataclass(frozen=True)
class Item:
    """A file of the book, in the folder of the package document."""

    id: str
    href: str
    properties: str = ""
    overlay: str = ""
    """The id of its media overlay."""
    seconds: float | None = None
    """The length of a media overlay."""
    in_spine: bool = False


def media_type(name: str) -> str:
    """The media type of a file by its suffix."""
    return _TYPES[name[name.rindex(".") :]]


def container(package: str) -> bytes:
    """The file that says where the package document is."""
    namespace = "urn:oasis:names:tc:opendocument:xmlns:container"
    root = etree.Element(f"{{{namespace}}}container", {"version": "1.0"}, nsmap={None: namespace})
    files = etree.SubElement(root, f"{{{namespace}}}rootfiles")
    attributes = {"full-path": package, "media-type": "application/oebps-package+xml"}
    etree.SubElement(files, f"{{{namespace}}}rootfile", attributes)
    return to_xml(root)


def package_document(book: Book, identity: str, items: Sequence[Item]) -> bytes:
    """The package document of a book; `identity` tells it from all others where it has no ISBN."""
    root = etree.Element(
        f"{{{OPF}}}package", {"version": "3.0", "unique-identifier": "id"}, nsmap={None: OPF, "dc": DC}
    )
    root.set("{http://www.w3.org/XML/1998/namespace}lang", book.language)
    metadata = etree.SubElement(root, f"{{{OPF}}}metadata")
    identifier = f"urn:isbn:{book.isbn}" if book.isbn else f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}"
    _dublin_core(metadata, "identifier", identifier, "id")
    _dublin_core(metadata, "title", book.title, "title")
    add_meta(metadata, "title-type", "main", "title")
    if book.subtitle:
        _dublin_core(metadata, "title", book.subtitle, "subtitle")
        add_meta(metadata, "title-type", "subtitle", "subtitle")
    _dublin_core(metadata, "language", book.language)
    if book.author:
        _dublin_core(metadata, "creator", book.author, "author")
        add_meta(metadata, "role", "aut", "author", scheme="marc:relators")
    for name, text in (("publisher", book.publisher), ("date", book.date), ("description", book.description)):
        if text:
            _dublin_core(metadata, name, text)
    if book.series is not None:
        add_meta(metadata, "belongs-to-collection", book.series.name, name="series")
        add_meta(metadata, "collection-type", "series", "series")
        if book.series.number is not None:
            add_meta(metadata, "group-position", f"{book.series.number:g}", "series")
    add_meta(metadata, "dcterms:modified", MODIFIED)
    add_overlays(metadata, {item.id: item.seconds for item in items if item.seconds is not None}, book.narrator)
    manifest, spine = (etree.SubElement(root, f"{{{OPF}}}{name}") for name in ("manifest", "spine"))
    for item in items:
        more = {"properties": item.properties, "media-overlay": item.overlay}
        attributes = {"id": item.id, "href": item.href, "media-type": media_type(item.href)}
        etree.SubElement(manifest, f"{{{OPF}}}item", attributes | {key: text for key, text in more.items() if text})
        if item.in_spine:
            etree.SubElement(spine, f"{{{OPF}}}itemref", {"idref": item.id})
    return to_xml(root)


def add_overlays(metadata: etree._Element, seconds: Mapping[str, float], narrator: str | None) -> None:
    """Say in the metadata how long the overlays are, by the ids of their items, and who reads."""
    for overlay, each in seconds.items():
        add_meta(metadata, "media:duration", clock(each), overlay)
    add_meta(metadata, "media:duration", clock(sum(seconds.values())))
    if narrator:
        add_meta(metadata, "media:narrator", narrator)
    add_meta(metadata, "media:active-class", ACTIVE_CLASS)


def to_xml(root: etree._Element) -> bytes:
    """A document as a file."""
    content: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)
    return content


def _dublin_core(metadata: etree._Element, name: str, text: str, identity: str = "") -> None:
    etree.SubElement(metadata, f"{{{DC}}}{name}", {"id": identity} if identity else {}).text = text


def add_meta(
    metadata: etree._Element, of: str, text: str, refines: str = "", *, scheme: str = "", name: str = ""
) -> None:
    """Add an entry with a property, which refines the entry of this id; `name` is its own id."""
    attributes = {"property": of, "refines": f"#{refines}" if refines else "", "scheme": scheme, "id": name}
    made = etree.SubElement(metadata, f"{{{OPF}}}meta", {key: value for key, value in attributes.items() if value})
    made.text = text
