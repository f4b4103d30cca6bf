"""The EPUB of a book that was imported from an EPUB 2: its own pages, as those of EPUB 3."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from maya_batch.epub3.html5_page import to_html5
from tests.audio.test_m4b import png
from tests.run.test_epub_writing import XHTML, Epub, check_durations, import_into, render
from tests.support.epubcheck import mistakes, needs_java
from tests.support.epubs import container, write_zip
from tests.support.fakes import FakeEngine, TinyBook

PACKAGE = """\
<package xmlns="http://www.idpf.org/2007/opf" version="2.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">
<dc:identifier id="id" opf:scheme="ISBN">urn:isbn:9783161484100</dc:identifier><dc:title>A Tale</dc:title>
<dc:creator opf:role="aut" opf:file-as="Author, Ann">Ann Author</dc:creator><dc:language>en</dc:language>
<dc:date opf:event="modification">2012-01-01</dc:date><dc:date opf:event="publication">1899</dc:date>
<meta name="cover" content="picture"/></metadata><manifest>
<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
<item id="picture" href="cover.png" media-type="image/png"/>
<item id="front" href="text/front.html" media-type="application/xhtml+xml"/>
<item id="one" href="text/one.html" media-type="application/xhtml+xml"/>
<item id="two" href="text/two.html" media-type="application/xhtml+xml"/>
<item id="css" href="own.css" media-type="text/css"/></manifest>
<spine toc="ncx"><itemref idref="front"/><itemref idref="one"/><itemref idref="two"/></spine>
<guide><reference type="cover" title="Cover" href="text/front.html"/></guide></package>
"""
NCX = """\
<?xml version="1.0" encoding="UTF-8"?>
<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><head>
<meta name="dtb:uid" content="urn:isbn:9783161484100"/><meta name="dtb:depth" content="2"/>
<meta name="dtb:totalPageCount" content="0"/><meta name="dtb:maxPageNumber" content="0"/></head>
<docTitle><text>A Tale</text></docTitle><navMap>
<navPoint id="a" playOrder="1"><navLabel><text>The Night</text></navLabel><content src="text/one.html"/>
<navPoint id="b" playOrder="2"><navLabel><text>Later</text></navLabel><content src="text/one.html#who"/></navPoint>
</navPoint><navPoint id="c" playOrder="3"><navLabel><text>II</text></navLabel><content src="text/two.html"/></navPoint>
</navMap></ncx>
"""
PAGE = """\
<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en"><head><title>A Tale</title>
<meta http-equiv="Content-Type" content="application/xhtml+xml; charset=utf-8"/>
<meta http-equiv="Content-Style-Type" content="text/css"/>
<link rel="stylesheet" type="text/css" href="../own.css"/></head><body>{}</body></html>
"""
FRONT = """<div><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1"
 width="100%" height="100%" viewBox="0 0 8 8"><image width="8" height="8" xlink:href="../cover.png"/></svg></div>"""
ONE = """<h2>The Night</h2><p>The <tt>night</tt> was&nbsp;dark.</p><p id="who"><acronym title="who">Who</acronym> goes
 there?</p>"""
#: As converters wrote it: not valid even as EPUB 2.
UNTIDY = """<center><h2 align="right">II</h2></center><p><a name="x y"></a><a name="rain"></a>The <font color="red"
 size="+1">rain</font> was <big>gone</big>.<br clear="all"/></p><hr width="50%" noshade="noshade"/>
<table border="1" width="90" cellpadding="2" summary="nothing"><tr><td valign="top" nowrap="nowrap" bgcolor="#fff">It
 was late.</td></tr></table><p><img src="../cover.png" alt="A lamp" width="50%" height="8" border="0" align="left"/></p>
