"""The table of contents of an EPUB: the navigation document, else the NCX."""

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import ContentsEntry
from maya_batch.importing.epub_archive import Archive
from maya_batch.importing.package import Item, Package
from maya_batch.importing.xhtml_elements import collapsed, is_hidden, name_of, roles_of
from maya_batch.importing.xhtml_encoding import decode
from maya_batch.importing.xhtml_tree import parse
from maya_batch.messages.quoting import quoted, quoted_names

_NCX_TYPE = "application/x-dtbncx+xml"
_LARGEST = 32 * 2**20
_MOST_ENTRIES, _LONGEST_TITLE = 20_000, 1000


def read_contents(archive: Archive, package: Package) -> tuple[list[ContentsEntry], list[str]]:
    """The entries in the order in which they stand, and remarks.

    An entry that points to no file of the spine has the file "": a part without a page, or a broken link, which is
    remarked.
    """
    remarks: list[str] = []
    for name, find in ((_nav(package), _of_nav), (_ncx(archive, package), _of_ncx)):
        if not name:
            continue
        try:
            decoded = decode(archive.read(name, _LARGEST))
            root = parse(decoded.text, name, archive.bounds).root
        except UsageError as error:
            remarks.append(f"the table of contents cannot be read: {error}")
            continue
        found = [] if root is None else find(root)
        if found:
            return _resolved(archive, package, name, found, remarks), remarks
        remarks.append(f"the table of contents {quoted(name)} is empty")
    return [], remarks


_Found = tuple[str, int, str | None]
"""Title, level from 1, link; None for an entry without a link."""


def _nav(package: Package) -> str:
    return next((item.name for item in package.items.values() if "nav" in item.properties and item.name), "")


def _ncx(archive: Archive, package: Package) -> str:
    named: Item | None = package.items.get(package.ncx)
    if named is not None and named.name and not named.is_text:
        return named.name
    for item in package.items.values():
        if item.media_type == _NCX_TYPE and item.name:
            return item.name
    return next((name for name in archive.names if name.lower().endswith(".ncx")), "")


def _of_nav(root: etree._Element) -> list[_Found]:
    """The entries of the `nav` of type toc; of the first one if none has the type."""
    navs = [element for element in root.iter(etree.Element) if name_of(element) == "nav"]
    nav = next((element for element in navs if "toc" in roles_of(element)), None)
    if nav is None:
        nav = next((element for element in navs if not roles_of(element) - {"navigation"}), None)
    if nav is None:
        return []
    found: list[_Found] = []
    depth = 0
    items: list[etree._Element | bool | None] = []
    """Of each open item: whether it has its entry; an element in it that is being walked through and says nothing."""
    walk = etree.iterwalk(nav, events=("start", "end"))
    for event, element in walk:
        name = name_of(element)
        if name in ("ol", "ul"):
            depth += 1 if event == "start" else -1
        elif name == "li":
            if event == "start":
                items.append(None)
            elif items:
                items.pop()
        elif event == "end":
            if items and items[-1] is element:
                items[-1] = None
        elif name in ("a", "span", "p", "div") and items and items[-1] is None:
            link = element if name == "a" else next((a for a in element.iter(etree.Element) if name_of(a) == "a"), None)
            title = _title(element)
            if title and len(found) < _MOST_ENTRIES:
                found.append((title, max(1, depth), None if link is None else link.get("href")))
                items[-1] = True
                walk.skip_subtree()
            elif not title:
                items[-1] = element
    return found


def _of_ncx(root: etree._Element) -> list[_Found]:
    """The entries of the navMap. Their order in the file counts: playOrder is often wrong."""
    found: list[_Found] = []
    open_points: list[list[str | None]] = []
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        name = name_of(element)
        if name == "navpoint":
            if event == "start":
                if len(found) >= _MOST_ENTRIES:
                    break
                open_points.append([None, None])
                found.append(("", len(open_points), None))
                open_points[-1].append(str(len(found) - 1))
            elif open_points:
                open_points.pop()
        elif event == "start" and open_points and name in ("text", "content"):
            point = open_points[-1]
            at = int(point[2] or 0)
            title, level, link = found[at]
            if name == "text" and not title:
                found[at] = (_title(element), level, link)
                walk.skip_subtree()
            elif name == "content" and link is None:
                found[at] = (title, level, element.get("src"))
    return [entry for entry in found if entry[0]]


def _title(element: etree._Element) -> str:
    """The text of an entry, without what is hidden; an image's alternative text counts."""
    parts: list[str] = []
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, part in walk:
        if event == "start":
            if is_hidden(part) or name_of(part) in ("rt", "rp", "ol", "ul", "script", "style"):
                walk.skip_subtree()
            else:
                parts.append(part.text or "")
                parts.append(part.get("alt") or "" if name_of(part) == "img" else "")
                parts.append(" " if name_of(part) == "br" else "")
        elif part is not element:
            parts.append(part.tail or "")
    return collapsed("".join(parts))[:_LONGEST_TITLE]


def _resolved(
    archive: Archive, package: Package, name: str, found: list[_Found], remarks: list[str]
) -> list[ContentsEntry]:
    spine = {item.name for item in package.spine}
    entries: list[ContentsEntry] = []
    nowhere: list[str] = []
    for title, level, link in found:
        target, anchor = archive.resolve(link, name) if link else ("", "")
        file = (archive.find(target) if target else None) or ""
        if link and file not in spine:
            nowhere.append(title)
            file, anchor = "", ""
        if anchor.startswith("epubcfi("):
            anchor = ""
        entries.append(ContentsEntry(title, level, file, anchor))
    if nowhere:
        what = "contents entry points" if len(nowhere) == 1 else "contents entries point"
        remarks.append(f"{len(nowhere):,} {what} to no file of the spine: {quoted_names(nowhere)}")
    return entries
