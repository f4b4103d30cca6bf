"""The pages of an EPUB that no imported one is behind: a page for each chapter, an element for each sentence."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from lxml import etree

from maya_batch.epub3.spoken_chapters import SpokenText
from maya_batch.manifest import ChapterText
from maya_batch.text.paragraphs import paragraphs

_XHTML, _OPS = "http://www.w3.org/1999/xhtml", "http://www.idpf.org/2007/ops"
_ESCAPE = re.compile(r"\\([\[\]<>\\*_#|~&`])")
#: What XML does not allow. Texts that are spoken have none of it; in others may be anything.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_HEADING = re.compile(r"#+\s")

STYLE = """\
body { margin: 5%; line-height: 1.5; }
h1, h2 { line-height: 1.2; text-align: center; page-break-after: avoid; }
p { margin: 0; text-indent: 1.5em; }
h1 + p, h2 + p, hr + p { text-indent: 0; }
p.part, p.subtitle { text-align: center; text-indent: 0; margin: 0.5em 0; }
hr { border: 0; margin: 1.5em 0; text-align: center; }
hr::before { content: "* * *"; }
img { max-width: 100%; max-height: 100%; }
"""

Anchors = list[tuple[str, float]]
"""The ids of elements that are spoken, and the second at which each begins."""


def spoken_page(text: ChapterText, texts: Sequence[SpokenText], rules: int, language: str) -> tuple[bytes, Anchors]:
    """The page of a chapter that is spoken."""
    page, body = _page(text.title, language)
    anchors: Anchors = []
    title = [each.start for each in texts if each.span is None and each.start is not None]
    _headings(body, text.part, text.title, text.subtitle, "title" if title else "")
    anchors += [("title", title[0])] if title else []
    own = [each for each in texts if each.span is not None]
    spans = [each.span or (0, 0) for each in own]
    starts = [start for start, _ in spans]
    number = 0
    for paragraph in paragraphs(text.text, rules):
        if paragraph.is_scene_break:
            etree.SubElement(body, f"{{{_XHTML}}}hr")
            continue
        is_heading = _HEADING.match(text.text, paragraph.start) is not None
        element = etree.SubElement(body, f"{{{_XHTML}}}{'h2' if is_heading else 'p'}")
        ended = paragraph.start
        for at in range(bisect_right(starts, paragraph.start - 1), bisect_right(starts, paragraph.end - 1)):
            number += 1
            space = " " if len(element) and any(map(str.isspace, text.text[ended : spans[at][0]])) else ""
            if space:
                element[-1].tail = space
            span = etree.SubElement(element, f"{{{_XHTML}}}span", {"id": f"s{number}"})
            span.text, ended = own[at].text, spans[at][1]
            if (start := own[at].start) is not None:
                anchors.append((f"s{number}", start))
    return _to_xhtml(page), anchors


def silent_page(title: str, part: str, text: str, rules: int, language: str) -> bytes:
    """The page of a chapter that is not spoken."""
    page, body = _page(title, language)
    _headings(body, part, title)
    for paragraph in paragraphs(text, rules):
        if paragraph.is_scene_break:
            etree.SubElement(body, f"{{{_XHTML}}}hr")
        else:
            written = _FORBIDDEN.sub("", text[paragraph.start : paragraph.end])
            plain = " ".join(_ESCAPE.sub(r"\1", written).split())
            etree.SubElement(body, f"{{{_XHTML}}}p").text = plain
    return _to_xhtml(page)


def cover_page(image: str, title: str, language: str) -> bytes:
    """The page that shows the cover."""
    page, body = _page(title, language)
    etree.SubElement(body, f"{{{_XHTML}}}img", {"src": image, "alt": title})
    return _to_xhtml(page)


def contents_page(entries: Iterable[tuple[str, str, str]], title: str, language: str) -> bytes:
    """The navigation document; an entry is the part of the book that a chapter is in, its title, and a link."""
    page, body = _page(title, language, style="style.css")
    nav = etree.SubElement(body, f"{{{_XHTML}}}nav", {f"{{{_OPS}}}type": "toc", "id": "toc"})
    etree.SubElement(nav, f"{{{_XHTML}}}h1").text = title
    top = inner = etree.SubElement(nav, f"{{{_XHTML}}}ol")
    current = ""
    for part, name, link in entries:
        if part != current:
            current, inner = part, top
            if part:
                item = etree.SubElement(top, f"{{{_XHTML}}}li")
                etree.SubElement(item, f"{{{_XHTML}}}span").text = part
                inner = etree.SubElement(item, f"{{{_XHTML}}}ol")
        item = etree.SubElement(inner, f"{{{_XHTML}}}li")
        etree.SubElement(item, f"{{{_XHTML}}}a", {"href": link}).text = name
    return _to_xhtml(page)


def _headings(body: etree._Element, part: str, title: str, subtitle: str = "", anchor: str = "") -> None:
    if part:
        etree.SubElement(body, f"{{{_XHTML}}}p", {"class": "part"}).text = part
    etree.SubElement(body, f"{{{_XHTML}}}h1", {"id": anchor} if anchor else {}).text = title
    if subtitle:
        etree.SubElement(body, f"{{{_XHTML}}}p", {"class": "subtitle"}).text = subtitle


def _page(title: str, language: str, style: str = "../style.css") -> tuple[etree._Element, etree._Element]:
    page = etree.Element(f"{{{_XHTML}}}html", nsmap={None: _XHTML, "epub": _OPS})
    page.set("lang", language)
    page.set("{http://www.w3.org/XML/1998/namespace}lang", language)
    head = etree.SubElement(page, f"{{{_XHTML}}}head")
    etree.SubElement(head, f"{{{_XHTML}}}title").text = title
    etree.SubElement(head, f"{{{_XHTML}}}link", {"rel": "stylesheet", "type": "text/css", "href": style})
    return page, etree.SubElement(page, f"{{{_XHTML}}}body")


def _to_xhtml(page: etree._Element) -> bytes:
    content: bytes = etree.tostring(page, encoding="utf-8", xml_declaration=True, doctype="<!DOCTYPE html>")
    return content + b"\n"