<ul type="disc"><li type="disc">So it was.</li></ul><hr size="1"/><table background="../cover.png" bordercolor="red"><tr
 height="10" width="5"><td>It was.</td></tr></table><p width="100%">So.</p><pre width="80">So.</pre>"""
#: Valid as EPUB 2, with what EPUB 3 has no more.
VALID = """<h2>II</h2><p>The <a href="one.html" shape="rect" charset="utf-8" rev="made">rain</a> was gone.</p>
<table summary="nothing"><col/><col/><thead><tr><th id="h" abbr="s" axis="a" scope="col">It</th></tr></thead>
<tbody align="left"><tr><td headers="h" scope="row" abbr="x" char=".">was late.</td></tr></tbody></table>
<p><object data="../cover.png" type="image/png" width="100%" height="5" codetype="x/y" standby="y" declare="declare">
<param name="a" value="b" valuetype="data" type="x/y"/>So it was.</object></p>
<p><img src="../cover.png" alt="A lamp" usemap="#m"/></p><div><map id="m"><area nohref="nohref" shape="rect"
 coords="0,0,1,1" alt="Here"/></map></div>"""
TWO = "<h2>II</h2><p>The rain was gone.</p>"


def write_epub2(path: Path, second: str) -> Path:
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container("OPS/book.opf"),
        "OPS/book.opf": PACKAGE,
        "OPS/toc.ncx": NCX,
        "OPS/cover.png": png(8),
        "OPS/own.css": "p { margin: 0 }",
    }
    pages = {"front": FRONT, "one": ONE, "two": second}
    return write_zip(path, files | {f"OPS/text/{name}.html": PAGE.format(body) for name, body in pages.items()})


@pytest.mark.parametrize("second", [TWO, VALID, UNTIDY])
def test_it_keeps_its_pages_and_becomes_an_epub_3(
    second: str, tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    source = import_into(tiny, write_epub2(tmp_path / "tale.epub", second), cli)
    assert render(tiny)[-1] == "A Tale.epub"
    before, after = Epub(source), Epub(tiny.output / "A Tale.epub")
    assert after.spine() == before.spine()
    texts = [[words(epub.zip.read(name)) for name in epub.spine()] for epub in (before, after)]
    assert texts[0] == texts[1]
    assert after.zip.read("OPS/own.css") == before.zip.read("OPS/own.css")
    spoken = {page: [text for text, *_ in parts] for page, parts in after.overlays().items()}
    assert spoken["OPS/text/one.html"] == ["The Night", "The night was\u00a0dark.", "Who goes\n there?"]
    assert spoken["OPS/text/two.html"][:1] == ["II"]
    check_durations(after, tmp_path)
    assert after.package.get("version") == "3.0"
    assert after.meta("file-as") == {f"#{_id_of(after, 'creator')}": "Author, Ann"}
    assert [element.text for element in after.package.iter("{*}date")] == ["1899"]
    assert after.items["picture"].get("properties") == "cover-image"
    assert after.items["front"].get("properties") == "svg"


@pytest.mark.slow
@needs_java
def test_epubcheck_finds_nothing_in_a_valid_source(tmp_path: Path) -> None:
    assert mistakes(write_epub2(tmp_path / "tale.epub", VALID)) == []


@pytest.mark.slow
@needs_java
@pytest.mark.parametrize("second", [TWO, VALID, UNTIDY])
def test_epubcheck_finds_nothing_in_it(
    second: str, tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    import_into(tiny, write_epub2(tmp_path / "tale.epub", second), cli)
    render(tiny)
    assert mistakes(tiny.output / "A Tale.epub") == []


def test_its_contents_are_a_navigation_document(
    tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    import_into(tiny, write_epub2(tmp_path / "tale.epub", TWO), cli)
    render(tiny)
    found = Epub(tiny.output / "A Tale.epub")
    [item] = [item for item in found.items.values() if item.get("properties") == "nav"]
    name = found.path(item.get("href") or "")
    links = [(a.text, found.path((a.get("href") or ""), name)) for a in found.page(name).iter(f"{XHTML}a")]
    assert links == [
        ("The Night", "OPS/text/one.html"),
        ("Later", "OPS/text/one.html#who"),
        ("II", "OPS/text/two.html"),
    ]
    assert len(list(found.page(name).iter(f"{XHTML}ol"))) == 2


def test_an_older_format_is_made_of_its_texts(
    tiny: TinyBook,
    fake_engine: FakeEngine,
    tmp_path: Path,
    cli: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = import_into(tiny, write_epub2(tmp_path / "tale.epub", TWO), cli)
    files = {name: Epub(source).zip.read(name) for name in Epub(source).zip.namelist()}
    write_zip(source, files | {"OPS/book.opf": PACKAGE.replace('version="2.0"', 'version="1.2"')})
    record = json.loads((tiny.folder / "import.json").read_text(encoding="utf-8"))
    record["source"]["sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
    (tiny.folder / "import.json").write_text(json.dumps(record), encoding="utf-8")
    assert render(tiny)[-1] == "A Tale.epub"
    assert "not of tale.epub: its pages are those of EPUB 1.2" in caplog.text
    assert "EPUB/contents.xhtml" in Epub(tiny.output / "A Tale.epub").zip.namelist()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<p align="center" style="color: red;">a</p>', '<p style="color: red; text-align: center">a</p>'),
        ('<img src="a" align="left" width="8"/>', '<img src="a" width="8" style="float: left"/>'),
        ('<td width="3*" height="20">a</td>', '<td style="height: 20px">a</td>'),
        ('<font color="red;} x">a</font>', "<span>a</span>"),
        ('<a name="b" id="c"/><a name="b"/><p id="d"/><a name="d"/>', '<a id="c"/><a id="b"/><p id="d"/><a/>'),
        ('<p lang="en" xml:lang="fr">a</p>', '<p lang="fr" xml:lang="fr">a</p>'),
        ('<map name="m"><area alt="a" href="b"/></map><ol type="i" start="2"/>', None),
        (
            '<map id="m"><area alt="a" nohref="nohref" coords="1"/></map>',
            '<map id="m" name="m"><area coords="1"/></map>',
        ),
        ('<td scope="row" abbr="a">a</td><th scope="row" abbr="a">a</th>', '<td>a</td><th scope="row">a</th>'),
        (
            '<a href="b" shape="rect" coords="1" rel="next">a</a><a rel="next">a</a>',
            '<a href="b" rel="next">a</a><a>a</a>',
        ),
        ('<object data="a" width="100%" height="8"/>', '<object data="a" height="8" style="width: 100%"/>'),
        ('<iframe src="a" width="8" height="50%" frameborder="0"/>', '<iframe src="a" width="8" style="height: 50%"/>'),
        ('<object classid="a" codebase="a" archive="a" standby="a"/>', "<object/>"),
        ('<param name="a" value="b" valuetype="ref" type="a/b"/>', '<param name="a" value="b"/>'),
        ('<tr height="8" background="a">a</tr><hr size="1"/>', '<tr style="height: 8px">a</tr><hr/>'),
        ("<table><col/><col/><tr/></table>", "<table><colgroup><col/><col/></colgroup><tr/></table>"),
        ("<table><tfoot/><tbody/></table>", "<table><tbody/><tfoot/></table>"),
        ("<table><tfoot/>a<col/><tbody/></table>", None),
        ("<head><title/></head>", "<head><title>A Tale</title></head>"),
        ("<head><base/></head>", "<head><title>A Tale</title><base/></head>"),
        (
            '<meta http-equiv="Content-Style-Type" content="text/css"/><meta charset="utf-8"/><meta name="a"/>',
            '<meta name="a"/>',
        ),
        ('<p width="50%">a</p><pre width="80">a</pre><div height="8">a</div>', "<p>a</p><pre>a</pre><div>a</div>"),
    ],
)
def test_what_html_gave_up(before: str, after: str | None) -> None:
    pages = [
        etree.fromstring(f'<body xmlns="http://www.w3.org/1999/xhtml">{body}</body>')
        for body in (before, after or before)
    ]
    to_html5(pages[0], "A Tale")
    assert etree.tostring(pages[0]) == etree.tostring(pages[1])


def words(page: bytes) -> list[str]:
    """The words of a page whose entities are those of HTML."""
    return "".join(etree.fromstring(page.replace(b"&nbsp;", "\u00a0".encode())).itertext()).split()


def _id_of(epub: Epub, name: str) -> str:
    return next(element.get("id") or "" for element in epub.package.iter(f"{{*}}{name}"))
