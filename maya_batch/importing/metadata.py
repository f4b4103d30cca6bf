"""What the package document of an EPUB, or calibre's metadata.opf, says of the book."""

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from html import unescape
from itertools import pairwise

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import Metadata
from maya_batch.importing.xhtml_blocks import read_blocks
from maya_batch.importing.xhtml_elements import collapsed, name_of
from maya_batch.manifest.metadata import is_isbn

_OPF = "{http://www.idpf.org/2007/opf}"
_LONGEST, _LONGEST_DESCRIPTION, _MOST_AUTHORS = 500, 10_000, 50
_MOST_OF_A_KIND = 200
#: In the older form of EPUB 2, these stand around the entries; the HTML parser adds the last two.
_WRAPPERS = frozenset({"metadata", "dc-metadata", "x-metadata", "package", "html", "body"})
_DATE = re.compile(r"(\d{4})(-\d\d(?:-\d\d)?)?")
_ISBN = re.compile(r"(?:97[89][- ]?)?(?:[0-9][- ]?){9}[0-9Xx]")
#: calibre's date for "unknown".
_NO_DATE = "0101-01-01"


def read_metadata(root: etree._Element) -> Metadata:
    """The metadata in a package document of EPUB 2 or 3."""
    entries = _Entries(root)
    title, subtitle = _titles(entries)
    series, number = _series(entries)
    return Metadata(
        title=title,
        subtitle=subtitle,
        authors=_authors(entries),
        language=_language(entries),
        series=series,
        series_number=number,
        publisher=next(iter(entries.texts("publisher")), ""),
        date=_date(entries),
        isbn=_isbn(entries),
        description=_description(entries),
    )


def filled(main: Metadata, other: Metadata) -> Metadata:
    """The first metadata, with what it lacks from the second."""
    missing = {entry.name: getattr(other, entry.name) for entry in fields(main) if not getattr(main, entry.name)}
    return replace(main, **missing)


class _Entries:
    """The Dublin Core elements and the meta elements that refine them."""

    def __init__(self, root: etree._Element) -> None:
        self.elements: dict[str, list[etree._Element]] = {}
        self.metas: list[etree._Element] = []
        self._refining: dict[str, list[etree._Element]] = {}
        found = (element for element in root.iter(etree.Element) if name_of(element) == "metadata")
        top = next(found, root)
        walk = etree.iterwalk(top, events=("start",))
        for _, element in walk:
            name = name_of(element)
            if element is top or name in _WRAPPERS:
                continue
            walk.skip_subtree()  # elements of a kind inside one another would be read again and again
            if name == "meta":
                self.metas.append(element)
                if refines := element.get("refines"):
                    _append(self._refining, refines.removeprefix("#"), element)
            else:
                _append(self.elements, name, element)

    def texts(self, name: str) -> list[str]:
        """The texts of the elements of a name, without empty ones."""
        return [text for text in map(_text, self.elements.get(name, ())) if text]

    def refined(self, element: etree._Element, prop: str) -> list[str]:
        """What refines an element: `meta refines`, or the attribute of EPUB 2."""
        attribute = element.get(f"{_OPF}{prop}") or element.get(f"opf:{prop}")
        values = [attribute.strip()] if attribute else []
        for meta in self._refining.get(element.get("id") or "", ()):
            if (meta.get("property") or "") == prop:
                values.append(_text(meta))
        return values

    def named(self, name: str) -> str:
        """The content of EPUB 2's `meta name`."""
        return next((collapsed(m.get("content") or "")[:_LONGEST] for m in self.metas if m.get("name") == name), "")

    def in_order(self, name: str) -> list[etree._Element]:
        """The elements of a name, by display-seq where they have it."""
        elements = [element for element in self.elements.get(name, ()) if _text(element)]
        return sorted(elements, key=lambda element: _number(next(iter(self.refined(element, "display-seq")), "")))


def _append(lists: dict[str, list[etree._Element]], key: str, element: etree._Element) -> None:
    found = lists.setdefault(key, [])
    if len(found) < _MOST_OF_A_KIND:
        found.append(element)


