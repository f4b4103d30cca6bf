"""The EPUB of a book speaks all of it, says every word of its source, and follows every change."""

import posixpath
import shutil
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mutagen
import pytest
import yaml
from lxml import etree

from maya_batch.audio.chapter_file import read_comment
from maya_batch.book.leftovers import left_over
from maya_batch.book.overview import describe
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.scope import Scope
from tests.support.epubcheck import mistakes, needs_java
from tests.support.epubs import container, link, nav, write_zip, xhtml
from tests.support.fakes import Events, FakeEngine, TinyBook

TEXT = {
    "One & <two>": ["The night was dark. Who goes there? <sigh>", "* * *", "No _man_ & none."],
    "Two": ["The rain was gone."],
}
EPUB = {"formats": ["mp3", "epub3"]}
OPF, SMIL, XHTML = (
    "{http://www.idpf.org/2007/opf}",
    "{http://www.w3.org/ns/SMIL}",
    "{http://www.w3.org/1999/xhtml}",
)


def render(tiny: TinyBook, **more: Any) -> list[str]:
    return [path.name for path in render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders, **more).files]


def assemble(tiny: TinyBook, **more: Any) -> list[str]:
    return [path.name for path in assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders, **more).files]


def state(tiny: TinyBook) -> BookState:
    return book_state(tiny.plan(), Machine())


class Epub:
    """An EPUB as a reading system sees it."""

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path)
        container = etree.fromstring(self.zip.read("META-INF/container.xml"))
        self.name = next(container.iter("{*}rootfile")).get("full-path") or ""
        self.package = etree.fromstring(self.zip.read(self.name))
        self.items = {item.get("id"): item for item in self.package.iter(f"{OPF}item")}

    def path(self, href: str, base: str = "") -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(base or self.name), unquote(href)))

    def meta(self, name: str) -> dict[str | None, str | None]:
        return {
            meta.get("refines"): meta.text for meta in self.package.iter(f"{OPF}meta") if meta.get("property") == name
        }

    def spine(self) -> list[str]:
        return [self.path(self.items[ref.get("idref")].get("href") or "") for ref in self.package.iter(f"{OPF}itemref")]

    def page(self, name: str) -> etree._Element:
        return etree.fromstring(self.zip.read(name))

    def text(self, name: str) -> str:
        return "".join(next(self.page(name).iter(f"{XHTML}body")).itertext())

    def overlays(self) -> dict[str, list[tuple[str, str, float, float]]]:
        """By page, for each part of its overlay the text of the element, the sound file, start and end."""
        found = {}
        for item in self.items.values():
            if item.get("media-overlay"):
                name = self.path(self.items[item.get("media-overlay")].get("href") or "")
                page = self.path(item.get("href") or "")
                elements = {e.get("id"): "".join(e.itertext()) for e in self.page(page).iter("{*}*") if e.get("id")}
                parts = []
                for par in self.page(name).iter(f"{SMIL}par"):
                    link, anchor = (par[0].get("src") or "").split("#")
                    assert self.path(link, name) == page
                    begin, end = (float((par[1].get(key) or "").removesuffix("s")) for key in ("clipBegin", "clipEnd"))
                    parts.append((elements[anchor], self.path(par[1].get("src") or "", name), begin, end))
                found[page] = parts
        return found


def seconds(clock: str | None) -> float:
    hours, minutes, rest = (clock or "").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def check_durations(epub: Epub, tmp_path: Path) -> None:
    """The parts of each sound file follow each other without a gap, and are as long as it is, as the package says."""
    sounds: dict[str, list[tuple[float, float]]] = {}
    for parts in epub.overlays().values():
        for _, sound, begin, end in parts:
            sounds.setdefault(sound, []).append((begin, end))
    for name, spans in sounds.items():
        assert spans[0][0] == 0
        assert all(before[1] == after[0] for before, after in pairwise(spans))
        (path := tmp_path / Path(name).name).write_bytes(epub.zip.read(name))
        assert spans[-1][1] == pytest.approx(mutagen.File(path).info.length, abs=0.1)
    told = {refines: seconds(clock) for refines, clock in epub.meta("media:duration").items()}
    assert told.pop(None) == pytest.approx(sum(told.values()), abs=0.001)
    assert sum(told.values()) == pytest.approx(sum(spans[-1][1] for spans in sounds.values()), abs=0.001)


