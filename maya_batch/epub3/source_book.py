"""The EPUB that a book was imported from, with its sound: its own pages and styles, an element around each sentence."""

import json
import logging
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from urllib.parse import quote

from lxml import etree

from maya_batch.book.source_epub import SourceEpub
from maya_batch.book.state import BookState
from maya_batch.epub3.epub_zip import Entry
from maya_batch.epub3.from_epub2 import page_properties
from maya_batch.epub3.html5_page import to_html5
from maya_batch.epub3.marked_page import Mark, mark_page
from maya_batch.epub3.media_overlay import STYLE, Part, joined_parts, length, parts, smil
from maya_batch.epub3.package_document import XHTML_TYPE
from maya_batch.epub3.page_text import Run, runs
from maya_batch.epub3.sentence_places import Place, sentence_places
from maya_batch.epub3.source_package import SourcePackage
from maya_batch.epub3.spoken_chapters import SpokenChapter
from maya_batch.errors import UsageError
from maya_batch.importing.contents import read_contents
from maya_batch.importing.epub_archive import Archive, opened
from maya_batch.importing.epub_protection import refuse_protected
from maya_batch.importing.package import Package, read_package
from maya_batch.importing.xhtml_elements import HEADINGS, name_of
from maya_batch.importing.xhtml_encoding import decode
from maya_batch.importing.xhtml_tree import parse
from maya_batch.messages.plural import plural

log = logging.getLogger(__name__)

_XHTML, _SVG = "http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"
_LEFT_OUT = ("mimetype", "META-INF/signatures.xml")
"""What is written first in any EPUB; and signatures, which are of files that have changed."""


@dataclass
class _Page:
    """A text of the spine."""

    name: str
    root: etree._Element
    runs: list[Run]
    marks: list[tuple[Run, Mark]] = field(default_factory=list)


def source_book(state: BookState, source: SourceEpub, spoken: Sequence[SpokenChapter]) -> list[Entry]:
    """The files of the EPUB, but for its first one.

    Raises:
        UsageError: the EPUB is none of version 2 or 3, is damaged or encrypted, or no chapter is found in it.
    """
    if source.path is None:
        raise ValueError(f"{source.name} is not at hand")
    with opened(source.path) as archive:
        package = read_package(archive)
        refuse_protected(archive, {package.name, *(item.name for item in package.spine)})
        book = _SourceBook(state, archive, package, source)
        for chapter in spoken:
            book.add(chapter)
        return list(book.finished())


