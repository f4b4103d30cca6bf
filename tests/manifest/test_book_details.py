"""What a manifest says about chapters and the book besides the text: parts, skipped chapters, metadata, the cover."""

from pathlib import Path

import pytest

from maya_batch.manifest import SkippedChapter
from maya_batch.manifest.cover import LARGEST_COVER
from maya_batch.manifest.metadata import is_date, is_isbn
from tests.manifest.test_manifest import BOOK, HEAD, folder, only, sound

__all__ = ["folder"]

JPEG, PNG = b"\xff\xd8\xff\xe0 a picture", b"\x89PNG\r\n\x1a\n a picture"

FULL = (
    HEAD
    + """\
announce: yes
subtitle: A Story
series: {name: The Lamps, number: 2.5}
narrator: Maya
publisher: Nobody
date: 1895-05
isbn: 978-3-16-148410-0
description: |
  One paragraph.

  Another one.
chapters:
  - {title: Imprint, text: "<!>", skip: front matter, part: Front}
  - {title: One, part: Part One, subtitle: In Which, text: One.}
  - {title: One, announce: "No! <sigh>", skip: no, text: Two.}
  - {title: "?", announce: False, text: Three.}
  - {title: End, text: "", skip: true}
"""
)


@pytest.mark.usefixtures("folder")
def test_all_keys_of_a_published_book() -> None:
    manuscript = sound(FULL)
    book = manuscript.book
    assert (book.subtitle, book.narrator, book.publisher, book.date) == ("A Story", "Maya", "Nobody", "1895-05")
    assert book.series is not None
    assert (book.series.name, book.series.number) == ("The Lamps", 2.5)
    assert (book.isbn, book.description) == ("9783161484100", "One paragraph.\n\nAnother one.")
    told = [(chapter.number, chapter.part, chapter.subtitle, chapter.announce) for chapter in manuscript.chapters]
    assert told == [(2, "Part One", "In Which", True), (3, "", "", "No! <sigh>"), (4, "", "", False)]
    assert manuscript.skipped == (
        SkippedChapter(1, "Imprint", "Front", "front matter", 3),
        SkippedChapter(5, "End", "", "", 0),
    )


@pytest.mark.usefixtures("folder")
def test_by_default_nothing_is_announced_or_skipped() -> None:
    manuscript = sound(BOOK + "series: The Lamps\n")
    assert [chapter.announce for chapter in manuscript.chapters] == [False]
    assert (manuscript.skipped, manuscript.cover) == ((), None)
    assert manuscript.book.series is not None
    assert (manuscript.book.series.name, manuscript.book.series.number) == ("The Lamps", None)


@pytest.mark.usefixtures("folder")
def test_titles_may_be_equal_or_signs_alone() -> None:
    titles = ("one!", "* * *", "?")
    manuscript = sound(BOOK + "".join(f"  - {{title: '{title}', text: x}}\n" for title in titles))
    assert [chapter.slug for chapter in manuscript.chapters] == ["one", "one", "", ""]


def test_the_file_of_a_skipped_chapter_is_counted_whatever_is_in_it(folder: Path) -> None:
    (folder / "bad.txt").write_bytes(b"\xef\xbb\xbfa [b\r\n\xff\x00")
    manuscript = sound(BOOK + "  - {title: Two, file: bad.txt, skip: notes}\n")
    assert [(chapter.number, chapter.characters) for chapter in manuscript.skipped] == [(2, 7)]
    finding = only(BOOK + "  - {title: Two, file: gone.txt, skip: notes}\n")
    assert finding == "book.yaml:5:24: the chapter file 'gone.txt' does not exist"


@pytest.mark.parametrize(("content", "mime"), [(JPEG, "image/jpeg"), (PNG, "image/png")])
def test_a_cover(content: bytes, mime: str, folder: Path) -> None:
    (folder / "cover").write_bytes(content)
    cover = sound(BOOK + "cover: cover\n").cover
    assert cover is not None
    assert (cover.content, cover.mime, len(cover.digest)) == (content, mime, 64)


def test_a_cover_that_is_too_large_or_elsewhere(folder: Path) -> None:
    with (folder / "cover.jpg").open("wb") as file:
        file.write(JPEG)
        file.truncate(LARGEST_COVER + 1)
    assert only(BOOK + "cover: cover.jpg\n").endswith("has 10.0 MB; make it smaller; the limit is 10 MB")
    (folder.parent / "outside.jpg").write_bytes(JPEG)
    (folder / "link.jpg").symlink_to("../outside.jpg")
    assert "leads out of the manifest's folder through a symbolic link" in only(BOOK + "cover: link.jpg\n")
    (folder / "covers").mkdir()
    assert only(BOOK + "cover: covers\n") == "book.yaml:5:8: the cover 'covers' is a folder"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("978-3-16-148410-0", True),
        ("9783161484100", True),
        ("979 10 90636 07 1", True),
        ("0-306-40615-2", True),
        ("0-8044-2957-X", True),
        ("0-8044-2957-x", True),
        ("978-3-16-148410-1", False),
        ("0-306-40615-3", False),
        ("1234567890123", False),
        ("97831614841", False),
        ("٩٧٨٣١٦١٤٨٤١٠٠", False),
        ("X804429570", False),
        ("", False),
    ],
)
def test_an_isbn_has_its_check_digit(text: str, right: bool) -> None:
    assert is_isbn(text) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1895", True),
        ("1895-05", True),
        ("2024-02-29", True),
        ("2023-02-29", False),
        ("1895-13", False),
        ("0000", False),
        ("95", False),
        ("1895-05-07T00:00:00Z", False),
        ("1895-5", False),
    ],
)
def test_a_date_is_of_the_calendar(text: str, right: bool) -> None:
    assert is_date(text) is right
