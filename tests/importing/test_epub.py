"""EPUBs, sound and broken: the right text, or one clear line."""

import struct
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import ContentsEntry, Document
from maya_batch.importing.chapters import make_chapters
from maya_batch.importing.epub import read_epub
from tests.support import epubs
from tests.support.epubs import PNG, link, nav, ncx, package, write_epub, write_zip, xhtml

ONE, TWO = xhtml('<h1 id="a">One</h1><p>The first.</p>'), xhtml("<h1>Two</h1><p id='b'>The second.</p>")
BOTH = {"1.xhtml": ONE, "2.xhtml": TWO}
TEXTS = ["One", "The first.", "Two", "The second."]
LOCKED = (
    '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData '
    'xmlns="http://www.w3.org/2001/04/xmlenc#"><EncryptionMethod Algorithm="{}"/><CipherData>'
    '<CipherReference URI="{}"/></CipherData></EncryptedData></encryption>'
)
AES, OBFUSCATED = "http://www.w3.org/2001/04/xmlenc#aes128-cbc", "http://www.idpf.org/2008/embedding"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book.epub"


def texts(document: Document) -> list[str]:
    characters = Counter[str]()
    for block in document.blocks:
        characters[block.place.file] += block.characters
    assert {file: markup + characters[file] for file, markup in document.markup.items()} == document.sizes
    return [block.text for block in document.blocks if block.text]


def refusal(path: Path) -> str:
    """The one line that says why a book is refused, without its name."""
    with pytest.raises(UsageError) as raised:
        read_epub(path)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def test_a_sound_book_is_read_without_remarks(path: Path) -> None:
    document = read_epub(write_epub(path, BOTH, contents=nav(link("First", "1.xhtml"), link("Second", "2.xhtml#b"))))
    assert texts(document) == TEXTS
    assert document.contents == (
        ContentsEntry("First", 1, "OPS/1.xhtml"),
        ContentsEntry("Second", 1, "OPS/2.xhtml", "b"),
    )
    assert list(document.sizes) == ["OPS/1.xhtml", "OPS/2.xhtml"]
    assert (document.metadata.title, document.metadata.authors) == ("A Book", ("Ann Author",))
    assert document.remarks == ()


# Zip files


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "OPS\\..\\x.xhtml", "C:/x.xhtml", "a/../../x.xhtml"]
)
def test_entries_with_unsafe_names_are_left_out(path: Path, name: str) -> None:
    document = read_epub(write_epub(path, BOTH, more={name: xhtml("<p>outside</p>")}))
    assert texts(document) == TEXTS
    assert "left out" in document.remarks[0]
    assert list(path.parent.iterdir()) == [path]


def test_links_out_of_the_book_lead_to_nothing(path: Path) -> None:
    opf = package(["1.xhtml", "../../../../etc/passwd", "file:///etc/passwd", "http://example.org/x.xhtml"])
    document = read_epub(write_epub(path, {"1.xhtml": ONE}, opf=opf))
    assert texts(document) == TEXTS[:2]
    assert document.remarks[0].startswith("3 files of the spine are missing in the zip file")


def test_symbolic_links_in_the_zip_are_left_out(path: Path) -> None:
    write_epub(path, {"1.xhtml": ONE}, opf=package(["1.xhtml", "2.xhtml"]))
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo("OPS/2.xhtml")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    document = read_epub(path)
    assert texts(document) == TEXTS[:2]
    assert "links, or with unsafe names" in document.remarks[0]


def test_a_zip_bomb_is_refused(path: Path) -> None:
    assert "a zip bomb" in refusal(write_epub(path, {"1.xhtml": b" " * 30_000_000}))


def test_a_file_above_the_bound_is_refused_by_its_declared_size(path: Path) -> None:
    write_epub(path, BOTH)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02"))
    while whole[at + 46 : at + 57] != b"OPS/1.xhtml":
        at = whole.index(b"PK\x01\x02", at + 1)
    whole[at + 24 : at + 28] = struct.pack("<L", 100_000_000)
    path.write_bytes(whole)
    assert "has 100,000,000 bytes; at most" in refusal(path)


