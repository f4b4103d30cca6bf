"""The words of an EPUB against those that pandoc finds."""

import shutil
from pathlib import Path

import pytest

from maya_batch.importing.epub import read_epub
from tests.measure import manuscripts
from tests.support.epubs import link, nav, write_epub, xhtml

BODY = (
    "<h1>Chapter {0}</h1><p>It was a <i>dark</i> and stor<b>my</b> night; the rain&#160;fell in torrents.</p>"
    "<blockquote><p>Line one<br/>line two<br/>line three</p></blockquote>"
    "<hr/><ul><li>An item</li><li><p>more</p></li></ul>"
    "<table><tr><td>Speaker</td><td>says something</td></tr><tr><td>Other</td><td>answers</td></tr></table>"
    "<p>“Caf\u00e9,” said she — and left.</p>"
)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pandoc") is None, reason="pandoc is not installed")
def test_the_words_are_those_of_pandoc(tmp_path: Path) -> None:
    chapters = {f"{number}.xhtml": xhtml(BODY.format(number)) for number in range(1, 4)}
    contents = nav(*(link(f"Chapter {number}", f"{number}.xhtml") for number in range(1, 4)))
    path = write_epub(tmp_path / "a.epub", chapters, contents=contents)
    document = read_epub(path)
    theirs = manuscripts.words_of_pandoc(path)
    assert theirs is not None
    assert theirs.total() == 96
    assert manuscripts.difference(manuscripts.words_of(document), theirs) == (0, 0)
    assert manuscripts.unaccounted(document) == 0
