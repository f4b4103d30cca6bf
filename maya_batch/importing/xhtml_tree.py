"""Parses decoded XHTML or HTML: as XML where it is well-formed, else as browsers do.

Nothing outside the text is read: document types are removed, and references to entities are replaced, before a parser
sees them.
"""

import re
from html.entities import html5
from typing import NamedTuple

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.messages.quoting import quoted

#: Bounds of one file. A tree takes about 120 bytes of memory for a tag and 220 for an attribute; a novel of 120,000
#: words has about 0.1 million tags and 1 MB in all.
_MOST_TAGS, _MOST_ATTRIBUTES, _MOST_CHARACTERS = 2_000_000, 1_500_000, 64_000_000
#: libxml2's own bound.
_DEEPEST = 2048

_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
#: A document type, with the declarations in it. It stands before the first element.
_DOCUMENT_TYPE = re.compile(r"<!DOCTYPE[^\[>]*(?:\[[^\]]*\]\s*)?>", re.I)
_REFERENCE = re.compile(r"&(?:#(?:[0-9]{1,9}|[xX][0-9a-fA-F]{1,8});|[A-Za-z][A-Za-z0-9]{0,40};)?")
_OF_XML = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"}
#: Characters that XML does not allow. Form feed and vertical tab are white space.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SECTION = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.S)
#: HTML knows no empty tags: `<title/>` would make the rest of the file a title. Quotes protect slashes in values.
_EMPTY_TAG = re.compile(r"""<([A-Za-z][\w:.-]*)((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'))?)*)\s*/>""")
_VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
}  # fmt: skip


class Tree(NamedTuple):
    """A parsed file."""

    root: etree._Element | None
    """None if there is no element."""
    remarks: list[str]
    """Without the name of the file."""


def parse(text: str, file: str) -> Tree:
    """Parse a file's text. `file` is for messages; a UsageError says that it is too large or nested too deep."""
    if len(text) > _MOST_CHARACTERS:
        raise UsageError(f"{file}: the file has more than {_MOST_CHARACTERS:,} characters")
    if text.count("<") > _MOST_TAGS or text.count("=") > _MOST_ATTRIBUTES:
        raise UsageError(f"{file}: the file has more than {_MOST_TAGS:,} tags or {_MOST_ATTRIBUTES:,} attributes")
    remarks: list[str] = []
    whole = _well_known(_without_declarations(text), remarks)
    try:
        return Tree(etree.fromstring(whole.encode(), _xml_parser()), remarks)
    except etree.XMLSyntaxError as error:
        if "Excessive depth" in str(error):
            raise _too_deep(file) from None
    return Tree(_as_html(whole, file), remarks)


def _xml_parser() -> etree.XMLParser:
    # huge_tree: otherwise a text of 10 MB or 256 nested elements are errors, and the HTML parser drops them unseen.
    # The bounds above hold instead, and no entity is left that could grow.
    return etree.XMLParser(
        encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=True,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip


def _as_html(whole: str, file: str) -> etree._Element | None:
    whole = _SECTION.sub(lambda found: found[1].replace("&", "&amp;").replace("<", "&lt;"), whole)
    whole = _EMPTY_TAG.sub(_opened_and_closed, whole)
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=True, remove_comments=True, remove_pis=True)
    if not whole.strip():
        return None
    try:
        root = etree.fromstring(whole.encode(), parser)
    except etree.ParserError:
        return None
    if any("Excessive depth" in entry.message for entry in parser.error_log):
        raise _too_deep(file)
    return root


def _too_deep(file: str) -> UsageError:
    return UsageError(f"{file}: elements are nested more than {_DEEPEST:,} deep")


def _without_declarations(text: str) -> str:
    declaration = _DECLARATION.match(text)
    start = declaration.end() if declaration else 0
    found = _DOCUMENT_TYPE.search(text, start, start + 100_000)
    if found is None:
        return text[start:]
    return text[start : found.start()] + text[found.end() :]


def _well_known(text: str, remarks: list[str]) -> str:
    """The text with references that any parser knows, and without characters that XML forbids."""
    if _FORBIDDEN.search(text):
        text = _FORBIDDEN.sub("", text)
    text = text.replace("\x0b", " ").replace("\x0c", " ")
    if "&" not in text:
        return text
    unknown: dict[str, None] = {}

    def known(found: re.Match[str]) -> str:
        reference = found.group()
        if reference in _OF_XML:
            return reference
        if reference == "&":
            return "&amp;"
        if reference[1] == "#":
            return _numbered(reference)
        if (characters := html5.get(reference[1:])) is None:
            if len(unknown) < 20:
                unknown[reference] = None
            return "&amp;" + reference[1:]
        return characters.replace("&", "&amp;").replace("<", "&lt;")

    text = _REFERENCE.sub(known, text)
    if unknown:
        names = ", ".join(quoted(name) for name in list(unknown)[:3])
        remarks.append(f"has undefined entities, which are read as they stand: {names}")
    return text


def _numbered(reference: str) -> str:
    """The character of a numeric reference, as HTML reads it; in XML some are errors."""
    number = int(reference[3:-1], 16) if reference[2] in "xX" else int(reference[2:-1])
    if 0x80 <= number < 0xA0:
        return bytes([number]).decode("cp1252", "replace")
    if number < 0x20 or number == 0x7F:
        return " " if number in (0x9, 0xA, 0xC, 0xD) else ""
    if 0xD800 <= number < 0xE000 or number in (0xFFFE, 0xFFFF) or number > 0x10FFFF:
        return "\ufffd"
    return reference


def _opened_and_closed(found: re.Match[str]) -> str:
    name, attributes = found[1], found[2]
    return found[0] if name.lower() in _VOID else f"<{name}{attributes}></{name}>"