def test_a_file_that_holds_more_than_it_declares_is_refused(path: Path) -> None:
    write_epub(path, BOTH)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02")
    while whole[at + 46 : at + 57] != b"OPS/1.xhtml":
        at = whole.index(b"PK\x01\x02", at + 1)
    whole[at + 24 : at + 28] = struct.pack("<L", 100)
    path.write_bytes(whole)
    assert "is damaged" in refusal(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    write_epub(path, BOTH)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert refusal(path) == "the file is damaged or incomplete; download or copy it again"


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"<html></html>", b"\0" * 100])
def test_what_is_no_zip_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refusal(path) == "not an EPUB: it is no zip file"


def test_a_damaged_text_is_refused(path: Path) -> None:
    write_epub(path, BOTH)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"OPS/2.xhtml") + 30
    whole[at : at + 20] = b"\xff" * 20
    path.write_bytes(whole)
    assert refusal(path).startswith("'OPS/2.xhtml' is damaged")


def test_a_text_with_a_password_is_refused(path: Path) -> None:
    write_epub(path, BOTH)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02")
    while at >= 0:
        whole[at + 8] |= 1
        at = whole.find(b"PK\x01\x02", at + 1)
    path.write_bytes(whole)
    assert "is encrypted with a password" in refusal(path)


