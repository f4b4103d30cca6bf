"""Reads a manuscript, whatever its format, and divides it into chapters."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maya_batch.errors import UsageError
from maya_batch.importing.accounting import Sums, account
from maya_batch.importing.blocks import Document
from maya_batch.importing.chapters import Chapter, make_chapters
from maya_batch.importing.plain_note_marks import without_plain_note_marks
from maya_batch.importing.reading_rules import Reading
from maya_batch.importing.text_encoding import NotTextError

Format = Literal["epub", "docx", "markdown", "html", "text"]

_SUFFIXES: dict[str, Format] = {
    ".epub": "epub",
    ".docx": "docx",
    ".docm": "docx",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".xht": "html",
    ".txt": "text",
    ".text": "text",
}
_HEAD = 128
"""Bytes that tell formats apart."""
_CALIBRE = "convert it to EPUB, for example with calibre's `ebook-convert`"
_OFFICE = "save it as .docx, for example with LibreOffice"
#: Formats that are not read, and the way out: by how a file begins, and by its ending.
_PDF = f"is a PDF, which has lines and pages but no paragraphs; {_CALIBRE}, and look through the result"
_DOC = "is an old Word file (.doc) or one with a password; save it as .docx without a password"
_KINDLE = f"is a Kindle book; {_CALIBRE}"
_REFUSED_STARTS = {
    b"%PDF": _PDF,
    b"{\\rtf": f"is in Rich Text Format; {_OFFICE}",
    b"\xd0\xcf\x11\xe0": _DOC,
    b"ITOLITLS": f"is a Microsoft Reader book; {_CALIBRE}",
    b"AT&TFORM": "is a DjVu file of scanned pages; export its text, and import that",
}
_REFUSED_ENDINGS = {
    ".pdf": _PDF,
    ".doc": _DOC,
    ".rtf": f"is in Rich Text Format; {_OFFICE}",
    ".odt": f"is an OpenDocument text; {_OFFICE}",
    ".fb2": f"is a FictionBook; {_CALIBRE}",
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".kfx", ".prc"), _KINDLE),
}
_MOBI_AT = 60
"""Where the name of the format stands in a Kindle book."""
_NAME_AT = 30
"""Where the name of the first entry of a zip file stands."""


@dataclass(frozen=True)
class Imported:
    """A manuscript that was read and divided."""

    name: str
    """Of its file."""
    sha256: str
    size: int
    """In bytes."""
    kind: Format
    document: Document
    chapters: tuple[Chapter, ...]
    reading: Reading
    sums: Sums
    remarks: tuple[str, ...]


def read_manuscript(path: Path, reading: Reading | None = None) -> Imported:
    """Read a file and divide it into chapters; nothing is written.

    Raises:
        UsageError: it cannot be read, its format is none of `Format`, or it has no text; the message says what to do.
        AssertionError: its characters do not add up, which is a bug.
    """
    reading = reading or Reading()
    kind = _format(path)
    try:
        document = without_plain_note_marks(_read(path, kind, reading.keep()), reading.keep())
        if not any(block.text.strip() for block in document.blocks):
            raise NotTextError(f"has no text: {_why_no_text(kind)}")
        chapters, remarks = make_chapters(document, reading)
    except NotTextError as error:
        raise UsageError(f"{path}: {error}") from error
    sums = account(document, chapters, reading)
    return Imported(
        path.name,
        _digest(path),
        path.stat().st_size,
        kind,
        document,
        tuple(chapters),
        reading,
        sums,
        (*document.remarks, *remarks, *_remarks(document, chapters, sums)),
    )


def _why_no_text(kind: Format) -> str:
    """Why a manuscript of this format may have no text, and what to do."""
    match kind:
        case "epub":
            return "its pages are images; recognise the text first (OCR), and import the result"
        case "docx":
            return "it is empty, or its text is in pictures or text boxes; put the text into paragraphs"
        case "html":
            return "it is empty, or pictures or a script show its text; save the text from a browser, as .txt"
        case "markdown":
            return "it is empty, or has only metadata and comments"
        case "text":
            return "it is empty"


def _read(path: Path, kind: Format, keep: frozenset[str]) -> Document:
    match kind:
        case "epub":
            from maya_batch.importing.epub import read_epub

            return read_epub(path, keep=keep)
        case "docx":
            from maya_batch.importing.docx import read_docx

            return read_docx(path, keep)
        case "markdown":
            from maya_batch.importing.markdown import read_markdown

            return read_markdown(path, keep)
        case "html":
            from maya_batch.importing.html import read_html

            return read_html(path, keep)
        case "text":
            from maya_batch.importing.plain_text import read_plain_text

            return read_plain_text(path)


def _format(path: Path) -> Format:
    """The format, by the content of the file where that tells, else by its ending."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name the file of the manuscript")
    if not path.is_file():
        raise UsageError(f"{path}: {'is not a regular file' if path.exists() else 'does not exist'}")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if not head:
        raise UsageError(f"{path}: is empty")
    suffix = path.suffix.lower()
    why = next((why for start, why in _REFUSED_STARTS.items() if head.startswith(start)), "")
    if head[_MOBI_AT:].startswith((b"BOOKMOBI", b"TEXtREAd")):
        why = _KINDLE
    if why or suffix in _REFUSED_ENDINGS:
        raise UsageError(f"{path}: {why or _REFUSED_ENDINGS[suffix]}")
    if head.startswith(b"PK"):
        return _zipped(path, suffix, head)
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    known = "EPUB, DOCX, Markdown (.md), HTML, plain text (.txt)"
    raise UsageError(f"{path}: the format of {suffix or 'a file without an ending'} is not known; known are {known}")


def _zipped(path: Path, suffix: str, head: bytes) -> Format:
    """The format of a zip file: its first entry says it, else its ending."""
    if suffix == ".epub" or head[_NAME_AT:].startswith(b"mimetypeapplication/epub"):
        return "epub"
    if suffix in (".docx", ".docm") or head[_NAME_AT:].startswith((b"[Content_Types].xml", b"word/")):
        return "docx"
    if head[_NAME_AT:].startswith(b"mimetypeapplication/vnd.oasis"):
        raise UsageError(f"{path}: is an OpenDocument text; {_OFFICE}")
    raise UsageError(f"{path}: is a zip file, but neither an EPUB nor a DOCX; unpack it, and import the book in it")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remarks(document: Document, chapters: Collection[Chapter], sums: Sums) -> list[str]:
    """What a person should look at before rendering."""
    remarks = []
    language = document.metadata.language
    if language and language.lower().partition("-")[0] not in ("en", "eng"):
        speaks = "Maya1 speaks English; `plan` and `render` need --allow-language"
        remarks.append(f"the language of the book is {language}, and {speaks}")
    if all(chapter.skip for chapter in chapters):
        remarks.append("all chapters are skipped; delete `skip` lines in book.yaml to have chapters read aloud")
    tables = sums.skipped.get("table", 0)
    if 4 * tables > sums.spoken + tables:
        share = 100 * tables // (sums.spoken + tables)
        remarks.append(f"tables hold {share} % of the text and are not read aloud; --tables rows reads them row by row")
    return remarks
