"""Parses decoded XHTML or HTML: as XML where it is well-formed, else as browsers do.

Nothing outside the text is read: document types are removed, and references to entities are replaced, before a parser
sees them.
"""

import re
from html.entities import html5
from typing import NamedTuple

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing.xhtml_bounds import MarkupBounds, refuse_many_words
from maya_batch.messages.quoting import quoted

#: libxml2's own bound.
_DEEPEST = 2048

_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
#: A document type, with the declarations in it. It stands before the first element.
_DOCUMENT_TYPE = re.compile(r"<!DOCTYPE", re.I)
_REST_OF_DOCUMENT_TYPE = re.compile(r"[^\[<>]*+(?:\[[^\]]*+\]\s*+)?+>")
_REFERENCE = re.compile(r"&(?:#(?:[0-9]{1,9}|[xX][0-9a-fA-F]{1,8});|[A-Za-z][A-Za-z0-9]{0,40};)?")
_OF_XML = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"}
#: Characters that XML does not allow. Form feed and vertical tab are white space.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SECTION, _END_OF_SECTION = "<![CDATA[", "]]>"
#: HTML knows no empty tags: `<title/>` would make the rest of the file a title. Quotes protect slashes in values.
_EMPTY_TAG = re.compile(r"""<([A-Za-z][\w:.-]*)((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'))?)*)\s*/>""")
#: The parser reads nothing after the end of the document; browsers show what stands there.
_END_OF_DOCUMENT = re.compile(r"</(?:html|body)(?:[\s/][^<>]*+)?+>", re.I)
#: A longer title has no end, and the text of the page in it.
_LONGEST_TITLE = 1000
_VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
}  # fmt: skip


class Tree(NamedTuple):
    """A parsed file."""

    root: etree._Element | None
    """None if there is no element."""
    remarks: list[str]
    """Without the name of the file."""


def parse(text: str, file: str, bounds: MarkupBounds | None = None) -> Tree:
    """Parse a file's text. `file` is for messages, `bounds` are those of the whole book.

    A UsageError says that it is too large or nested too deep.
    """
    (bounds or MarkupBounds()).take(text, file)
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
    refuse_many_words(whole, file)
    whole = _END_OF_DOCUMENT.sub("", _without_sections(whole))
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
    _empty_titles(root)
    return root


def _empty_titles(root: etree._Element) -> None:
    """Empty the titles of pages that stand in the text, which no browser shows: those of the next documents in a file.

    Drawings and DTBook have titles of other things.
    """
    titles = []
    walk = etree.iterwalk(root, events=("start",))
    for _, element in walk:
        if element.tag in ("head", "svg", "dtbook"):
            walk.skip_subtree()
        elif element.tag == "title" and len(element.text or "") <= _LONGEST_TITLE:
            titles.append(element)
    for title in titles:
        title.clear(keep_tail=True)


def _without_sections(text: str) -> str:
    """The text with CDATA sections written as text; one without an end is left as it is."""
    parts: list[str] = []
    at = 0
    while (start := text.find(_SECTION, at)) >= 0 and (end := text.find(_END_OF_SECTION, start)) >= 0:
        inside = text[start + len(_SECTION) : end]
        parts += (text[at:start], inside.replace("&", "&amp;").replace("<", "&lt;"))
        at = end + len(_END_OF_SECTION)
    return "".join((*parts, text[at:]))


def _too_deep(file: str) -> UsageError:
    return UsageError(f"{file}: elements are nested more than {_DEEPEST:,} deep")


def _without_declarations(text: str) -> str:
    declaration = _DECLARATION.match(text)
    start = declaration.end() if declaration else 0
    found = _DOCUMENT_TYPE.search(text, start, start + 100_000)
    rest = _REST_OF_DOCUMENT_TYPE.match(text, found.end()) if found else None
    if found is None or rest is None:
        return text[start:]
    return text[start : found.start()] + text[rest.end() :]


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
