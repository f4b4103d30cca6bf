"""The cover of an EPUB: the image that the package names, else the first image of the cover page."""

import posixpath
from collections.abc import Iterator

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import Image
from maya_batch.importing.epub_archive import Archive
from maya_batch.importing.package import Package
from maya_batch.importing.xhtml_elements import name_of
from maya_batch.importing.xhtml_encoding import decode
from maya_batch.importing.xhtml_tree import parse
from maya_batch.manifest.cover import LARGEST_COVER
from maya_batch.messages.quoting import quoted

_LARGEST_PAGE = 2**20
_XLINK = "{http://www.w3.org/1999/xlink}href"
_MOST_TRIED = 10


def read_cover(archive: Archive, package: Package) -> tuple[Image | None, str]:
    """The cover, and a remark: why there is none though the book names one, else ""."""
    remark = ""
    for tried, name in enumerate(dict.fromkeys(_candidates(archive, package))):
        if tried >= _MOST_TRIED:
            break
        try:
            content = archive.read(name, LARGEST_COVER)
        except UsageError as error:
            remark = remark or f"the cover cannot be read: {error}"
            continue
        image = as_image(content)
        if image is not None:
            return image, ""
        remark = remark or f"the cover {quoted(name)} is neither JPEG nor PNG and is left out"
    return None, remark


def as_image(content: bytes) -> Image | None:
    """The image, by its first bytes; None if it is neither JPEG nor PNG."""
    if content.startswith(b"\xff\xd8\xff"):
        return Image(content, ".jpg")
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return Image(content, ".png")
    return None


def _candidates(archive: Archive, package: Package) -> Iterator[str]:
    """Names of images, the most trusted first."""
    items = package.items.values()
    yield from (item.name for item in items if "cover-image" in item.properties and item.name)
    pages: list[str] = []
    for element in package.root.iter(etree.Element):
        kind = name_of(element)
        if kind == "meta" and element.get("name") == "cover":
            content = element.get("content") or ""
            item = package.items.get(content)
            name = item.name if item is not None else archive.find(archive.resolve(content, package.name)[0])
            if name and (item is None or item.media_type.startswith("image/")):
                yield name
        elif kind == "reference" and (element.get("type") or "").lower() in ("cover", "other.ms-coverimage-standard"):
            name = archive.find(archive.resolve(element.get("href") or "", package.name)[0])
            if name:
                pages.append(name)
    for name in pages:
        yield from _image_of(archive, name)
    for item in items:
        stem = posixpath.basename(item.name).lower()
        if item.media_type.startswith("image/") and item.name and ("cover" in stem or item.id.lower() == "cover"):
            yield item.name


def _image_of(archive: Archive, page: str) -> Iterator[str]:
    """The first image of a page; the page if it is an image."""
    if page.lower().endswith((".jpg", ".jpeg", ".png")):
        yield page
        return
    try:
        root = parse(decode(archive.read(page, _LARGEST_PAGE)).text, page, archive.bounds).root
    except UsageError:
        return
    for element in () if root is None else root.iter(etree.Element):
        if name_of(element) in ("img", "image"):
            link = element.get("src") or element.get(_XLINK) or element.get("href") or element.get("xlink:href") or ""
            if name := archive.find(archive.resolve(link, page)[0]):
                yield name
                return