def test_other_compressions_than_those_of_epub_are_refused(path: Path) -> None:
    write_epub(path, {"1.xhtml": ONE}, opf=package(["1.xhtml", "2.xhtml"]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("OPS/2.xhtml", TWO, zipfile.ZIP_LZMA)
    assert "is compressed in a way that EPUB does not allow" in refusal(path)


def test_the_last_of_two_equal_entries_is_read(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_epub(path, {"1.xhtml": ONE})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("OPS/1.xhtml", xhtml("<p>Later.</p>"))
    document = read_epub(path)
    assert texts(document) == ["Later."]
    assert document.remarks == ("1 entry is in the zip file twice; the last one is read: 'OPS/1.xhtml'",)


def test_a_directory_that_declares_millions_of_entries_is_refused(path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 9 * 2**20, 0, 0)
    path.write_bytes(b"PK" + b"\0" * 9 * 2**20 + end)
    assert refusal(path) == "the zip file has too many entries for a book"


@pytest.mark.slow
def test_ten_thousand_files_are_read(path: Path) -> None:
    document = read_epub(write_epub(path, {f"{n}.xhtml": xhtml(f"<p>Text {n}.</p>") for n in range(10_000)}))
    assert texts(document) == [f"Text {n}." for n in range(10_000)]


@pytest.mark.soak
def test_fifty_megabytes_in_one_file_are_read(path: Path) -> None:
    paragraphs = "".join(
        f"<p>{n} {hash((n, 1)) * 7919} {'It was a dark and stormy night. ' * 15}</p>" for n in range(98_000)
    )
    document = read_epub(write_epub(path, {"1.xhtml": xhtml(paragraphs)}))
    assert len(document.blocks) == 98_000
    assert sum(document.sizes.values()) > 50_000_000


def test_more_paragraphs_than_are_read_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.importing.xhtml_reader._MOST_BLOCKS", 300)
    body = "<p>It was a dark and stormy night.</p>" * 300
    assert len(read_epub(write_epub(path, {"1.xhtml": xhtml(body)})).blocks) == 300
    with pytest.raises(UsageError, match="the file has more than 300 paragraphs"):
        read_epub(write_epub(path, {"1.xhtml": xhtml(f"{body}<p>Dawn.</p>")}))


@pytest.mark.soak  # in CI, the test above has a lower bound
def test_more_text_than_any_book_is_refused(path: Path) -> None:
    body = "".join(f"<p>{n * 7919 % 1_000_003:07}</p>" for n in range(201_000))
    with pytest.raises(UsageError, match="the file has more than 200,000 paragraphs"):
        read_epub(write_epub(path, {"1.xhtml": xhtml(body)}))


# Packages


def test_without_a_container_the_package_is_searched(path: Path) -> None:
    write_zip(path, {"book.opf": package(["1.xhtml"]), "1.xhtml": ONE})
    document = read_epub(path)
    assert texts(document) == TEXTS[:2]
    assert document.remarks == ("META-INF/container.xml names no package document; 'book.opf' is read",)


def test_a_zip_file_without_a_package_is_refused(path: Path) -> None:
    assert refusal(write_zip(path, {"a.txt": "a"})) == "not an EPUB: the zip file has no package document"


def test_of_two_packages_the_first_is_read(path: Path) -> None:
    more = {
        "META-INF/container.xml": epubs.container("OPS/book.opf", "OPS/other.opf"),
        "OPS/other.opf": package(["2.xhtml"]),
    }
    document = read_epub(write_epub(path, BOTH, opf=package(["1.xhtml"]), more=more))
    assert texts(document) == TEXTS[:2]
    assert document.remarks[0] == "the book has 2 package documents; 'OPS/book.opf', the first, is read"
    assert document.remarks[1] == "1 text is not in the spine and is not read: 'OPS/2.xhtml'"


OTHER_ORDER = "the contents are in another order than the text; chapters follow the text"


def test_the_spine_is_the_reading_order(path: Path) -> None:
    contents = nav(link("One", "1.xhtml"), link("Two", "2.xhtml"))
    opf = package(list(BOTH), spine=["2.xhtml", "1.xhtml"], items=epubs.NAV_ITEM)
    document = read_epub(write_epub(path, BOTH, opf=opf, contents=contents))
    assert texts(document) == TEXTS[2:] + TEXTS[:2]
    assert [entry.title for entry in document.contents] == ["One", "Two"]
    assert document.remarks == ()
    assert make_chapters(document)[1] == [OTHER_ORDER]


def test_contents_in_another_order_within_a_file_are_remarked(path: Path) -> None:
    contents = nav(link("End", "2.xhtml#b"), link("Begin", "2.xhtml"))
    assert make_chapters(read_epub(write_epub(path, BOTH, contents=contents)))[1] == [OTHER_ORDER]


def test_missing_files_and_unknown_entries_of_the_spine_are_remarked(path: Path) -> None:
    opf = package(["1.xhtml", "gone.xhtml", "2.xhtml"], refs='<itemref idref="what"/><itemref idref="1.xhtml"/>')
    document = read_epub(write_epub(path, BOTH, opf=opf))
    assert texts(document) == TEXTS
    assert document.remarks == (
        "1 entry of the spine is not in the manifest: 'what'",
        "1 file of the spine is missing in the zip file: 'gone.xhtml'",
        "1 file stands in the spine twice and is read once: 'OPS/1.xhtml'",
    )


def test_non_linear_files_stay_at_their_place_with_a_role(path: Path) -> None:
    opf = package(list(BOTH), spine=[], refs='<itemref idref="1.xhtml" linear="no"/><itemref idref="2.xhtml"/>')
    document = read_epub(write_epub(path, BOTH, opf=opf))
    assert texts(document) == TEXTS
    assert ["non-linear" in block.roles for block in document.blocks] == [True, True, False, False]
    assert document.remarks == ("1 file of the spine is marked non-linear: 'OPS/1.xhtml'",)


def test_without_a_spine_the_manifest_is_the_order(path: Path) -> None:
    document = read_epub(write_epub(path, BOTH, opf=package(list(BOTH), spine=[])))
    assert texts(document) == TEXTS
    assert "no spine" in document.remarks[0]


def test_percent_signs_case_and_unicode_forms_of_paths_do_not_matter(path: Path) -> None:
    chapters = {"Kapitel 1.xhtml": ONE, "Cafe\u0301.xhtml": TWO, "100%25.xhtml": ONE}
    opf = package(["Kapitel%201.xhtml", "caf%C3%A9.xhtml", "./x/../100%25.xhtml"])
    contents = nav(link("A", "./Kapitel%201.xhtml"), link("B", "../OPS/Caf%C3%A9.xhtml#b"))
    opf = opf.replace("</manifest>", f"{epubs.NAV_ITEM}</manifest>")
    document = read_epub(write_epub(path, chapters, opf=opf, contents=contents))
    assert texts(document) == [*TEXTS, *TEXTS[:2]]
    assert [(entry.file, entry.anchor) for entry in document.contents] == [
        ("OPS/Kapitel 1.xhtml", ""),
        ("OPS/Cafe\u0301.xhtml", "b"),
    ]


def test_a_package_that_is_not_well_formed_is_read(path: Path) -> None:
    opf = package(list(BOTH)).replace("</metadata>", "<meta name='x' content='a & b'></metadata>")
    assert texts(read_epub(write_epub(path, BOTH, opf=opf))) == TEXTS


def test_an_image_with_a_text_as_its_fallback_is_that_text(path: Path) -> None:
    items = '<item id="i" href="i.jpg" media-type="image/jpeg" fallback="1.xhtml"/>'
    opf = package(list(BOTH), spine=["i", "2.xhtml"], items=items)
    assert texts(read_epub(write_epub(path, BOTH, opf=opf, more={"OPS/i.jpg": b"x"}))) == TEXTS


# Texts


def test_dtbook_is_read(path: Path) -> None:
    book = "<dtbook><book><bodymatter><level1><h1>One</h1><p>Text.</p></level1></bodymatter></book></dtbook>"
    opf = package([], spine=["d"], items='<item id="d" href="d.xml" media-type="application/x-dtbook+xml"/>')
    assert texts(read_epub(write_epub(path, {}, opf=opf, more={"OPS/d.xml": book}))) == ["One", "Text."]


def test_wrong_encodings_and_undefined_entities_are_remarked(path: Path) -> None:
    chapters: dict[str, str | bytes] = {
        "1.xhtml": xhtml("<p>“Café”</p>").encode("cp1252"),
        "2.xhtml": xhtml("<p>é</p>").replace("utf-8", "utf-16").encode("utf-16"),
        "3.xhtml": xhtml("<p>&nosuch;&eacute;</p>"),
    }
    document = read_epub(write_epub(path, chapters))
    assert texts(document) == ["“Café”", "é", "&nosuch;é"]
    assert [remark.split(" has ")[0] for remark in document.remarks] == ["OPS/1.xhtml", "OPS/3.xhtml"]


def test_vertical_japanese_with_ruby_keeps_its_base(path: Path) -> None:
    opf = package(["1.xhtml"]).replace("<spine ", '<spine page-progression-direction="rtl" ')
    document = read_epub(write_epub(path, {"1.xhtml": xhtml("<p><ruby>雪<rt>ゆき</rt></ruby>国</p>")}, opf=opf))
    assert texts(document) == ["雪国"]
    assert document.blocks[0].omitted == {"ruby": 2}


@pytest.mark.parametrize(
    ("chapters", "reason"),
    [
        ({"1.xhtml": xhtml('<img src="a.jpg" alt="Page 1"/>')}, "the book has images only (scans?) and no text"),
        ({"1.xhtml": xhtml("<p>&#160;</p>")}, "the book has no text"),
        ({"1.xhtml": b""}, "the book has no text"),
    ],
)
def test_a_book_without_text_is_refused(path: Path, chapters: dict[str, str | bytes], reason: str) -> None:
    assert refusal(write_epub(path, chapters)).startswith(reason)


def test_a_spine_of_bitmaps_is_refused(path: Path) -> None:
    items = "".join(f'<item id="{n}" href="{n}.jpg" media-type="image/jpeg"/>' for n in "ab")
    pages: dict[str, str | bytes] = {"OPS/a.jpg": b"x", "OPS/b.jpg": b"x"}
    assert "images only" in refusal(write_epub(path, {}, opf=package([], spine=["a", "b"], items=items), more=pages))


# DRM


@pytest.mark.parametrize(
    ("file", "scheme"),
    [
        ("META-INF/rights.xml", "Adobe or Kobo DRM"),
        ("META-INF/sinf.xml", "Apple FairPlay"),
        ("META-INF/license.lcpl", "Readium LCP"),
        ("x", "DRM"),
    ],
)
def test_encrypted_texts_are_refused_with_the_name_of_the_scheme(path: Path, file: str, scheme: str) -> None:
    more = {"META-INF/encryption.xml": LOCKED.format(AES, "OPS/2.xhtml"), file: "<x/>"}
    assert refusal(write_epub(path, BOTH, more=more)).startswith(f"the text is encrypted ({scheme})")


def test_obfuscated_fonts_are_no_drm(path: Path) -> None:
    more: dict[str, str | bytes] = {
        "META-INF/encryption.xml": LOCKED.format(OBFUSCATED, "OPS/f.otf"),
        "OPS/f.otf": b"x",
    }
    assert texts(read_epub(write_epub(path, BOTH, more=more))) == TEXTS


def test_rights_without_encryption_are_no_drm(path: Path) -> None:
    assert texts(read_epub(write_epub(path, BOTH, more={"META-INF/rights.xml": "<rights/>"}))) == TEXTS


# Covers


@pytest.mark.parametrize(
    "opf",
    [
        package(["1.xhtml"], items='<item id="i" href="i.png" media-type="image/png" properties="cover-image"/>'),
        package(
            ["1.xhtml"],
            items='<item id="i" href="i.png" media-type="image/png"/>',
            metadata='<meta name="cover" content="i"/>',
        ),
        package(["1.xhtml"]).replace("</package>", '<guide><reference type="cover" href="c.xhtml"/></guide></package>'),
    ],
)
def test_the_cover_is_found(path: Path, opf: str) -> None:
    more: dict[str, str | bytes] = {"OPS/i.png": PNG, "OPS/c.xhtml": xhtml('<img src="i.png"/>')}
    cover = read_epub(write_epub(path, {"1.xhtml": ONE}, opf=opf, more=more)).cover
    assert cover is not None
    assert (cover.content, cover.suffix) == (PNG, ".png")


def test_a_cover_that_is_no_bitmap_is_remarked(path: Path) -> None:
    items = '<item id="i" href="i.jpg" media-type="image/jpeg" properties="cover-image"/>'
    opf = package(["1.xhtml"], items=items)
    document = read_epub(write_epub(path, {"1.xhtml": ONE}, opf=opf, more={"OPS/i.jpg": "<svg/>"}))
    assert document.cover is None
    assert document.remarks == ("the cover 'OPS/i.jpg' is neither JPEG nor PNG and is left out",)


# Contents


def test_nested_contents_have_levels_and_parts_without_a_page(path: Path) -> None:
    inner = f"<ol>{link('One', '1.xhtml')}{link('Two', '2.xhtml#b')}</ol>"
    document = read_epub(write_epub(path, BOTH, contents=nav(f"<li><span>Part <b>I</b></span>{inner}</li>")))
    assert document.contents == (
        ContentsEntry("Part I", 1, ""),
        ContentsEntry("One", 2, "OPS/1.xhtml"),
        ContentsEntry("Two", 2, "OPS/2.xhtml", "b"),
    )
    assert document.remarks == ()


def test_the_navigation_document_goes_before_the_ncx(path: Path) -> None:
    contents, toc = nav(link("Nav", "1.xhtml")), ncx(("NCX", "1.xhtml"))
    assert [e.title for e in read_epub(write_epub(path, BOTH, contents=contents, toc=toc)).contents] == ["Nav"]
    document = read_epub(write_epub(path, BOTH, contents=nav(), toc=toc))
    assert [entry.title for entry in document.contents] == ["NCX"]
    assert document.remarks == ("the table of contents 'OPS/nav.xhtml' is empty",)


def test_an_ncx_with_fragments_is_read_in_the_order_of_its_file(path: Path) -> None:
    toc = ncx(("One", "1.xhtml#a"), ("Two", "2.xhtml"), ("Last", "2.xhtml#b")).replace('playOrder="1"', 'playOrder="9"')
    document = read_epub(write_epub(path, BOTH, toc=toc))
    assert [(entry.title, entry.anchor) for entry in document.contents] == [("One", "a"), ("Two", ""), ("Last", "b")]
    assert document.remarks == ()


def test_links_to_nowhere_are_remarked(path: Path) -> None:
    contents = nav(link("Gone", "gone.xhtml"), link("Web", "http://a.org/1.xhtml"), link("Id", "1.xhtml#gone"))
    document = read_epub(write_epub(path, BOTH, contents=contents))
    assert document.contents == (
        ContentsEntry("Gone", 1, ""),
        ContentsEntry("Web", 1, ""),
        ContentsEntry("Id", 1, "OPS/1.xhtml"),
    )
    assert document.remarks == (
        "2 contents entries point to no file of the spine: 'Gone', 'Web'",
        "1 contents entry leads to a missing id; the file's beginning is taken: 'OPS/1.xhtml#gone'",
    )


def test_a_damaged_table_of_contents_is_remarked(path: Path) -> None:
    document = read_epub(write_epub(path, BOTH, contents=xhtml("<div>" * 5000)))
    assert (texts(document), document.contents) == (TEXTS, ())
    assert document.remarks[0].startswith("the table of contents cannot be read: ")


def test_a_book_without_contents_has_none(path: Path) -> None:
    document = read_epub(write_epub(path, BOTH))
    assert (document.contents, document.remarks) == ((), ())
