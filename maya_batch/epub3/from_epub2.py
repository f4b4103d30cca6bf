"""Turns the package document of an EPUB 2 into one of EPUB 3, and makes the navigation document that it lacks."""

from collections.abc import Callable, Sequence

from lxml import etree

from maya_batch.epub3.package_document import DC, MODIFIED, OPF, add_meta
from maya_batch.errors import UsageError
from maya_batch.importing.blocks import ContentsEntry
from maya_batch.importing.xhtml_elements import name_of

_XHTML, _OPS = "http://www.w3.org/1999/xhtml", "http://www.idpf.org/2007/ops"
_REFINED = {"role": "marc:relators", "file-as": ""}
"""Attributes of authors and titles that became entries of their own, and the schemes of their values."""
_OBSOLETE = {"item": ("required-namespace", "required-modules", "fallback-style"), "spine": ("page-map",)}


def to_epub3(root: etree._Element) -> None:
    """Change a package document in place.

    Raises:
        UsageError: it has the metadata of a format before EPUB 2.
    """
    metadata = next((element for element in root if name_of(element) == "metadata"), None)
    if metadata is None or any(name_of(element) in ("dc-metadata", "x-metadata") for element in metadata):
        raise UsageError("its package document is of a format before EPUB 2")
    root.set("version", "3.0")
    ids = {element.get("id") for element in root.iter(etree.Element)}
    dated = False
    for element in list(metadata.iterchildren(etree.Element)):
        if not str(element.tag).startswith(f"{{{DC}}}"):
            continue
        is_date = name_of(element) == "date"
        is_other_date = is_date and (dated or element.get(f"{{{OPF}}}event") not in (None, "publication"))
        if is_other_date or not (element.text or "").strip():
            metadata.remove(element)
            continue
        dated = dated or is_date
        _refine(metadata, element, ids)
    add_meta(metadata, "dcterms:modified", MODIFIED)
    _mark_cover(root, metadata)
    for element in list(root.iter(etree.Element)):
        if name_of(element) == "tours":
            root.remove(element)
        for attribute in _OBSOLETE.get(name_of(element), ()):
            element.attrib.pop(attribute, None)


def _refine(metadata: etree._Element, element: etree._Element, ids: set[str | None]) -> None:
    """Turn the attributes of EPUB 2 of an entry into entries that refine it."""
    for key in list(element.attrib):
        if not str(key).startswith(f"{{{OPF}}}"):
            continue
        name, value = str(key).rpartition("}")[2], element.attrib.pop(key).strip()
        if name not in _REFINED or not value:
            continue
        number = len(ids)
        while not element.get("id"):
            number += 1
            if f"refined-{number}" not in ids:
                element.set("id", f"refined-{number}")
                ids.add(f"refined-{number}")
        add_meta(metadata, name, value, element.get("id") or "", scheme=_REFINED[name])


def _mark_cover(root: etree._Element, metadata: etree._Element) -> None:
    """Say which picture is the cover as EPUB 3 does."""
    named = {meta.get("content") for meta in metadata if name_of(meta) == "meta" and meta.get("name") == "cover"}
    for item in root.iter(f"{{{OPF}}}item"):
        if item.get("id") in named and (item.get("media-type") or "").startswith("image/"):
            item.set("properties", "cover-image")
            return


def page_properties(page: etree._Element) -> list[str]:
    """What the manifest has to say of a page in EPUB 3: that it has SVG or MathML, or runs scripts."""
    found = []
    names = {str(element.tag) for element in page.iter(etree.Element)}
    if "{http://www.w3.org/2000/svg}svg" in names:
        found.append("svg")
    if "{http://www.w3.org/1998/Math/MathML}math" in names:
        found.append("mathml")
    if names & {f"{{{_XHTML}}}script", f"{{{_XHTML}}}form"}:
        found.append("scripted")
    return found


def navigation(entries: Sequence[ContentsEntry], title: str, language: str, link: Callable[[str, str], str]) -> bytes:
    """The navigation document of a table of contents; `link` leads from it to an anchor in a file.

    Raises:
        UsageError: no entry leads anywhere.
    """
    levels = [entry.level for entry in entries]
    is_parent = [after > level for level, after in zip(levels, [*levels[1:], 0], strict=True)]
    shown = [entry for entry, parent in zip(entries, is_parent, strict=True) if entry.file or parent]
    if not any(entry.file for entry in shown):
        raise UsageError("it has no table of contents that leads to its pages")
    root = etree.Element(f"{{{_XHTML}}}html", nsmap={None: _XHTML, "epub": _OPS})
    root.set("lang", language)
    root.set("{http://www.w3.org/XML/1998/namespace}lang", language)
    etree.SubElement(etree.SubElement(root, f"{{{_XHTML}}}head"), f"{{{_XHTML}}}title").text = title
    nav = etree.SubElement(etree.SubElement(root, f"{{{_XHTML}}}body"), f"{{{_XHTML}}}nav", {f"{{{_OPS}}}type": "toc"})
    lists = [etree.SubElement(nav, f"{{{_XHTML}}}ol")]
    for entry, following in zip(shown, [*shown[1:], None], strict=True):
        del lists[max(1, entry.level) :]
        item = etree.SubElement(lists[-1], f"{{{_XHTML}}}li")
        if entry.file:
            etree.SubElement(item, f"{{{_XHTML}}}a", {"href": link(entry.file, entry.anchor)}).text = entry.title
        else:
            etree.SubElement(item, f"{{{_XHTML}}}span").text = entry.title
        if following is not None and following.level > entry.level:
            lists.append(etree.SubElement(item, f"{{{_XHTML}}}ol"))
    content: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, doctype="<!DOCTYPE html>")
    return content + b"\n"
