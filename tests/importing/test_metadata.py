"""Metadata of EPUB 2 and 3, and calibre's metadata.opf."""

from pathlib import Path

import pytest
from lxml import etree

from maya_batch.importing.blocks import Image, Metadata
from maya_batch.importing.epub import read_epub
from maya_batch.importing.html import read_html
from maya_batch.importing.metadata import read_metadata
from tests.importing.stories import written
from tests.support.epubs import PNG, package, write_epub, xhtml


def metadata(inside: str) -> Metadata:
    return read_metadata(etree.fromstring(package([], metadata=inside)))


def test_epub_3_refines_titles_roles_and_series() -> None:
    found = metadata(
        '<dc:title id="s">A Subtitle</dc:title><meta refines="#s" property="title-type">subtitle</meta>'
        '<dc:title id="m">The Title</dc:title><meta refines="#m" property="title-type">main</meta>'
        '<dc:creator id="b">Bob Second</dc:creator><meta refines="#b" property="role">aut</meta>'
        '<meta refines="#b" property="display-seq">2</meta>'
        '<dc:creator id="a">Ann First</dc:creator><meta refines="#a" property="role">aut</meta>'
        '<meta refines="#a" property="file-as">First, Ann</meta><meta refines="#a" property="display-seq">1</meta>'
        '<dc:creator id="i">Ill Ustrator</dc:creator><meta refines="#i" property="role">ill</meta>'
        '<meta property="belongs-to-collection" id="c">The Saga</meta>'
        '<meta refines="#c" property="collection-type">series</meta>'
        '<meta refines="#c" property="group-position">2.0</meta>'
        "<dc:language>und</dc:language><dc:language>en-GB</dc:language><dc:publisher>House &amp; Co</dc:publisher>"
        "<dc:date>2014-05-25T00:00:00Z</dc:date><dc:identifier>urn:isbn:978-0-306-40615-7</dc:identifier>"
        "<dc:description>&lt;p&gt;One &lt;b&gt;bold&lt;/b&gt;.&lt;/p&gt;&lt;p&gt;Two.&lt;/p&gt;</dc:description>"
    )
    assert found == Metadata(
        title="The Title",
        subtitle="A Subtitle",
        authors=("Ann First", "Bob Second"),
        language="en-GB",
        series="The Saga",
        series_number="2",
        publisher="House & Co",
        date="2014-05-25",
        isbn="9780306406157",
        description="One bold.\n\nTwo.",
    )


def test_epub_2_has_attributes_and_metas_of_calibre() -> None:
    found = metadata(
        '<dc:title>T</dc:title><dc:creator opf:role="aut" opf:file-as="A, B">B A</dc:creator>'
        '<dc:creator opf:role="edt">E</dc:creator><dc:date opf:event="modification">2020</dc:date>'
        '<dc:date opf:event="publication">1813-01</dc:date>'
        '<dc:identifier opf:scheme="ISBN">0-306-40615-2</dc:identifier>'
        '<meta name="calibre:series" content="S"/><meta name="calibre:series_index" content="1.5"/>'
    )
    assert (found.authors, found.date, found.isbn) == (("B A",), "1813-01", "0306406152")
    assert (found.series, found.series_number) == ("S", "1.5")


@pytest.mark.parametrize(
    ("inside", "isbn"),
    [
        ("<dc:identifier>9780306406157</dc:identifier>", "9780306406157"),
        ("<dc:identifier>9780306406158</dc:identifier>", ""),
        ("<dc:identifier>urn:uuid:97803064-0615-7000-8000-000000000000</dc:identifier>", ""),
        ("<dc:identifier>0306406152</dc:identifier>", ""),
        ("<dc:identifier>isbn:080442957X</dc:identifier>", "080442957X"),
        ("<dc:identifier>isbn:080442957x</dc:identifier>", "080442957X"),
        ("<dc:identifier>isbn:0804429570</dc:identifier>", ""),
        ("<dc:identifier>isbn:٩٧٨٠٣٠٦٤٠٦١٥٧</dc:identifier>", ""),
    ],
)
def test_an_isbn_has_the_right_check_digit(inside: str, isbn: str) -> None:
    assert metadata(inside).isbn == isbn


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("utf-8", "utf-8"), ("iso-8859-1", "latin-1"), ("windows-1251", "cp1251"), ("utf-16", "utf-16"), ("", "cp1252")],
)
def test_the_head_of_a_page_is_in_the_encoding_of_its_text(tmp_path: Path, declared: str, encoding: str) -> None:
    title, author, text = ("Вий", "Гоголь", "Ночь.") if encoding == "cp1251" else ("Café", "André Gide", "Voilà.")
    head = f"<meta charset='{declared}'><title>{title}</title><meta name='author' content='{author}'>"
    page = f"<html><head>{head}</head><body><p>{text}</p></body></html>"
    document = read_html(written(tmp_path, "a.html", page.encode(encoding)))
    assert (document.metadata.title, document.metadata.authors) == (title, (author,))
    assert [block.text for block in document.blocks] == [text]


