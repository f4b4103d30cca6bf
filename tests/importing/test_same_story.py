"""The same story in each format gives the same chapters."""

from collections.abc import Callable
from pathlib import Path

import pytest

from maya_batch.importing.chapter_text import paragraphs
from maya_batch.importing.manuscript import read_manuscript
from maya_batch.importing.titles import key
from maya_batch.text.parser import parse_script
from tests.importing import stories


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("story.md", stories.markdown),
        ("story.html", stories.html),
        ("story.docx", stories.docx),
        ("story.txt", stories.plain_text),
        ("story.epub", stories.epub),
    ],
)
def test_every_format_gives_the_same_chapters(tmp_path: Path, name: str, content: Callable[[], bytes]) -> None:
    imported = read_manuscript(stories.written(tmp_path, name, content()))
    spoken = [chapter for chapter in imported.chapters if not chapter.skip]
    assert [(key(c.title), c.part.upper()) for c in spoken] == [
        (key(title), part.upper()) for title, part, _ in stories.CHAPTERS
    ]
    texts = [[p.text for p in paragraphs(chapter, imported.reading)] for chapter in spoken]
    expected = [
        [text.translate({ord(c): f"\\{c}" for c in "[]<>\\"}) for text in lines] for _, _, lines in stories.CHAPTERS
    ]
    assert texts == expected
    assert [chapter.skip for chapter in imported.chapters if chapter.skip] == ["title page"]
    assert imported.document.metadata.title.upper() == stories.TITLE.upper()
    assert imported.document.metadata.authors == (stories.AUTHOR,)
    for lines in texts:
        passages, problems = parse_script("\n\n".join(lines) + "\n", (), ())
        assert problems == []
        assert len(passages) == len(lines)