def test_a_plain_book_has_an_epub_of_its_texts(tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path) -> None:
    tiny.write(TEXT, output=EPUB, title="A Book: “of” Words", author="Zoë", narrator="A voice")
    assert render(tiny) == ["01-one-two.mp3", "02-two.mp3", "A Book “of” Words.epub"]
    epub = Epub(tiny.output / "A Book “of” Words.epub")
    assert [epub.text(name) for name in epub.spine()] == [
        "One & <two>The night was dark. Who goes there?No man & none.",
        "TwoThe rain was gone.",
    ]
    first = epub.zip.infolist()[0]
    assert (first.filename, first.compress_type, first.extra) == ("mimetype", zipfile.ZIP_STORED, b"")
    texts = [[text for text, *_ in parts] for parts in epub.overlays().values()]
    assert texts == [["The night was dark.", "Who goes there?", "No man & none."], ["The rain was gone."]]
    check_durations(epub, tmp_path)
    assert epub.meta("media:narrator") == {None: "A voice"}
    assert epub.meta("media:active-class") == {None: "-epub-media-overlay-active"}
    assert b".-epub-media-overlay-active" in epub.zip.read("EPUB/style.css")
    assert (render(tiny), assemble(tiny)) == ([], [])


@pytest.mark.slow
@needs_java
def test_epubcheck_finds_nothing_in_it(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    from tests.audio.test_m4b import png

    (tiny.folder / "cover.png").write_bytes(png(8))
    chapters: list[dict[str, object]] = [
        {"title": "Preface", "text": "Not [spoken](x) at \x07all.\n\n* * *\n\n<b>No.</b>", "skip": "preface"},
        {"title": "One", "part": "Part A", "text": "## A heading\n\nThe night was dark.\n\nWho goes there?"},
        {"title": "Two", "part": "Part A", "subtitle": "Or more", "text": "No man.\n\n***\n\nSo it was."},
        {"title": "Three", "part": "Part B", "text": "It was late."},
    ]
    tiny.write(
        {}, chapters=chapters, output={"formats": ["wav", "epub3"]}, announce=True, cover="cover.png",
        isbn="9783161484100", subtitle="Sub", series={"name": "Saga", "number": 2}, date="2024-05-01",
        description="A tale.", publisher="P",
        credits=True, author="Zoë", narrator="A voice", language="en-GB",
    )  # fmt: skip
    assert render(tiny)[-1] == "Tiny.epub"
    assert mistakes(tiny.output / "Tiny.epub") == []
    epub = Epub(tiny.output / "Tiny.epub")
    assert any("Not [spoken](x) at all." in epub.text(name) for name in epub.spine())
    assert {Path(name).suffix for name in epub.zip.namelist() if "audio" in name} == {".m4a"}
    assert not list(tiny.output.glob("*.m4a"))


def test_it_waits_for_all_chapters_and_follows_each_change(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=EPUB)
    path = tiny.output / "Tiny.epub"
    assert render(tiny, scope=Scope(frozenset({1}))) == ["01-one-two.mp3"]
    assert describe(state(tiny), Machine(), takes=True).book_files == {str(path): "waiting"}
    assert render(tiny) == ["02-two.mp3", "Tiny.epub"]
    first, comment = path.read_bytes(), read_comment(path)
    path.unlink()
    assert describe(state(tiny), Machine(), takes=True).book_files == {str(path): "missing"}
    (tiny.output / ".maya" / "sound.json").unlink()
    assert (assemble(tiny), path.read_bytes()) == (["Tiny.epub"], first)
    fake_engine.batches.clear()
    tiny.write(TEXT, output=EPUB, subtitle="A tale")
    assert describe(state(tiny), Machine(), takes=True).book_files == {str(path): "outdated"}
    assert "Tiny.epub" in assemble(tiny)
    assert (fake_engine.batches, read_comment(path) != comment) == ([], True)
    tiny.write(TEXT, output={"formats": ["mp3"]})
    assert [each.name for each in left_over(state(tiny)).files] == ["Tiny.epub"]


def test_a_file_of_a_person_in_its_place_is_refused(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    from maya_batch.errors import UsageError

    tiny.write(TEXT, output={"formats": ["mp3"]})
    render(tiny)
    (tiny.output / "Tiny.epub").write_bytes(b"PK\3\4 mine")
    tiny.write(TEXT, output=EPUB)
    with pytest.raises(UsageError, match=r"Tiny.epub was not written by maya-batch"):
        assemble(tiny)


PACKAGE = """\
<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/" version="{version}"
 unique-identifier="id"><metadata><dc:identifier id="id">urn:isbn:9783161484100</dc:identifier>
<dc:title>A Tale</dc:title>
<dc:language>en</dc:language><meta property="dcterms:modified">2020-01-01T00:00:00Z</meta></metadata><manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="css" href="own.css" media-type="text/css"/></manifest>
<spine><itemref idref="one"/><itemref idref="two"/></spine></package>
"""
HEAD = '<title>A Tale</title><link rel="stylesheet" type="text/css" href="../own.css"/>'
ONE = xhtml(
    '<section id="s"><h2>The Night</h2><p id="spoken-1">The <i>night was dark. Who</i> goes there?<a href="#n">1</a>'
    "</p>"
    '<p>No man, he said; “<b>no</b> man at all.” So it was.</p><hr/><div class="verse"><p>So much depends</p>'
    '<p>upon a barrow.</p></div><aside epub:type="footnote" id="n"><p>1. A note.</p></aside></section>',
    HEAD,
)
TWO = xhtml('<section id="t"><h2>II</h2><p>The rain was gone.</p><p>It was late.</p></section>', HEAD)


@pytest.fixture
def source(tmp_path: Path, tiny: TinyBook, cli: Callable[..., Any]) -> Path:
    """An EPUB, which is imported into the folder of the tiny book."""
    return import_into(tiny, write_source(tmp_path / "tale.epub", ONE), cli)


def write_source(path: Path, one: str) -> Path:
    return write_zip(
        path,
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container("OPS/book.opf"),
            "OPS/book.opf": PACKAGE.format(version="3.0"),
            "OPS/nav.xhtml": nav(link("The Night", "text/one.xhtml"), link("The Day", "text/two.xhtml")),
            "OPS/text/one.xhtml": one,
            "OPS/text/two.xhtml": TWO,
            "OPS/own.css": "p { margin: 0 }",
        },
    )


def import_into(tiny: TinyBook, path: Path, cli: Callable[..., Any]) -> Path:
    """Import a manuscript that lies next to the tiny book's folder into it."""
    folder = path.parent / "imported"
    assert cli("import", path, "-o", folder).code == 0
    for name in ("chapters", "import.json", "book.yaml"):
        shutil.move(folder / name, tiny.folder / name)
    book = yaml.safe_load((tiny.folder / "book.yaml").read_text(encoding="utf-8"))
    chapters, announce = book["chapters"], book.get("announce", False)
    tiny.write({}, title="A Tale", chapters=chapters, output=EPUB, announce=announce, narrator="A voice")
    return path


def test_an_imported_book_keeps_its_pages(
    tiny: TinyBook, source: Path, fake_engine: FakeEngine, tmp_path: Path
) -> None:
    assert render(tiny)[-1] == "A Tale.epub"
    before, after = Epub(source), Epub(tiny.output / "A Tale.epub")
    assert after.spine() == before.spine()
    assert [after.text(name) for name in after.spine()] == [before.text(name) for name in before.spine()]
    assert after.zip.read("OPS/own.css") == before.zip.read("OPS/own.css")
    assert {page: [text for text, *_ in parts] for page, parts in after.overlays().items()} == {
        "OPS/text/one.xhtml": [
            *(
                "The Night",
                "The night was dark.",
                "Who goes there?1",
                "No man, he said; “no man at all.”",
                "So it was.",
            ),
            *("So much depends", "upon a barrow."),
        ],
        "OPS/text/two.xhtml": ["II", "The rain was gone.", "It was late."],
    }
    check_durations(after, tmp_path)
    head = after.page("OPS/text/one.xhtml")[0]
    assert [item.get("href") for item in head.iter(f"{XHTML}link")] == ["../own.css", "../read-along/style.css"]
    assert (render(tiny), assemble(tiny)) == ([], [])


@pytest.mark.slow
@needs_java
def test_epubcheck_finds_nothing_in_an_imported_book(tiny: TinyBook, source: Path, fake_engine: FakeEngine) -> None:
    render(tiny)
    assert mistakes(tiny.output / "A Tale.epub") == []


def test_what_a_person_changed_is_spoken_where_it_stood(
    tiny: TinyBook, source: Path, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    [path] = tiny.folder.glob("chapters/*night.txt")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("dark.", "very dark.\n\nThis was added.").replace("So it was.", ""), encoding="utf-8")
    render(tiny)
    found = Epub(tiny.output / "A Tale.epub")
    assert [text for text, *_ in found.overlays()["OPS/text/one.xhtml"]] == [
        *("The Night", "The night was dark.", "Who goes there?1", "No man, he said; “no man at all.”"),
        *("So much depends", "upon a barrow."),
    ]
    assert [found.text(name) for name in found.spine()] == [Epub(source).text(name) for name in found.spine()]


def test_without_its_source_it_is_made_of_its_texts(
    tiny: TinyBook, source: Path, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    kept = source.read_bytes()
    source.write_bytes(kept + b"changed")
    assert render(tiny)[-1] == "A Tale.epub"
    assert "tale.epub, which the book was imported from, is neither in" in caplog.text
    assert "EPUB/contents.xhtml" in Epub(tiny.output / "A Tale.epub").zip.namelist()
    source.write_bytes(kept)
    assert assemble(tiny) == ["A Tale.epub"]
    assert "OPS/nav.xhtml" in Epub(tiny.output / "A Tale.epub").zip.namelist()


def test_sentences_that_share_a_ruby_are_one_element(
    tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    night = (
        "<p>He said <ruby>yes. No<rt>x</rt></ruby> way was open.</p><p><ruby>It was. So it was<rt>x</rt></ruby>.</p>"
    )
    page = xhtml(f'<h2>The Night</h2><p id="n">The night was dark.</p>{night}<p>No man.</p>', HEAD)
    import_into(tiny, write_source(tmp_path / "tale.epub", page), cli)
    assert render(tiny)[-1] == "A Tale.epub"
    found = Epub(tiny.output / "A Tale.epub")
    assert [text for text, *_ in found.overlays()["OPS/text/one.xhtml"]] == [
        *("The Night", "The night was dark.", "He said yes. Nox way was open.", "It was. So it wasx.", "No man."),
    ]
    check_durations(found, tmp_path)


def test_a_page_that_two_chapters_speak_has_an_element_for_both(
    tiny: TinyBook, source: Path, fake_engine: FakeEngine, tmp_path: Path
) -> None:
    book = yaml.safe_load((tiny.folder / "book.yaml").read_text(encoding="utf-8"))
    again = {**book["chapters"][-1], "title": "Again"}
    tiny.write({}, title="A Tale", chapters=[*book["chapters"], again], output=EPUB)
    assert render(tiny)[-1] == "A Tale.epub"
    found = Epub(tiny.output / "A Tale.epub")
    spoken = [(text, Path(sound).stem) for text, sound, *_ in found.overlays()["OPS/text/two.xhtml"]]
    text = ["II", "The rain was gone.", "It was late."]
    assert spoken == [(each, f"chapter-{number}") for number in (2, 3) for each in text]
    check_durations(found, tmp_path)


@pytest.mark.parametrize(
    "record",
    ["{", "[]", '{"source": 1}', '{"source": {"name": "../x.epub", "sha256": "0", "format": "epub"}}', "[" * 100_000],
)
def test_a_damaged_record_of_an_import_is_none(record: str, tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=EPUB)
    (tiny.folder / "import.json").write_text(record, encoding="utf-8")
    assert render(tiny)[-1] == "Tiny.epub"
    assert "EPUB/contents.xhtml" in Epub(tiny.output / "Tiny.epub").zip.namelist()