def test_without_metadata_all_is_empty() -> None:
    assert metadata("") == Metadata()
    assert metadata("<dc:date>0101-01-01T00:00:00+00:00</dc:date><dc:date>unknown</dc:date>").date == ""


def test_a_description_that_is_nested_too_deep_is_left_out() -> None:
    assert metadata(f"<dc:description>{'&lt;div&gt;' * 5000}a</dc:description>").description == ""


def test_calibres_metadata_goes_before_that_of_the_book(tmp_path: Path) -> None:
    path = write_epub(tmp_path / "a.epub", {"1.xhtml": xhtml("<p>Text.</p>")})
    (tmp_path / "metadata.opf").write_text(package([], metadata="<dc:title>Edited</dc:title>"), encoding="utf-8")
    document = read_epub(path)
    assert (document.metadata.title, document.metadata.authors) == ("Edited", ("Ann Author",))
    assert document.remarks == ("metadata is taken from calibre's metadata.opf",)


def test_metadata_of_another_book_in_the_folder_is_not_taken(tmp_path: Path) -> None:
    path = write_epub(tmp_path / "a.epub", {"1.xhtml": xhtml("<p>Text.</p>")})
    write_epub(tmp_path / "b.epub", {"1.xhtml": xhtml("<p>Text.</p>")})
    (tmp_path / "metadata.opf").write_text(package([], metadata="<dc:title>Edited</dc:title>"), encoding="utf-8")
    assert read_epub(path).metadata.title == "A Book"


GUIDE = '<guide><reference type="cover" title="Cover" href="{}"/></guide></package>'


def _with_calibres_cover(folder: Path, name: str, items: str = "") -> Path:
    calibre = package([], metadata="<dc:title>A Book</dc:title>").replace("</package>", GUIDE.format(name))
    (folder / "metadata.opf").write_text(calibre, encoding="utf-8")
    opf = package(["1.xhtml"], items=items)
    more: dict[str, str | bytes] = {"OPS/i.jpg": "<svg/>", "OPS/i.png": PNG + b"own"}
    return write_epub(folder / "a.epub", {"1.xhtml": xhtml("<p>Text.</p>")}, opf=opf, more=more)


def test_calibres_cover_is_taken_if_the_book_has_none(tmp_path: Path) -> None:
    path = _with_calibres_cover(tmp_path, "cover.jpg")
    (tmp_path / "cover.jpg").write_bytes(PNG)
    document = read_epub(path)
    assert document.cover == Image(PNG, ".png")
    assert document.remarks == ("the cover is taken from calibre's 'cover.jpg'",)


def test_calibres_cover_stands_in_for_a_drawing_which_is_remarked(tmp_path: Path) -> None:
    items = '<item id="i" href="i.jpg" media-type="image/svg+xml" properties="cover-image"/>'
    path = _with_calibres_cover(tmp_path, "cover.jpg", items)
    assert read_epub(path).remarks == (
        "the cover 'OPS/i.jpg' is neither JPEG nor PNG and is left out",
        "calibre's cover 'cover.jpg' cannot be read, or is neither JPEG nor PNG",
    )
    (tmp_path / "cover.jpg").write_bytes(PNG)
    document = read_epub(path)
    assert document.cover == Image(PNG, ".png")
    assert document.remarks[0] == "the cover 'OPS/i.jpg' is neither JPEG nor PNG and is left out"


def test_the_books_own_cover_goes_before_calibres(tmp_path: Path) -> None:
    items = '<item id="i" href="i.png" media-type="image/png" properties="cover-image"/>'
    path = _with_calibres_cover(tmp_path, "cover.jpg", items)
    (tmp_path / "cover.jpg").write_bytes(PNG)
    assert read_epub(path).cover == Image(PNG + b"own", ".png")


def test_calibres_cover_is_a_file_of_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    (tmp_path / "cover.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "cover.png")
    for name in ("../cover.png", str(tmp_path / "cover.png"), "link.png", "..", ""):
        assert read_epub(_with_calibres_cover(folder, name)).cover is None
