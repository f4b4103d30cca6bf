"""Turns a page of EPUB 2 (XHTML 1.1) into one of EPUB 3 (HTML in XML): what HTML gave up becomes CSS or other elements.

The list is chapter 16 of the HTML standard, "Obsolete features", as far as XHTML 1.0 and 1.1 have them, or books
that are not quite valid do; and `abbr` of `th`, which epubcheck does not know.
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
_SIZED = frozenset({"col", "colgroup", "hr", "table", "tbody", "td", "tfoot", "th", "thead", "tr"})
"""Elements whose `width` and `height` became styles."""
_EMBEDDED = frozenset({"canvas", "embed", "iframe", "img", "input", "object", "video"})
"""Elements that keep theirs, in pixels. On any other element, browsers take no notice of them."""
_WITHOUT_STYLE = frozenset(
    {
        *("abbr", "alink", "archive", "axis", "background", "border", "bordercolor", "bottommargin"),
        *("cellpadding", "cellspacing", "char", "charoff", "charset", "classid", "codebase", "codetype"),
        *("compact", "declare", "frame", "frameborder", "hspace", "language", "leftmargin", "link", "longdesc"),
        *("marginheight", "marginwidth", "nohref", "noshade", "profile", "rev", "rightmargin", "rules"),
        *("scheme", "scrolling", "standby", "summary", "topmargin", "valuetype", "version", "vlink", "vspace"),
    }
)
"""Obsolete attributes that are left out."""
_WITHOUT_STYLE_ON: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "a": frozenset({"coords", "shape"}),
        "font": frozenset({"size"}),
        "hr": frozenset({"size"}),
        "li": frozenset({"type"}),
        "param": frozenset({"type"}),
        "td": frozenset({"scope"}),
        "ul": frozenset({"type"}),
    }
)
"""Attributes that are left out on these elements only."""
_OF_LINKS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "a": frozenset({"hreflang", "rel", "target", "type"}),
        "area": frozenset({"alt", "hreflang", "rel", "target", "type"}),
    }
)
"""Attributes that only an element with a link may have."""
_HTTP_EQUIV = frozenset({"", "content-security-policy", "default-style", "refresh"})
"""What `meta` may stand for. The media type of EPUB 3 is another one, and its files are UTF-8 here."""
_FLOATED = frozenset({"img", "table"})
_VALUE = re.compile(r"[\w#%.,'\" -]{1,100}")
_PIXELS = re.compile(r"\d{1,6}")


def to_html5(root: etree._Element, title: str) -> None:
    """Change a page in place; its text and the names of its anchors stay. It gets this title if it has none."""
    ids = {element.get("id") for element in root.iter(etree.Element) if element.get("id")}
    for element in list(root.iter(etree.Element)):
        if not isinstance(element.tag, str) or not element.tag.startswith(f"{{{_XHTML}}}"):
            continue
        name = name_of(element)
        is_of_server = element.get("http-equiv", "").lower() not in _HTTP_EQUIV
        if name == "meta" and (is_of_server or "charset" in element.attrib):
            _remove(element)
            continue
        if name == "head":
            _head(element, title)
        elif name == "table":
            _table(element)
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
    left_out = _WITHOUT_STYLE_ON.get(name, frozenset())
    if "href" not in element.attrib:
        left_out |= _OF_LINKS.get(name, frozenset())
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
        elif key in ("width", "height"):
            if name in _EMBEDDED and _PIXELS.fullmatch(text):
                continue
            del element.attrib[key]
            if name in _SIZED | _EMBEDDED and _VALUE.fullmatch(text) and "*" not in text:
                styles.append(f"{key}: {text}{'px' if _PIXELS.fullmatch(text) else ''}")
        elif key in _STYLES:
            del element.attrib[key]
            style = "float: {}" if key == "align" and name in _FLOATED and text in ("left", "right") else _STYLES[key]
            if _VALUE.fullmatch(text):
                styles.append(style.format("both" if key == "clear" and text == "all" else text))
        elif key in _WITHOUT_STYLE or key in left_out:
            del element.attrib[key]
    if name == "map" and not element.get("name") and element.get("id"):
        element.set("name", element.get("id") or "")  # in XHTML 1.1, pictures name a map by its id
    language, xml_language = element.get("lang"), element.get(_XML_LANGUAGE)
    if language and xml_language and language.lower() != xml_language.lower():
        element.set("lang", xml_language)  # of two the one for XML counted
    return styles


def _head(element: etree._Element, title: str) -> None:
    own = next((child for child in element if name_of(child) == "title"), None)
    if own is None:
        own = etree.Element(f"{{{_XHTML}}}title")
        element.insert(0, own)
    if not (own.text or "").strip():
        own.text = title


def _table(element: etree._Element) -> None:
    """Put columns into a group, which XML does not imply, and the foot of a table after its body."""
    if any((child.tail or "").strip() for child in element):
        return  # it is not valid in EPUB 2 either, and its text stays where it is
    group: etree._Element | None = None
    for child in list(element):
        if name_of(child) != "col":
            group = None
            continue
        if group is None:
            group = etree.Element(f"{{{_XHTML}}}colgroup")
            child.addprevious(group)
        group.append(child)
    for foot in [child for child in element if name_of(child) == "tfoot"]:
        element.append(foot)


def _remove(element: etree._Element) -> None:
    parent, before = element.getparent(), element.getprevious()
    if parent is None:
        return
    if element.tail and before is not None:
        before.tail = (before.tail or "") + element.tail
    elif element.tail:
        parent.text = (parent.text or "") + element.tail
    parent.remove(element)
