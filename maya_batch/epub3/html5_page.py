"""Turns a page of EPUB 2 (XHTML 1.1) into one of EPUB 3 (HTML in XML): what HTML gave up becomes CSS or other elements.

The list is chapter 16 of the HTML standard, "Obsolete features", as far as XHTML 1.0 and 1.1 have them.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from lxml import etree

from maya_batch.importing.xhtml_elements import name_of

_XHTML = "http://www.w3.org/1999/xhtml"
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

_ELEMENTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "acronym": ("abbr", ""),
        "big": ("span", "font-size: larger"),
        "center": ("div", "text-align: center"),
        "dir": ("ul", ""),
        "font": ("span", ""),
        "strike": ("s", ""),
        "tt": ("span", "font-family: monospace"),
    }
)
"""Obsolete elements: what takes their place, and its style."""

_STYLES: Mapping[str, str] = MappingProxyType(
    {
        "align": "text-align: {}",
        "bgcolor": "background-color: {}",
        "clear": "clear: {}",
        "color": "color: {}",
        "face": "font-family: {}",
        "nowrap": "white-space: nowrap",
        "text": "color: {}",
        "valign": "vertical-align: {}",
    }
)
"""Obsolete attributes, on any element, and the style that takes their place."""
_SIZED = frozenset({"col", "colgroup", "hr", "pre", "table", "td", "th"})
"""Elements whose `width` and `height` became styles; images keep theirs, in pixels."""
_WITHOUT_STYLE = frozenset(
    {
        *("alink", "axis", "border", "cellpadding", "cellspacing", "char", "charoff", "charset", "compact", "frame"),
        *("hspace", "language", "link", "longdesc", "noshade", "profile", "rev", "rules", "scheme", "summary"),
        *("version", "vlink", "vspace"),
    }
)
"""Obsolete attributes that are left out."""
_FLOATED = frozenset({"img", "table"})
_VALUE = re.compile(r"[\w#%.,'\" -]{1,100}")
_PIXELS = re.compile(r"\d{1,6}")


def to_html5(root: etree._Element) -> None:
    """Change a page in place; its text and the names of its anchors stay."""
    ids = {element.get("id") for element in root.iter(etree.Element) if element.get("id")}
    for element in list(root.iter(etree.Element)):
        if not isinstance(element.tag, str) or not element.tag.startswith(f"{{{_XHTML}}}"):
            continue
        name = name_of(element)
        if name == "meta" and (element.get("http-equiv") or "").lower() == "content-type":
            _remove(element)  # its media type is not that of a file of EPUB 3, which is always UTF-8 here
            continue
        styles = _attributes(element, name, ids)
        if name in _ELEMENTS:
            tag, style = _ELEMENTS[name]
            element.tag = f"{{{_XHTML}}}{tag}"
            styles = [style, *styles] if style else styles
        if styles:
            element.set("style", "; ".join([*filter(None, [(element.get("style") or "").rstrip("; ")]), *styles]))


def _attributes(element: etree._Element, name: str, ids: set[str | None]) -> list[str]:
    """Take out the obsolete attributes of an element; returns the styles that take their place."""
    styles: list[str] = []
    for key, value in list(element.attrib.items()):
        text = value.strip()
        if key == "lang" or key == _XML_LANGUAGE:
            continue
        if key == "name" and name in ("a", "img", "map"):
            if name == "map":
                continue
            del element.attrib[key]
            if not element.get("id") and text and text not in ids and not re.search(r"\s", text):
                element.set("id", text)
                ids.add(text)
        elif key in ("width", "height") and (name in _SIZED or (name == "img" and not _PIXELS.fullmatch(text))):
            del element.attrib[key]
            if _VALUE.fullmatch(text) and "*" not in text:
                styles.append(f"{key}: {text}{'px' if _PIXELS.fullmatch(text) else ''}")
        elif key in _STYLES:
            del element.attrib[key]
            style = "float: {}" if key == "align" and name in _FLOATED and text in ("left", "right") else _STYLES[key]
            if _VALUE.fullmatch(text):
                styles.append(style.format("both" if key == "clear" and text == "all" else text))
        elif key in _WITHOUT_STYLE or (key == "type" and name in ("ul", "li")) or (key == "size" and name == "font"):
            del element.attrib[key]
    language, xml_language = element.get("lang"), element.get(_XML_LANGUAGE)
    if language and xml_language and language.lower() != xml_language.lower():
        element.set("lang", xml_language)  # of two the one for XML counted
    return styles


def _remove(element: etree._Element) -> None:
    parent, before = element.getparent(), element.getprevious()
    if parent is None:
        return
    if element.tail and before is not None:
        before.tail = (before.tail or "") + element.tail
    elif element.tail:
        parent.text = (parent.text or "") + element.tail
    parent.remove(element)
