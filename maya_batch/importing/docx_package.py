"""Opens a DOCX file within limits, and mends its text for mammoth: drop caps, what is deleted, what is commented."""

import io
import re
import zipfile
import zlib
from dataclasses import dataclass

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import Metadata
from maya_batch.importing.titles import one_line

MOST_XML_BYTES = 30_000_000
"""The most bytes of all parts of text together, unpacked: mammoth takes about 25 times as much memory."""
_MOST_PARTS = 10_000
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DC, _CP = (
    "{http://purl.org/dc/elements/1.1/}",
    "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}",
)
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
    deleted: int
    """Characters of tracked deletions, which are left out."""
    comments: int
    """Characters of comments, which are left out."""


def open_docx(content: bytes, name: str) -> DocxPackage:
    """The package in the bytes of a file; `name` is the file's, for messages.

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
    trees = {part: _tree(raw, name, part) for part, raw in parts.items()}
    body = trees[main]
    _join_drop_caps(body)
    deleted = sum(len(text.text or "") for text in body.iter(f"{_W}delText"))
    comments = trees.get("word/comments.xml")
    commented = sum(len(text.text or "") for text in comments.iter(f"{_W}t")) if comments is not None else 0
    parts[main] = etree.tostring(body, encoding="UTF-8", xml_declaration=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for part, raw in parts.items():
            target.writestr(part, raw)
    return DocxPackage(packed.getvalue(), _metadata(trees.get("docProps/core.xml")), deleted, commented)


def _parts(content: bytes, name: str) -> dict[str, bytes]:
    """The parts of text; not more bytes are unpacked than allowed, whatever the zip declares."""
    parts: dict[str, bytes] = {}
    left = MOST_XML_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as source:
            infos = source.infolist()
            if len(infos) > _MOST_PARTS:
                raise UsageError(f"{name}: has {len(infos):,} parts; the limit is {_MOST_PARTS:,}")
            for info in infos:
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
        raise UsageError(f"{name}: {part} declares entities, which Word never does; it is not read")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UsageError(f"{name}: {part} is damaged ({error}); save it as .docx again") from error


def _join_drop_caps(body: etree._Element) -> None:
    """Put the runs of a drop cap, which is a paragraph in a frame, before those of the next paragraph."""
    for frame in list(body.iter(f"{_W}framePr")):
        if frame.get(f"{_W}dropCap") not in ("drop", "margin"):
            continue
        properties = frame.getparent()
        initial = properties.getparent() if properties is not None else None
        after = initial.getnext() if initial is not None else None
        parent = initial.getparent() if initial is not None else None
        if initial is None or parent is None or after is None or after.tag != f"{_W}p" or initial.tag != f"{_W}p":
            continue
        runs = [child for child in initial if child.tag != f"{_W}pPr"]
        at = 1 if len(after) and after[0].tag == f"{_W}pPr" else 0
        for number, run in enumerate(runs):
            after.insert(at + number, run)
        parent.remove(initial)


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
