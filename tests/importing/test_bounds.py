"""Manuscripts with much markup: refused, or read with a bounded look at each element."""

from pathlib import Path

import pytest
from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing import contents, xhtml_bounds, xhtml_elements, xhtml_reader
from maya_batch.importing.epub import read_epub
from maya_batch.importing.xhtml_blocks import read_blocks
from tests.support.epubs import link, nav, ncx, package, write_epub, xhtml

DEEP, WIDE = 300, 3000
MANY = "<b>w</b>" * WIDE


def nested(begin: str, inside: str, end: str) -> str:
    return begin * DEEP + inside + end * DEEP


class Looks:
    """Counts how often the name of an element is asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count, self._name_of = 0, xhtml_elements.name_of
        patch.setattr(xhtml_elements, "name_of", self.name_of)
        patch.setattr(contents, "name_of", self.name_of)

    def name_of(self, element: etree._Element) -> str:
        self.count += 1
        return self._name_of(element)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (nested("<figure>", f"<p> {MANY}</p>", "</figure>"), "w" * WIDE),
        (nested("<figure>", "<p><b/></p>" * WIDE, "</figure>") + "<p>w</p>", "w"),
        ("<figure>" + nested('<p><i class="x">', "<b/>" * WIDE, "</i></p>") + "</figure><p>w</p>", "w"),
        ("<p>" + nested('<span class="pagenum">', MANY, "</span>") + "</p>", "w" * WIDE),
        ("<p>" + nested('<span class="pagenum">', "<b/>" * WIDE, "</span>") + "w</p>", "w"),
        ("<p>" + nested('<span class="lnum">', MANY, "</span>") + "</p>", "w" * WIDE),
        ("<p>" + nested('<a href="#n" class="noteref">', MANY, "</a>") + "</p>", "w" * WIDE),
        ("<p>" + nested('<a href="#n"><sup>', MANY, "</sup></a>") + "</p>", "w" * WIDE),
        ("<p>" + nested('<span epub:type="noteref">', MANY, "</span>") + "</p>", "w" * WIDE),
        ("<p>w" + "<case>w</case>" * WIDE + "</p>", "w" * (WIDE + 1)),
    ],
)
def test_elements_inside_one_another_are_not_looked_through_each_time(body: str, text: str, looks: Looks) -> None:
    blocks = read_blocks(xhtml(body).encode(), "a.xhtml").blocks
    assert "".join(block.text for block in blocks) == text
    assert looks.count < 100 * (DEEP + WIDE)


def test_quotations_inside_one_another_are_not_looked_through_each_time(looks: Looks) -> None:
    (block,) = read_blocks(xhtml("<p>" + nested("<q>", MANY, "</q>") + "</p>").encode(), "a.xhtml").blocks
    assert block.text == "“" * DEEP + "w" * WIDE + "”" * DEEP
    assert looks.count < 100 * (DEEP + WIDE)


def test_contents_with_elements_that_say_nothing_are_not_looked_through_each_time(tmp_path: Path, looks: Looks) -> None:
    empty = nested("<span>", "<b/>" * WIDE, "</span>")
    path = write_epub(tmp_path / "a.epub", {"1.xhtml": xhtml("<p>a</p>")}, contents=nav(f"<li>{empty}</li>"))
    assert read_epub(path).contents == ()
    entry = link("One", "1.xhtml").replace("<li>", "<li><span><b/></span>")
    write_epub(path, {"1.xhtml": xhtml("<p>a</p>")}, contents=nav(entry))
    assert [entry.title for entry in read_epub(path).contents] == ["One"]
    toc = ncx((nested("<text>", "<b/>" * WIDE, "</text>"), "1.xhtml"), ("One", "1.xhtml"))
    write_epub(path, {"1.xhtml": xhtml("<p>a</p>")}, toc=toc)
    assert [entry.title for entry in read_epub(path).contents] == ["One"]
    assert looks.count < 200 * (DEEP + WIDE)


def test_metadata_inside_one_another_is_read_once(tmp_path: Path) -> None:
    inside = "<dc:creator>A</dc:creator>" * 1000 + "<dc:title>A <dc:title>Book</dc:title></dc:title>"
    opf = package(["1.xhtml"], metadata=f"<dc-metadata>{inside}</dc-metadata>")
    metadata = read_epub(write_epub(tmp_path / "a.epub", {"1.xhtml": xhtml("<p>a</p>")}, opf=opf)).metadata
    assert (metadata.title, metadata.authors) == ("A Book", ("A",))


def test_blocks_of_white_space_keep_their_ids() -> None:
    body = "<p>a</p>" + "".join(f'<p><i id="i{number}"/>&#160;</p>' for number in range(5)) + "<p id='b'>b</p>"
    last = read_blocks(xhtml(body).encode(), "a.xhtml").blocks[-1]
    assert (last.text, last.ids) == ("b", ("i0", "i1", "i2", "i3", "i4", "b"))


@pytest.mark.parametrize("attributes", ["a " * 1001, "a/" * 1001, "b='>' " + "a " * 1001])
def test_many_attributes_without_values_are_refused(attributes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xhtml_bounds, "_MOST_WORDS", 1000)
    with pytest.raises(UsageError, match=r"^a\.xhtml: the file is not well-formed, and has more than 1,000 words$"):
        read_blocks(f"<p><a {attributes}>w</a>".encode(), "a.xhtml")


@pytest.mark.parametrize("value", ["", "=b", "='>'", '=">"'])
def test_many_attributes_of_one_tag_are_refused_in_html(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xhtml_bounds, "_MANY_ATTRIBUTES", 10)
    monkeypatch.setattr(xhtml_bounds, "_MOST_COMPARISONS", 100**2)
    attributes = " ".join(f"a{number}{value}" for number in range(101))
    said = r"^a\.xhtml: the file is not well-formed, and tags in it have too many attributes$"
    with pytest.raises(UsageError, match=said):
        read_blocks(f"<p><a {attributes}>w</a>".encode(), "a.xhtml")
    words = "w " * 200  # the text after a tag is none of its attributes
    assert read_blocks(f"<p><a b{value}>{words}</a><br {attributes[:300]}>".encode(), "a.xhtml").blocks


@pytest.mark.parametrize(
    "chapter", ["<p>" + "<b/>" * 400 + "</p>", '<p a="b"/>' * 300, "<p>" + "&#233;" * 300 + "</p>"]
)
def test_the_files_of_a_book_share_the_bounds(chapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in ("_MOST_TAGS", "_MOST_ATTRIBUTES", "_MOST_REFERENCES"):
        monkeypatch.setattr(xhtml_bounds, bound, 500)
    first = xhtml("<p>w</p>" + chapter)
    assert read_blocks(first.encode(), "").blocks
    path = write_epub(tmp_path / "a.epub", {"1.xhtml": first, "2.xhtml": first})
    said = r"^OPS/2\.xhtml: the manuscript has more than 500 tags, 500 attributes or 500 entities$"
    with pytest.raises(UsageError, match=said):
        read_epub(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<p>a<![CDATA[b<![CDATA[c]]><p>d<![CDATA[", ["ab<![CDATA[c", "d"]),
        ("<!DOCTYPE html [<!ENTITY a 'b'> ]><p>a</p>", ["a"]),
        ("<!DOCTYPE <!DOCTYPE html><p>a", ["a"]),
    ],
)
def test_sections_and_document_types_without_an_end_do_no_harm(content: str, text: list[str]) -> None:
    assert [block.text for block in read_blocks(content.encode(), "a.xhtml").blocks] == text


def test_a_paragraph_longer_than_a_chapter_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xhtml_reader, "_LONGEST_TEXT", 100)
    assert read_blocks(xhtml(f"<p>{'a' * 100}</p>").encode(), "a.xhtml").blocks[0].text == "a" * 100
    with pytest.raises(UsageError, match=r"^a\.xhtml: a paragraph has more than 100 characters; divide it$"):
        read_blocks(xhtml(f"<p>{'a' * 101}</p>").encode(), "a.xhtml")