class _SourceBook:
    """An EPUB while it gets its sound."""

    def __init__(self, state: BookState, archive: Archive, package: Package, source: SourceEpub) -> None:
        self._archive, self._book = archive, state.plan.book
        self._contents = read_contents(archive, package)[0]
        self._package = SourcePackage(archive, package)
        owners = _owners(source.record)
        self._pages = [_page(archive, item.name, owners.get(item.name, {})) for item in package.spine]
        files = {number: chapter.file for number, chapter in enumerate(state.plan.book.chapters, 1)}
        self._owner_of = {number: str(file) for number, file in files.items() if file is not None}
        self._anchors = 0
        self._prefix = _unused_prefix(page.root for page in self._pages)
        self._overlays: dict[str, list[Part]] = {}
        """By the name of the page."""
        self._sounds: list[Entry] = []
        self._missing: list[str] = []
        if self._package.was_epub2:
            self._upgrade(package)

    def _upgrade(self, package: Package) -> None:
        """Make all pages of EPUB 2 those of EPUB 3."""
        known = {page.name for page in self._pages}
        others = [item.name for item in package.items.values() if item.media_type == XHTML_TYPE and item.name]
        self._pages += [_page(self._archive, name, {}) for name in others if name not in known]
        for page in self._pages:
            if page.root.tag == f"{{{_SVG}}}svg":
                continue
            if page.root.tag != f"{{{_XHTML}}}html":
                raise UsageError(f"{page.name} is no XHTML, which EPUB 3 asks for")
            to_html5(page.root, self._book.title)
            self._package.describe_page(page.name, page_properties(page.root))

    def add(self, spoken: SpokenChapter) -> None:
        """A chapter with its sound."""
        owner = self._owner_of.get(spoken.chapter.number, "")
        there = [(page, run) for page in self._pages for run in page.runs if owner and run.owner == owner]
        timed = [text for text in spoken.texts if text.start is not None]
        places = sentence_places([text.text for text in timed], [run for _, run in there])
        if places and places[0].sentence > 0 and timed[0].span is None:
            places = [*_heading([run for _, run in there[: places[0].run]]), *places]
        if not places:
            self._missing.append(spoken.chapter.title)
            return
        begun: list[tuple[str, float]] = []
        pages: dict[str, str] = {}
        starts = [float(text.start or 0.0) for text in timed] + [spoken.seconds]
        for sentence, group in groupby(places, lambda place: place.sentence):
            here = list(group)
            whole = sum(place.end - place.start for place in here)
            at = starts[sentence]
            for place in here:
                self._anchors += 1
                anchor = f"{self._prefix}{self._anchors}"
                page, run = there[place.run]
                page.marks.append((run, Mark(place.start, place.end, anchor)))
                pages[anchor] = page.name
                begun.append((anchor, at))
                at += (starts[sentence + 1] - starts[sentence]) * (place.end - place.start) / whole
        audio = self._package.add_sound(f"chapter-{spoken.chapter.number}{spoken.audio.suffix}")
        self._sounds.append(Entry(audio, spoken.audio))
        for part in parts(begun, posixpath.basename(audio), spoken.seconds):
            self._overlays.setdefault(pages[part.anchor], []).append(part)
        found = {place.sentence for place in places}
        lacking = sum(number not in found for number, text in enumerate(timed) if text.span is not None)
        if lacking:
            what = plural(lacking, "sentence")
            log.info("%s: %s not found in the EPUB and played with the one before", spoken.chapter.title, what)

    def finished(self) -> Iterator[Entry]:
        """All files, in the order of the EPUB."""
        if self._missing:
            log.warning("not in the EPUB, because its pages have no such text: %s", ", ".join(self._missing))
        if not self._sounds:
            raise UsageError("no chapter of the book is found in it")
        made: dict[str, bytes] = {}
        if self._package.was_epub2:
            contents, content = self._package.add_contents(self._contents, self._book.title, self._book.language)
            self._sounds.append(Entry(contents, content))
            made |= {page.name: _to_xhtml(page.root) for page in self._pages if page.root.tag == f"{{{_XHTML}}}html"}
        for page in self._pages:
            overlay = self._overlays.get(page.name)
            if overlay:
                overlay = joined_parts(overlay, mark_page(page.marks))
                self._package.add_style(page.root, page.name)
                made[page.name] = _to_xhtml(page.root)
                name = self._package.add_overlay(page.name, length(overlay))
                link = quote(posixpath.relpath(page.name, posixpath.dirname(name)))
                self._sounds.append(Entry(name, smil(link, overlay)))
        made[self._package.name] = self._package.finished(self._book.narrator)
        for name in self._archive.names:
            if name not in _LEFT_OUT and name not in self._package.left_out:
                yield Entry(name, made[name] if name in made else self._archive.read(name))
        yield Entry(self._package.style, STYLE.encode())
        yield from self._sounds


def _owners(record: bytes) -> dict[str, dict[str, str]]:
    """By page and element the file of the chapter that the text from there on belongs to; "" if it is not spoken.

    Raises:
        UsageError: import.json is damaged.
    """
    found: dict[str, dict[str, str]] = {}
    try:
        for chapter in json.loads(record)["chapters"]:
            owner = "" if chapter["skip"] else str(chapter["file"])
            for file, element, _ in [*chapter["announced"], *chapter["paragraphs"]]:
                found.setdefault(str(file), {})[str(element)] = owner
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"import.json is damaged ({error})") from error
    return found


def _heading(runs: Sequence[Run]) -> list[Place]:
    """The place of a title that is written in other words than it is spoken in, like II for “Chapter 2”: the last
    heading of these runs.
    """
    headings = [number for number, run in enumerate(runs) if name_of(run.block) in HEADINGS]
    if not headings:
        return []
    text = runs[headings[-1]].text
    return [Place(0, headings[-1], len(text) - len(text.lstrip()), len(text.rstrip()))]


def _page(archive: Archive, name: str, owners: Mapping[str, str]) -> _Page:
    root = parse(decode(archive.read(name)).text, name, archive.bounds).root
    if root is None:
        raise UsageError(f"{name} is empty")
    # A page that is no XHTML stays as it is: HTML that browsers mend, or DTBook.
    return _Page(name, root, list(runs(root, owners)) if root.tag == f"{{{_XHTML}}}html" else [])


def _unused_prefix(roots: Iterator[etree._Element]) -> str:
    """The beginning of ids that no page has."""
    known = {element.get("id") or "" for root in roots for element in root.iter(etree.Element)}
    prefix = "spoken-"
    while any(each.startswith(prefix) for each in known):
        prefix = f"x{prefix}"
    return prefix


def _to_xhtml(root: etree._Element) -> bytes:
    content: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, doctype="<!DOCTYPE html>")
    return content + b"\n"
