"""The EPUB that import.json names is found next to the book, if it is still the same."""

import hashlib
import json
from pathlib import Path

import pytest

from maya_batch.book.source_epub import SourceEpub, source_epub
from maya_batch.manifest import Manuscript, read_manuscript

CONTENT = b"the book"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def manuscript(tmp_path: Path) -> Manuscript:
    folder = tmp_path / "lamp"
    folder.mkdir()
    book = "title: The Lamp\nvoices: {narrator: a voice}\nchapters: [{title: One, text: It was late.}]\n"
    (folder / "book.yaml").write_text(book)
    manuscript, findings = read_manuscript(folder / "book.yaml")
    assert manuscript is not None
    assert not findings
    return manuscript


def recorded(manuscript: Manuscript, name: str, kind: str = "epub") -> bytes:
    record = json.dumps({"source": {"name": name, "sha256": DIGEST, "format": kind}}).encode()
    (manuscript.folder / "import.json").write_bytes(record)
    return record


@pytest.mark.parametrize("place", ["", ".."])
def test_it_is_in_the_folder_of_the_book_or_in_the_one_above(manuscript: Manuscript, place: str) -> None:
    record = recorded(manuscript, "lamp.epub")
    path = (manuscript.folder / place).resolve() / "lamp.epub"
    assert source_epub(manuscript) == SourceEpub("lamp.epub", DIGEST, None, record)
    path.write_bytes(CONTENT)
    assert source_epub(manuscript) == SourceEpub("lamp.epub", DIGEST, path, record)
    path.write_bytes(b"another book")
    assert source_epub(manuscript) == SourceEpub("lamp.epub", DIGEST, None, record)


@pytest.mark.parametrize("name", ["a\0b.epub", "a\ud800.epub", "", ".", "..", "a" * 300 + ".epub"])
def test_a_name_that_no_file_has_is_found_nowhere(manuscript: Manuscript, name: str) -> None:
    record = recorded(manuscript, name)
    assert source_epub(manuscript) in (None, SourceEpub(name, DIGEST, None, record))


@pytest.mark.parametrize(("name", "kind"), [("../lamp.epub", "epub"), ("/lamp.epub", "epub"), ("lamp.docx", "docx")])
def test_other_paths_and_formats_are_no_source(manuscript: Manuscript, name: str, kind: str) -> None:
    recorded(manuscript, name, kind)
    assert source_epub(manuscript) is None


@pytest.mark.parametrize("record", [b"{", b"[]", b'{"source": 1}', b'{"source": {"name": "a"}}', b"[" * 100_000])
def test_a_damaged_record_names_no_source(manuscript: Manuscript, record: bytes) -> None:
    assert source_epub(manuscript) is None
    (manuscript.folder / "import.json").write_bytes(record)
    assert source_epub(manuscript) is None
