"""Raised numbers without a link: marks of notes, or text."""

from pathlib import Path

import pytest

from maya_batch.importing.blocks import Document, Metadata
from maya_batch.importing.manuscript import read_manuscript
from maya_batch.importing.plain_note_marks import without_plain_note_marks
from maya_batch.importing.reading_rules import Reading
from maya_batch.importing.xhtml_blocks import read_blocks
from tests.support.epubs import write_epub, xhtml

NOTE = '<aside class="footnote"><p>1. A note.</p></aside>'


def document(body: str, keep: frozenset[str] = frozenset()) -> Document:
    reading = read_blocks(xhtml(body).encode(), "", keep=keep)
    read = Document(Metadata(), reading.blocks, (), {"": reading.markup}, {"": reading.characters})
    decided = without_plain_note_marks(read, keep)
    counts = [sum(block.characters for block in found.blocks) for found in (read, decided)]
    assert counts[0] == counts[1] == reading.characters - reading.markup
    assert all(not block.raised for block in decided.blocks)
    return decided


@pytest.mark.parametrize(
    ("body", "text", "marks"),
    [
        ("<p>The house<sup>1</sup> stood.</p>", "The house stood.", 1),
        ("<p>The house.<sup>1</sup></p>", "The house.", 1),
        ("<p>“The house!”<sup>1</sup> he said.</p>", "“The house!” he said.", 1),
        ("<p>In 1984.<sup>1</sup> And</p>", "In 1984. And", 1),
        ("<p> a  <b>house</b><sup>[1]</sup>, and\n a  <i>tree</i><sup>1</sup></p>", "a house, and a tree", 4),
        ("<p>(an old house)<sup>1</sup></p>", "(an old house)", 1),
        ("<p>One house<sup>1</sup><br/>two<br/>three<sup>1</sup></p>", "One house\ntwo\nthree", 2),
        ("<h2>The house<sup>1</sup></h2>", "The house", 1),
        ("<p>x<sup>1</sup> and 5 cm<sup>1</sup> and 10<sup>1</sup></p>", "x1 and 5 cm1 and 101", 0),
        ("<p>(a + b)<sup>1</sup></p>", "(a + b)1", 0),
        ("<p>the 1<sup>st</sup> of <sup>1</sup>H, <sup>1</sup> a</p>", "the 1st of 1H, 1 a", 0),
        ("<p>no<sup>1</sup>where</p>", "no1where", 0),
        ("<p>The house<sup>2</sup> stood.</p>", "The house2 stood.", 0),
    ],
)
def test_a_raised_number_at_the_end_of_a_word_is_a_mark_if_a_note_has_it(body: str, text: str, marks: int) -> None:
    first = document(body + NOTE).blocks[0]
    assert (first.text, first.omitted.get("note mark", 0)) == (text, marks)


@pytest.mark.parametrize(
    "notes",
    [
        '<div class="footnote"><p><sup>7</sup> A note.</p></div>',
        '<div class="footnote"><p>[7] A note.</p></div>',
        "<h2>Notes</h2><h3>Chapter 1</h3><p>7. A note.</p>",
        "<h2>Notes</h2><p><sup>7</sup>A note.</p>",
        "<h2>Endnotes</h2><ol>" + "<li><p>A note.</p></li>" * 7 + "</ol>",
        '<section epub:type="endnotes"><ol>' + "<li>A note.</li>" * 7 + "</ol></section>",
    ],
)
def test_notes_are_known_by_their_elements_or_by_the_heading_over_them(notes: str) -> None:
    assert document(f"<p>A house.<sup>7</sup></p>{notes}").blocks[0].text == "A house."


@pytest.mark.parametrize(
    "other",
    [
        "",
        "<p>7. Not a note.</p>",
        "<p><sup>7</sup> And the verse.</p>",
        "<h2>Notes</h2><p>8. A note.</p><h2>Chapter</h2><p>7. Not a note.</p>",
    ],
)
def test_without_a_note_the_number_is_read_and_remarked(other: str) -> None:
    decided = document(f"<p>A house.<sup>7</sup></p>{other}")
    assert decided.blocks[0].text == "A house.7"
    assert decided.remarks == (
        "1 raised number after a word is read aloud, because the manuscript has no notes with that number",
    )


def test_marks_can_be_kept() -> None:
    decided = document(f"<p>A house.<sup>1</sup></p>{NOTE}", frozenset({"note mark"}))
    assert (decided.blocks[0].text, decided.remarks) == ("A house.1", ())


def test_a_note_in_another_file_of_the_book_counts(tmp_path: Path) -> None:
    chapters = {
        "1.xhtml": xhtml("<h1>One</h1><p>A house<sup>3</sup>.</p>"),
        "2.xhtml": xhtml("<h1>Notes</h1><p>3. A.</p>"),
    }
    path = write_epub(tmp_path / "a.epub", chapters)
    imported = read_manuscript(path)
    assert "A house." in [block.text for block in imported.document.blocks]
    assert imported.sums.skipped["note mark"] == 1
    kept = read_manuscript(path, Reading(extras=frozenset({"note-marks"})))
    assert "A house3." in [block.text for block in kept.document.blocks]
