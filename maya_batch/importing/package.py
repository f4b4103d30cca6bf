"""The package document of an EPUB: which files it has, and in which order they are read."""

import posixpath
from dataclasses import dataclass, field

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing.epub_archive import Archive
from maya_batch.importing.xhtml_elements import name_of
from maya_batch.importing.xhtml_encoding import decode
from maya_batch.importing.xhtml_tree import parse
from maya_batch.messages.quoting import quoted, quoted_names

_CONTAINER = "META-INF/container.xml"
_PACKAGE_TYPE = "application/oebps-package+xml"
_LARGEST = 16 * 2**20
#: Files that hold text, by media type and by the end of their names.
_TEXT_TYPES = {
    "application/xhtml+xml", "text/html", "application/html", "text/x-oeb1-document", "application/x-dtbook+xml",
    "application/xml", "text/xml", "image/svg+xml",
}  # fmt: skip
_TEXT_NAMES = (".xhtml", ".html", ".htm", ".xht")
_LONGEST_FALLBACK = 10


@dataclass(frozen=True)
class Item:
    """A file that the package names."""

    id: str
    name: str
    """Its entry in the zip file, "" if there is none."""
    href: str
    media_type: str
    properties: frozenset[str]
    fallback: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it may hold text of the book."""
        return self.media_type in _TEXT_TYPES or self.name.lower().endswith(_TEXT_NAMES)


@dataclass
class Package:
    """What the package document says."""

    name: str
    """Its entry in the zip file."""
    root: etree._Element
    items: dict[str, Item] = field(default_factory=dict)
    """By id."""
    spine: list[Item] = field(default_factory=list)
    """Files with text in reading order, each once."""
    non_linear: set[str] = field(default_factory=set)
    """Names of files of the spine that are read on demand only: `linear="no"`."""
    images: int = 0
    """Images that stand in the spine."""
    ncx: str = ""
    """The id of the NCX that the spine names."""
    remarks: list[str] = field(default_factory=list)


def read_package(archive: Archive) -> Package:
    """Find and read the package document.

    A UsageError says that there is none, or that it names no text.
    """
    remarks: list[str] = []
    name = _package_name(archive, remarks)
    root = _parsed(archive, name, remarks)
    package = Package(name, root, remarks=remarks)
    spine: etree._Element | None = None
    for element in root.iter(etree.Element):
        kind = name_of(element)
        if kind == "item" and element.get("href") is not None:
            _add_item(archive, package, element)
        elif kind == "spine" and spine is None:
            spine = element
    if spine is not None:
        package.ncx = spine.get("toc") or ""
        _fill_spine(package, spine)
    if not package.spine and not package.images:
        package.spine = [item for item in package.items.values() if item.name and _reads_as_chapter(item)]
        if not package.spine:
            raise UsageError(f"{archive.path}: the package document {quoted(name)} names no text")
        remarks.append("the package has no spine; the files are read in the order of its manifest")
    _remark_unread(archive, package)
    return package


def _package_name(archive: Archive, remarks: list[str]) -> str:
    container = archive.find(_CONTAINER)
    names: list[str] = []
    if container is not None:
        for element in _parsed(archive, container, remarks).iter(etree.Element):
            if name_of(element) == "rootfile":
                named, _ = archive.resolve(element.get("full-path") or "", "")
                found = archive.find(named) if named else None
                if found is not None and element.get("media-type", _PACKAGE_TYPE) == _PACKAGE_TYPE:
                    names.append(found)
    if len(names) > 1:
        remarks.append(f"the book has {len(names)} package documents; {quoted(names[0])}, the first, is read")
    if not names:
        names = sorted((name for name in archive.names if name.lower().endswith(".opf")), key=lambda n: (len(n), n))
        if not names:
            raise UsageError(f"{archive.path}: not an EPUB: the zip file has no package document")
        remarks.append(f"{_CONTAINER} names no package document; {quoted(names[0])} is read")
    return names[0]


def _parsed(archive: Archive, name: str, remarks: list[str]) -> etree._Element:
    decoded = decode(archive.read(name, _LARGEST))
    tree = parse(decoded.text, name, archive.bounds)
    remarks.extend(f"{name} {remark}" for remark in (decoded.remark, *tree.remarks) if remark)
    if tree.root is None:
        raise UsageError(f"{archive.path}: {quoted(name)} is empty")
    return tree.root


def _add_item(archive: Archive, package: Package, element: etree._Element) -> None:
    href = element.get("href") or ""
    named, _ = archive.resolve(href, package.name)
    name = (archive.find(named) if named else None) or ""
    key = element.get("id") or href
    properties = frozenset((element.get("properties") or "")[:1000].split())
    media_type = (element.get("media-type") or "").split(";")[0].strip().lower()
    item = Item(key, name, href, media_type, properties, element.get("fallback") or "")
    if key not in package.items:
        package.items[key] = item


def _fill_spine(package: Package, spine: etree._Element) -> None:
    unknown: list[str] = []
    missing: list[str] = []
    twice: list[str] = []
    no_text: list[str] = []
    non_linear: list[str] = []
    seen: set[str] = set()
    for element in spine.iter(etree.Element):
        if name_of(element) != "itemref":
            continue
        idref = element.get("idref") or ""
        item = package.items.get(idref)
        if item is None:
            unknown.append(idref)
            continue
        text = _with_text(package, item)
        if text.name in seen:
            twice.append(text.name)
        elif not text.name:
            missing.append(text.href)
        elif not text.is_text:
            package.images += text.media_type.startswith("image/")
            no_text.append(text.name)
        else:
            seen.add(text.name)
            package.spine.append(text)
            if (element.get("linear") or "").lower() == "no":
                package.non_linear.add(text.name)
                non_linear.append(text.name)
    for names, one, many in (
        (unknown, "entry of the spine is not in the manifest", "entries of the spine are not in the manifest"),
        (missing, "file of the spine is missing in the zip file", "files of the spine are missing in the zip file"),
        (twice, "file stands in the spine twice and is read once", "files stand in the spine twice and are read once"),
        (no_text, "file of the spine is not text", "files of the spine are not text"),
        (non_linear, "file of the spine is marked non-linear", "files of the spine are marked non-linear"),
    ):
        if names:
            package.remarks.append(f"{len(names):,} {one if len(names) == 1 else many}: {quoted_names(names)}")


def _with_text(package: Package, item: Item) -> Item:
    """The item, or the first of its fallbacks that is text."""
    tried = item
    for _ in range(_LONGEST_FALLBACK):
        if tried.is_text or tried.fallback not in package.items:
            break
        tried = package.items[tried.fallback]
    return tried if tried.is_text else item


def _reads_as_chapter(item: Item) -> bool:
    return item.is_text and item.media_type != "image/svg+xml" and "nav" not in item.properties


def _remark_unread(archive: Archive, package: Package) -> None:
    """Texts outside the spine are not read: it is said."""
    read = {item.name for item in package.spine}
    known = {item.name: item for item in package.items.values()}
    unread = []
    for name in archive.names:
        if name in read or not name.lower().endswith(_TEXT_NAMES) or name.startswith("META-INF/"):
            continue
        if name in known and ("nav" in known[name].properties or not _reads_as_chapter(known[name])):
            continue
        if name not in known and posixpath.basename(name).startswith("."):
            continue
        unread.append(name)
    if unread:
        what = "text is not in the spine and is" if len(unread) == 1 else "texts are not in the spine and are"
        package.remarks.append(f"{len(unread):,} {what} not read: {quoted_names(unread)}")
