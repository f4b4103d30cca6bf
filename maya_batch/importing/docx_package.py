"""Opens a DOCX file within limits, and mends its text for mammoth."""

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from lxml import etree

from maya_batch.errors import UsageError, first_line
from maya_batch.importing.blocks import Metadata
from maya_batch.importing.docx_left_out import W as _W
from maya_batch.importing.docx_left_out import leave_out
from maya_batch.importing.docx_paragraphs import join_paragraphs
from maya_batch.importing.titles import one_line

MOST_XML_BYTES = 25_000_000
"""The most bytes of all parts of text together, unpacked."""
MOST_TEXT_BYTES = 10_000_000
"""The same without formats and with equal runs joined, as mammoth gets them: it takes 70 times as much memory."""
_MOST_TAGS = 2_000_000
"""The most tags of all parts of text together: an element takes about 200 bytes of memory. A novel of 120,000 words has
up to 0.5 million."""
MOST_ELEMENTS = 150_000
"""The most elements that mammoth gets, without formats and with equal runs joined; a novel has 0.05 million."""
_MOST_ATTRIBUTES = 300_000
"""The most attributes that mammoth gets: each takes 1 KB of memory."""
_MOST_OPEN_FIELDS = 100
"""The most fields inside one another: mammoth looks through all that are open for each run."""
_MOST_PARTS = 10_000
_ENTRY = b"PK\x01\x02"
"""How an entry of a zip file's directory begins."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DC, _CP = (
    "{http://purl.org/dc/elements/1.1/}",
    "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}",
)
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_PROPERTIES = (f"{_W}rPr", f"{_W}pPr", f"{_W}tblPr", f"{_W}tcPr", f"{_W}trPr", f"{_W}sectPr")
_FORMATS = (*_PROPERTIES, f"{_W}proofErr", f"{_W}lastRenderedPageBreak", f"{_W}bookmarkStart", f"{_W}bookmarkEnd")
#: What mammoth needs to know of a paragraph, a run or a cell: its style, whether it is an item of a list, spans.
_KEPT = frozenset(
    f"{_W}{name}" for name in ("pStyle", "rStyle", "numPr", "gridSpan", "vMerge", "tblHeader", "ins", "del")
)
_RSIDS = tuple(f"{_W}{name}" for name in ("rsidR", "rsidRPr", "rsidRDefault", "rsidP", "rsidDel", "rsidTr"))
#: The parts that have text or say how it is made; pictures and fonts are not read.
_PART = re.compile(
    r"(\[Content_Types\]\.xml|_rels/\.rels|docProps/core\.xml|word/(_rels/)?"
    r"(document\d*|footnotes|endnotes|comments|styles|numbering)\.xml(\.rels)?)"
)


@dataclass(frozen=True)
class DocxPackage:
    """A DOCX file that mammoth can read."""

    content: bytes
    """A zip with the parts of text only."""
    metadata: Metadata
    left_out: Counter[str]
    """Characters of the text that are left out, by reason."""
    unknown: tuple[str, ...]
    """The names of elements whose text is left out because they are not known."""


def open_docx(content: bytes, name: str, keep: Collection[str] = ()) -> DocxPackage:
    """The package in the bytes of a file; `name` is the file's, for messages, `keep` as in `xhtml_blocks.read_blocks`.

    Raises:
        UsageError: it is an old .doc, encrypted, no DOCX, damaged, or unpacks to too much.
    """
    if content.startswith(_OLE):
        raise UsageError(
            f"{name}: is an old Word file (.doc) or one with a password; save it as .docx without a password"
        )
    parts = _parts(content, name)
    main = next((part for part in parts if re.fullmatch(r"word/document\d*\.xml", part)), None)
    if main is None:
        raise UsageError(f"{name}: is not a Word file: it has no word/document.xml; save it as .docx again")
    if sum(raw.count(b"<") for raw in parts.values()) > _MOST_TAGS:
        raise UsageError(f"{name}: its text has more than {_MOST_TAGS:,} tags; divide it")
    trees = {part: _tree(raw, name, part) for part, raw in parts.items()}
    comments = trees.pop("word/comments.xml", None)
    left_out: Counter[str] = Counter()
    unknown: set[str] = set()
    for part, tree in trees.items():
        if part == main or part.endswith("notes.xml"):
            counts, names = leave_out(tree, keep)
            join_paragraphs(tree)
            left_out += counts
            unknown |= names
    if comments is not None:
        left_out["comment"] += sum(len(text.text or "") for text in comments.iter("{*}t"))
    body = trees[main]
    _remove_repeated_marks(body)
    if _open_fields(body) > _MOST_OPEN_FIELDS:
        raise UsageError(f"{name}: has more than {_MOST_OPEN_FIELDS} fields without an end; save it as .docx again")
    elements = attributes = 0
    for part, tree in trees.items():
        if part == main or part.endswith("notes.xml"):
            slim(tree)
        for element in tree.iter():
            elements += 1
            attributes += len(element.attrib)
        if elements > MOST_ELEMENTS:
            raise UsageError(f"{name}: has more than {MOST_ELEMENTS:,} paragraphs and runs; divide it")
        if attributes > _MOST_ATTRIBUTES:
            raise UsageError(f"{name}: has more than {_MOST_ATTRIBUTES:,} attributes; save it as .docx again")
    # All parts in UTF-8: the parser of mammoth knows few other encodings.
    written = {part: etree.tostring(tree, encoding="UTF-8", xml_declaration=True) for part, tree in trees.items()}
    if sum(map(len, written.values())) > MOST_TEXT_BYTES:
        raise UsageError(f"{name}: has more than {MOST_TEXT_BYTES // 1_000_000} MB of text; divide it")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for part, raw in written.items():
            target.writestr(part, raw)
    return DocxPackage(packed.getvalue(), _metadata(trees.get("docProps/core.xml")), +left_out, tuple(sorted(unknown)))


def _parts(content: bytes, name: str) -> dict[str, bytes]:
    """The parts of text; not more bytes are unpacked than allowed, whatever the zip declares."""
    parts: dict[str, bytes] = {}
    left = MOST_XML_BYTES
    if (count := content.count(_ENTRY)) > _MOST_PARTS:  # before zipfile makes an object of each
        raise UsageError(f"{name}: has {count:,} parts; the limit is {_MOST_PARTS:,}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as source:
            for info in source.infolist():
                if info.filename in parts or not _PART.fullmatch(info.filename):
                    continue
                if info.flag_bits & 1:
                    raise UsageError(f"{name}: is encrypted; save it without a password")
                with source.open(info) as part:
                    parts[info.filename] = part.read(left + 1)
                left -= len(parts[info.filename])
                if left < 0:
                    raise UsageError(f"{name}: its text unpacks to more than {MOST_XML_BYTES // 1_000_000} MB")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise UsageError(f"{name}: is not a Word file, or is damaged ({error}); save it as .docx again") from error
    return parts


def _tree(raw: bytes, name: str, part: str) -> etree._Element:
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw or b"<\0!\0D" in raw or b"\0<\0!\0D" in raw:
        raise UsageError(_declares_entities(name, part))
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        tree = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UsageError(f"{name}: {part} is damaged ({first_line(error)}); save it as .docx again") from error
    if tree.getroottree().docinfo.internalDTD is not None:  # in an encoding that has other bytes for it
        raise UsageError(_declares_entities(name, part))
    return tree


def _declares_entities(name: str, part: str) -> str:
    return f"{name}: {part} declares entities, which Word never does; it is not read"


def _remove_repeated_marks(body: etree._Element) -> None:
    """Remove marks of a note that has one already, which Word never writes: mammoth repeats the note for each."""
    seen: set[tuple[str, str | None]] = set()
    for mark in list(body.iter(f"{_W}footnoteReference", f"{_W}endnoteReference")):
        name = (str(mark.tag), mark.get(f"{_W}id"))
        parent = mark.getparent()
        if name in seen and parent is not None:
            parent.remove(mark)
        seen.add(name)


def _open_fields(body: etree._Element) -> int:
    """The most fields that are open at a place."""
    is_open = most = 0
    for mark in body.iter(f"{_W}fldChar"):
        kind = mark.get(f"{_W}fldCharType")
        is_open = max(0, is_open + (1 if kind == "begin" else -1 if kind == "end" else 0))
        most = max(most, is_open)
    return most


def slim(tree: etree._Element) -> None:
    """Remove what does not shape the text (formats, marks of the spelling check), and join runs that are alike."""
    for element in list(tree.iter(*_FORMATS)):
        parent = element.getparent()
        if parent is None:
            continue
        if element.tag in _PROPERTIES:
            for child in list(element):
                if child.tag not in _KEPT:
                    element.remove(child)
            if len(element):
                continue
        parent.remove(element)
    for paragraph in tree.iter(f"{_W}p", f"{_W}ins", f"{_W}hyperlink"):
        first: etree._Element | None = None
        texts: list[str] = []
        for run in [*paragraph, None]:
            text = run[0] if run is not None and run.tag == f"{_W}r" and len(run) == 1 else None
            if run is None or text is None or text.tag != f"{_W}t":
                if first is not None and len(texts) > 1:
                    first.text = "".join(texts)
                first = None
            elif first is None:
                first, texts = text, [text.text or ""]
                first.set(_SPACE, "preserve")
            else:
                texts.append(text.text or "")
                paragraph.remove(run)
    etree.strip_attributes(tree, *_RSIDS)


def _metadata(core: etree._Element | None) -> Metadata:
    def value(tag: str) -> str:
        return one_line(core.findtext(tag) or "") if core is not None else ""

    author = value(f"{_DC}creator")
    return Metadata(
        title=value(f"{_DC}title"),
        authors=(author,) if author else (),
        language=value(f"{_DC}language"),
        description=value(f"{_DC}description"),
        publisher=value(f"{_CP}publisher"),
    )