def _text(element: etree._Element) -> str:
    return collapsed("".join(element.itertext()))[:_LONGEST]


def _number(text: str) -> float:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else float("inf")


def _titles(entries: _Entries) -> tuple[str, str]:
    by_type: dict[str, str] = {}
    for element in entries.in_order("title"):
        for kind in entries.refined(element, "title-type") or [""]:
            by_type.setdefault(kind, _text(element))
    title = by_type.get("main") or by_type.get("") or next(iter(by_type.values()), "")
    subtitle = by_type.get("subtitle", "")
    return title, "" if subtitle == title else subtitle


def _authors(entries: _Entries) -> tuple[str, ...]:
    """Creators of the role aut; those without a role if there are none; all if all have other roles."""
    creators = [(_text(element), entries.refined(element, "role")) for element in entries.in_order("creator")]
    authors = [name for name, roles in creators if "aut" in roles]
    authors = authors or [name for name, roles in creators if not roles] or [name for name, _ in creators]
    return tuple(dict.fromkeys(authors))[:_MOST_AUTHORS]


def _language(entries: _Entries) -> str:
    return next((text for text in entries.texts("language") if text.lower() not in ("und", "zxx", "mul")), "")


def _series(entries: _Entries) -> tuple[str, str]:
    """EPUB 3's belongs-to-collection of the type series, else calibre's meta."""
    collections = [meta for meta in entries.metas if meta.get("property") == "belongs-to-collection" and _text(meta)]
    for meta in collections:
        types = entries.refined(meta, "collection-type")
        if types == ["series"] or (not types and len(collections) == 1):
            return _text(meta), _position(next(iter(entries.refined(meta, "group-position")), ""))
    series = entries.named("calibre:series")
    return series, _position(entries.named("calibre:series_index")) if series else ""


def _position(text: str) -> str:
    """A number without needless decimals: "2.0" is "2"."""
    return text.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.\d+", text) else text


def _date(entries: _Entries) -> str:
    """The date of publication as YYYY, YYYY-MM or YYYY-MM-DD."""
    dates = [element for element in entries.elements.get("date", ()) if _text(element)]
    events = [(next(iter(entries.refined(element, "event")), ""), _text(element)) for element in dates]
    events = [(event, text) for event, text in events if event != "modification" and not text.startswith(_NO_DATE)]
    for wanted in ("publication", "original-publication", ""):
        for event, text in events:
            if event == wanted and (found := _DATE.match(text)):
                return found.group()
    return next((found.group() for _, text in events if (found := _DATE.match(text))), "")


def _isbn(entries: _Entries) -> str:
    """The first identifier that is an ISBN by its check digit, without hyphens: 13 digits before 10."""
    numbers = []
    for element in entries.elements.get("identifier", ()):
        text = _text(element)
        says_so = "isbn" in text.lower() or "isbn" in " ".join(entries.refined(element, "scheme")).lower()
        says_so = says_so or bool({"02", "15"} & set(entries.refined(element, "identifier-type")))
        found = _ISBN.search(text)
        if found is None:
            continue
        number = re.sub("[- ]", "", found.group()).upper()
        whole = re.sub("[- ]", "", text).upper() == number
        if is_isbn(number) and (says_so or (len(number) == 13 and whole)):
            numbers.append(number)
    return max(numbers, key=len, default="")


def _description(entries: _Entries) -> str:
    """The description without HTML, which many books have in it; paragraphs are separated by blank lines."""
    for element in entries.elements.get("description", ()):
        text = "".join(element.itertext())[: 4 * _LONGEST_DESCRIPTION]
        if "&lt;" in text or "&amp;" in text:
            text = unescape(text)
        if "<" not in text:
            text = collapsed(text)
        else:
            try:
                blocks = read_blocks(f"<div>{text}</div>".encode(), "").blocks
            except UsageError:  # nested too deep
                continue
            text = "\n\n".join(_paragraphs(block.text for block in blocks))
        if text:
            return text[:_LONGEST_DESCRIPTION]
    return ""


def _paragraphs(texts: Iterable[str]) -> list[str]:
    said = [text for text in texts if text]
    return said[:1] + [after for before, after in pairwise(said) if after != before]
