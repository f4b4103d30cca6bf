"""Where Audiobookshelf looks for a book: folders by author, series and title, the cover and metadata.opf."""

from pathlib import Path

import pytest
from lxml import etree

from maya_batch.book.leftovers import left_over
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.take_store import unlink_all
from maya_batch.errors import MachineError
from maya_batch.files.file_names import file_name
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.write_access import TakeOver
from tests.audio.test_m4b import png
from tests.support.fakes import Events, FakeEngine, TinyBook

TEXT = {"One": ["The night was dark."], "Two": ["The rain was gone."]}
LIBRARY = {"formats": ["m4b"], "layout": "audiobookshelf"}
BOOK = {"title": "A Tale: of <Two>", "author": "Zoë Ä.", "narrator": "A voice", "subtitle": "Or & more"}
MORE = BOOK | {"series": {"name": "Lamps", "number": 2.5}, "isbn": "9783161484100", "date": "1895-05"}


def assemble(tiny: TinyBook) -> list[str]:
    files = assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders).files
    return [path.relative_to(tiny.output).as_posix() for path in files]


def render(tiny: TinyBook) -> list[str]:
    files = render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders).files
    return [path.relative_to(tiny.output).as_posix() for path in files]


def test_the_book_its_cover_and_its_metadata_are_in_folders_of_author_series_and_title(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    (tiny.folder / "c.png").write_bytes(png(8))
    tiny.write(TEXT, output=LIBRARY, cover="c.png", **MORE)
    where = "Zoë Ä/Lamps/A Tale of Two"
    assert render(tiny) == [f"{where}/{name}" for name in ("A Tale of Two.m4b", "metadata.opf", "cover.png")]
    assert (tiny.output / where / "cover.png").read_bytes() == png(8)
    opf = etree.parse(tiny.output / where / "metadata.opf").getroot()
    assert (opf.prefix, etree.QName(opf).localname) == (None, "package")
    said = {
        (etree.QName(item).localname, *(str(value) for value in item.attrib.values())): item.text for item in opf[0]
    }
    assert said == {
        ("title",): "A Tale: of <Two>",
        ("subtitle",): "Or & more",
        ("creator", "aut"): "Zoë Ä.",
        ("creator", "nrt"): "A voice",
        ("date",): "1895-05",
        ("language",): "en",
        ("identifier", "ISBN"): "9783161484100",
        ("meta", "generator", "maya-batch"): None,
        ("meta", "calibre:series", "Lamps"): None,
        ("meta", "calibre:series_index", "2.5"): None,
    }
    assert (render(tiny), assemble(tiny)) == ([], [])


def test_another_layout_encodes_no_chapter_and_leaves_the_old_file_to_clean(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(TEXT, output={"formats": ["m4b"]}, **BOOK)
    assert render(tiny) == ["A Tale of Two.m4b"]
    streams = {path: path.stat().st_mtime_ns for path in (tiny.output / ".maya" / "m4b").iterdir()}
    fake_engine.batches.clear()
    tiny.write(TEXT, output=LIBRARY, **BOOK)
    assert assemble(tiny) == ["Zoë Ä/A Tale of Two/A Tale of Two.m4b", "Zoë Ä/A Tale of Two/metadata.opf"]
    assert {path: path.stat().st_mtime_ns for path in streams} == streams
    assert fake_engine.batches == []
    assert left_over(book_state(tiny.plan(), Machine())).files == [tiny.output / "A Tale of Two.m4b"]


def test_changed_details_change_metadata_and_tags_alone(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT, output=LIBRARY, **BOOK)
    render(tiny)
    tiny.write(TEXT, output=LIBRARY, **BOOK | {"narrator": "Another"})
    assert [Path(name).name for name in assemble(tiny)] == ["A Tale of Two.m4b", "metadata.opf"]
    opf = tiny.output / "Zoë Ä" / "A Tale of Two" / "metadata.opf"
    assert "Another" in opf.read_text(encoding="utf-8")
    opf.write_text("<mine/>")
    assert [Path(name).name for name in assemble(tiny)] == ["metadata.opf"]
    [aside] = opf.parent.glob("metadata.opf.aside-*")
    assert aside.read_text() == "<mine/>"


def test_a_new_cover_replaces_the_old_one_and_keeps_what_a_person_put_there(
    tiny: TinyBook, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    (tiny.folder / "c.png").write_bytes(png(8))
    tiny.write(TEXT, output=LIBRARY, cover="c.png", **BOOK)
    render(tiny)
    cover = tiny.output / "Zoë Ä" / "A Tale of Two" / "cover.png"
    (tiny.folder / "c.png").write_bytes(png(9))
    assert "cover.png" in [Path(name).name for name in assemble(tiny)]
    assert cover.read_bytes() == png(9)
    assert not list(cover.parent.glob("cover.png.aside-*"))
    assert "was changed" not in caplog.text
    cover.write_bytes(b"mine")
    assemble(tiny)
    [aside] = cover.parent.glob("cover.png.aside-*")
    assert (aside.read_bytes(), cover.read_bytes()) == (b"mine", png(9))


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another Title"},
        {"series": {"name": "Lamps"}},
        {"author": "Somebody Else"},
        {"output": {"formats": ["mp3", "srt"]}},
    ],
    ids=lambda change: str(*change),
)
def test_after_a_move_the_old_folder_is_left_to_clean(
    change: dict[str, object], tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    (tiny.folder / "c.png").write_bytes(png(8))
    book = {"output": {"formats": ["mp3", "srt"], "layout": "audiobookshelf"}, "cover": "c.png", **BOOK}
    tiny.write(TEXT, **book)
    render(tiny)
    old = tiny.output / "Zoë Ä" / "A Tale of Two"
    ours = set(old.iterdir())
    assert {path.name for path in ours} >= {"01-one.mp3", "01-one.srt", "cover.png", "metadata.opf"}
    (old / "notes.txt").write_text("mine")
    (old / ".02-two.mp3.part").write_bytes(b"of a killed run")
    tiny.write(TEXT, **book | change)
    assemble(tiny)
    left = left_over(book_state(tiny.plan(), Machine())).files
    assert set(left) == {*ours, old / ".02-two.mp3.part"}
    unlink_all(left)
    assert [path.name for path in old.iterdir()] == ["notes.txt"]
    assert left_over(book_state(tiny.plan(), Machine())).files == []
    assert render(tiny) == []


@pytest.mark.parametrize(("layout", "warns"), [("audiobookshelf", True), ("flat", False)])
def test_who_renders_is_told_of_a_second_copy_in_the_library(
    layout: str, warns: bool, tiny: TinyBook, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write(TEXT, output={"formats": ["mp3"], "layout": layout}, **BOOK)
    render(tiny)
    tiny.write(TEXT, output={"formats": ["flac"], "layout": layout}, **BOOK)
    assert "a library shows" not in caplog.text
    render(tiny)
    assert ("a library shows 2 audio files of earlier forms of this book, too" in caplog.text) == warns
    caplog.clear()
    render(tiny)
    assert "a library shows" not in caplog.text


def test_a_cover_of_another_kind_leaves_the_old_one_to_clean_unless_a_person_changed_it(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    (tiny.folder / "c.png").write_bytes(png(8))
    tiny.write(TEXT, output=LIBRARY, cover="c.png", **BOOK)
    render(tiny)
    tiny.write(TEXT, output=LIBRARY, **BOOK)
    assemble(tiny)
    cover = tiny.output / "Zoë Ä" / "A Tale of Two" / "cover.png"
    assert left_over(book_state(tiny.plan(), Machine())).files == [cover]
    cover.write_bytes(b"mine")
    assert left_over(book_state(tiny.plan(), Machine())).files == []


@pytest.mark.parametrize("layout", ["audiobookshelf", "flat"])
def test_the_files_of_a_book_whose_folder_was_taken_over_stay(
    layout: str, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    output = LIBRARY | {"folder": "audio", "layout": layout}
    tiny.write(TEXT, output=output, **BOOK)
    first = tiny.plan()
    render_book(first, Machine(), Events(), loaders=tiny.loaders)
    tiny.path.rename(tiny.folder / "first.yaml")
    tiny.write({"One": ["No."]}, output=output, title="Another")
    second = tiny.plan()
    render_book(second, Machine(), Events(), loaders=tiny.loaders, take_over=TakeOver(adopt=True))
    state = book_state(second, Machine())
    assert left_over(state).files == []
    assert left_over(state, [book_state(first, Machine(), state.folder)]).files == []
    assert "A Tale of Two.m4b" in {path.name for path in left_over(state, []).files}


def test_a_link_in_the_place_of_a_folder_is_an_error(tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path) -> None:
    tiny.write(TEXT, output={"formats": ["mp3"], "layout": "audiobookshelf"}, **BOOK)
    tiny.output.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tiny.output / "Zoë Ä").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match="is a link"):
        render(tiny)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("A/B\\C: D?", "A B C D"),
        ("...", "otherwise"),
        ("..", "otherwise"),
        (".hidden", "hidden"),
        ("CON", "otherwise"),
        ("nul.txt", "otherwise"),
        ("Ends. ", "Ends"),
        ("a\u202eb", "a b"),
        ("日本語", "日本語"),
        ("é" * 200, "é" * 75),
    ],
)
def test_a_title_becomes_a_name_that_all_file_systems_take(title: str, name: str) -> None:
    assert file_name(title, "otherwise") == name
