"""The package document of an EPUB that gets sound: what is added to it, and what of an earlier sound is taken out.

One of EPUB 2 becomes one of EPUB 3, which alone has sound.
"""

import posixpath
from collections.abc import Sequence
from urllib.parse import quote

from lxml import etree

from maya_batch.epub3.from_epub2 import navigation, to_epub3
from maya_batch.epub3.media_overlay import SMIL_TYPE
from maya_batch.epub3.package_document import OPF, XHTML_TYPE, add_overlays, media_type, to_xml
from maya_batch.errors import UsageError
from maya_batch.importing.blocks import ContentsEntry
from maya_batch.importing.epub_archive import Archive
from maya_batch.importing.package import Package
from maya_batch.importing.xhtml_elements import name_of

_XHTML = "http://www.w3.org/1999/xhtml"
_FOLDER = "read-along"


class SourcePackage:
    """A package document while it is changed."""

    def __init__(self, archive: Archive, package: Package) -> None:
        """Read it and take out the media overlays that it has.

        Raises:
            UsageError: it is none of EPUB 2 or 3.
        """
        self.name, self._root = package.name, package.root
        version = self._root.get("version") or "unknown"
        if self._root.tag != f"{{{OPF}}}package" or not version.startswith(("2", "3")):
            raise UsageError(f"its pages are those of EPUB {version}, not of EPUB 2 or 3")
        self.was_epub2 = version.startswith("2")
        """Whether all pages have to be changed, too."""
        if self.was_epub2:
            to_epub3(self._root)
        self._manifest, self._metadata = self._child("manifest"), self._child("metadata")
        folder = posixpath.join(posixpath.dirname(self.name), _FOLDER)
        while any(name.startswith(f"{folder}/") for name in archive.names):
            folder += "-2"
        self._folder = folder
        self._ids = {element.get("id") or "" for element in self._root.iter(etree.Element)}
        self._items = {item.name: item for item in package.items.values()}
        self._seconds: dict[str, float] = {}
        self.left_out = set(self._old_overlays(archive))
        """The names of files that are not in the EPUB any more."""
        self.style = f"{folder}/style.css"
        """The name of the added style sheet."""
        self._add("style", self.style)

    def add_sound(self, name: str) -> str:
        """Add a sound file of this name; returns its name in the EPUB."""
        return self._add(name.rpartition(".")[0], f"{self._folder}/{name}")[1]

    def add_overlay(self, page: str, seconds: float) -> str:
        """Add the overlay of a page, of this length; returns its name."""
        number = len(self._seconds) + 1
        identity, name = self._add(f"overlay-{number}", f"{self._folder}/overlay-{number}.smil")
        self._seconds[identity] = seconds
        for element in self._manifest:
            if element.get("id") == self._items[page].id:
                element.set("media-overlay", identity)
        return name

    def add_style(self, root: etree._Element, page: str) -> None:
        """Link the added style sheet to a page."""
        head = next((element for element in root if name_of(element) == "head"), None)
        if head is None:
            head = etree.Element(f"{{{_XHTML}}}head")
            root.insert(0, head)
        link = quote(posixpath.relpath(self.style, posixpath.dirname(page)))
        etree.SubElement(head, f"{{{_XHTML}}}link", {"rel": "stylesheet", "type": "text/css", "href": link})

    def describe_page(self, page: str, properties: Sequence[str]) -> None:
        """Say what a page is, as EPUB 3 has it."""
        for element in self._manifest:
            if element.get("id") == self._items[page].id:
                element.set("media-type", XHTML_TYPE)
                if properties:
                    element.set("properties", " ".join(properties))

    def add_contents(self, entries: Sequence[ContentsEntry], title: str, language: str) -> tuple[str, bytes]:
        """Add a navigation document with these entries; returns its name and its content.

        Raises:
            UsageError: no entry leads anywhere.
        """
        _, name = self._add("contents", f"{self._folder}/contents.xhtml")
        self._manifest[-1].set("properties", "nav")

        def link(file: str, anchor: str) -> str:
            place = quote(posixpath.relpath(file, posixpath.dirname(name)))
            return f"{place}#{quote(anchor)}" if anchor else place

        return name, navigation(entries, title, language, link)

    def finished(self, narrator: str | None) -> bytes:
        """The document."""
        add_overlays(self._metadata, self._seconds, narrator)
        return to_xml(self._root)

    def _child(self, name: str) -> etree._Element:
        found = next((element for element in self._root if name_of(element) == name), None)
        if found is None:
            raise UsageError(f"its package document has no {name}")
        return found

    def _add(self, name: str, path: str) -> tuple[str, str]:
        """Add an item to the manifest; returns its id and its name."""
        identity = f"{_FOLDER}-{name}"
        while identity in self._ids:
            identity += "-2"
        self._ids.add(identity)
        href = quote(posixpath.relpath(path, posixpath.dirname(self.name) or "."))
        etree.SubElement(
            self._manifest, f"{{{OPF}}}item", {"id": identity, "href": href, "media-type": media_type(path)}
        )
        return identity, path

    def _old_overlays(self, archive: Archive) -> list[str]:
        """Take out the overlays that the EPUB has, and their sound; returns the names of the files."""
        old = [item for item in self._items.values() if item.media_type == SMIL_TYPE]
        if old:
            pages = b"".join(archive.read(item.name) for item in self._items.values() if item.is_text and item.name)
            sounds = [item for item in self._items.values() if item.media_type.startswith("audio/")]
            old += [item for item in sounds if posixpath.basename(item.name).encode() not in pages]
        gone = {item.id for item in old}
        for element in list(self._manifest):
            if element.get("id") in gone:
                self._manifest.remove(element)
            else:
                element.attrib.pop("media-overlay", None)
        for element in list(self._metadata):
            if (element.get("property") or "").startswith("media:"):
                self._metadata.remove(element)
        return [item.name for item in old if item.name]
