"""DOCX: notes, drop caps, tracked changes, comments, and files that are none or harm."""

from pathlib import Path

import pytest

from maya_batch.errors import UsageError
from maya_batch.importing.accounting import account
from maya_batch.importing.chapters import make_chapters
from maya_batch.importing.docx import read_docx
from maya_batch.importing.docx_package import MOST_XML_BYTES
from maya_batch.importing.manuscript import read_manuscript
from maya_batch.importing.reading_rules import Reading
from tests.importing.stories import docx, word_paragraph, written, zipped

RUN = '<w:r><w:t xml:space="preserve">{}</w:t></w:r>'


def kinds(path: Path) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in read_docx(path).blocks if block.text]


def test_a_drop_cap_joins_its_word(tmp_path: Path) -> None:
    cap = '<w:p><w:pPr><w:framePr w:dropCap="drop" w:lines="3"/></w:pPr><w:r><w:t>T</w:t></w:r></w:p>'
    path = written(tmp_path, "a.docx", docx(cap + word_paragraph("he night was dark.")))
    assert kinds(path) == [("paragraph", "The night was dark.")]


def test_insertions_are_text_and_deletions_and_comments_are_counted(tmp_path: Path) -> None:
    body = (
        "<w:p>" + RUN.format("The night ") + f'<w:ins w:id="1" w:author="x">{RUN.format("was ")}</w:ins>'
        '<w:del w:id="2" w:author="x"><w:r><w:delText>is </w:delText></w:r></w:del>'
        '<w:commentRangeStart w:id="0"/>' + RUN.format("dark.") + '<w:commentRangeEnd w:id="0"/>'
        '<w:r><w:commentReference w:id="0"/></w:r></w:p>'
    )
    comment = f'<w:comment w:id="0" w:author="x"><w:p>{RUN.format("Really?")}</w:p></w:comment>'
    comments = f"<w:comments XMLNS>{comment}</w:comments>"
    path = written(tmp_path, "a.docx", docx(body, {"comments": comments}))
    document = read_docx(path)
    assert kinds(path) == [("paragraph", "The night was dark.")]
    sums = account(document, make_chapters(document)[0], Reading())
    assert (sums.skipped["comment"], sums.skipped["tracked deletion"]) == (7, 3)


def test_notes_are_notes_and_their_marks_are_not_read(tmp_path: Path) -> None:
    body = "<w:p>" + RUN.format("It was late.") + '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    note = f'<w:footnote w:id="2"><w:p>{RUN.format("By the clock.")}</w:p></w:footnote>'
    notes = f"<w:footnotes XMLNS>{note}</w:footnotes>"
    path = written(tmp_path, "a.docx", docx(body, {"footnotes": notes}))
    assert kinds(path) == [("paragraph", "It was late."), ("note", "By the clock.")]


def test_runs_are_joined_and_hidden_ones_are_counted(tmp_path: Path) -> None:
    bold = '<w:r w:rsidR="1"><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">ni</w:t></w:r>'
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>not shown</w:t></w:r>"
    tab = "<w:r><w:tab/></w:r>"
    shown = f'{RUN.format("The ")}{bold}<w:proofErr w:type="x"/>{RUN.format("ght ")}'
    body = f"<w:p>{shown}{hidden}{tab}{RUN.format('was.')}</w:p>"
    path = written(tmp_path, "a.docx", docx(body))
    assert kinds(path) == [("paragraph", "The night was.")]
    assert sum(block.omitted.get("hidden", 0) for block in read_docx(path).blocks) == len("not shown")


def test_tables_and_lists_are_kept(tmp_path: Path) -> None:
    cell = "<w:tc><w:p>{}</w:p></w:tc>"
    table = f"<w:tbl><w:tr>{cell.format(RUN.format('a'))}{cell.format(RUN.format('b'))}</w:tr></w:tbl>"
    path = written(tmp_path, "a.docx", docx(word_paragraph("One.") + table))
    assert kinds(path) == [("paragraph", "One."), ("table", "a\tb")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100, "old Word file"),
        (b"PK\x03\x04 truncated", "is not a Word file, or is damaged"),
        (zipped({"word/document.xml": b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"}), "declares entities"),
        (zipped({"word/document.xml": b"<w:document"}), "is damaged"),
        (zipped({"word/document.xml": b" " * (MOST_XML_BYTES + 1)}), "unpacks to more than 25 MB"),
        (zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<a/>"}), "no word/document"),
        (zipped({"word/document.xml": b"<a/>"}), "is damaged"),
        (docx()[:-300], "is damaged"),
        (zipped({f"word/media/{at}.png": b"" for at in range(10_001)}), "has 10,001 parts"),
        (zipped({"word/document.xml": b"<a>" + b"<b/>" * 2_000_001 + b"</a>"}), "more than 2,000,000 tags; divide it"),
        (docx("<w:p/>" * 150_001), "more than 150,000 paragraphs and runs; divide it"),
    ],
)
def test_what_is_no_readable_docx_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = written(tmp_path, "a.docx", content)
    with pytest.raises(UsageError, match=message) as refused:
        read_manuscript(path)
    assert len(refused.value.lines()) == 1
    assert refused.value.lines()[0].startswith(f"{path}: ")


def test_relations_to_files_outside_are_not_followed(tmp_path: Path) -> None:
    secret = written(tmp_path, "secret.xml", "<x>secret</x>")
    body = word_paragraph("One.")
    content = docx(body, {"numbering": f"<w:numbering XMLNS><!-- {secret} --></w:numbering>"})
    path = written(tmp_path, "a.docx", content)
    assert kinds(path) == [("paragraph", "One.")]


def test_many_runs_are_joined_in_one_go(tmp_path: Path) -> None:
    """100,000 runs in a paragraph take a second; copied for each run, they are 10 GB."""
    path = written(tmp_path, "a.docx", docx("<w:p>" + RUN.format("ab ") * 100_000 + "</w:p>"))
    assert kinds(path) == [("paragraph", ("ab " * 100_000).strip())]


def test_a_frame_of_many_runs_is_a_paragraph_and_no_drop_cap(tmp_path: Path) -> None:
    framed = '<w:p><w:pPr><w:framePr w:dropCap="drop"/></w:pPr>' + RUN.format("T") * 21 + "</w:p>"
    path = written(tmp_path, "a.docx", docx(framed + word_paragraph("he night.")))
    assert kinds(path) == [("paragraph", "T" * 21), ("paragraph", "he night.")]


def test_a_note_with_many_marks_is_one_note(tmp_path: Path) -> None:
    mark = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    note = f'<w:footnote w:id="2">{word_paragraph("By the clock.")}</w:footnote>'
    body = f"<w:p>{RUN.format('It was')}{mark * 50}{RUN.format(' late.')}{mark}</w:p>"
    path = written(tmp_path, "a.docx", docx(body, {"footnotes": f"<w:footnotes XMLNS>{note}</w:footnotes>"}))
    assert kinds(path) == [("paragraph", "It was late."), ("note", "By the clock.")]


FIELD = '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
END = '<w:r><w:fldChar w:fldCharType="end"/></w:r>'


def test_fields_one_after_the_other_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.docx", docx(f"<w:p>{(FIELD + RUN.format('a') + END) * 200}</w:p>"))
    assert kinds(path) == [("paragraph", "a" * 200)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"<w:p>{FIELD * 101}</w:p>", "has more than 100 fields without an end; save it as .docx again"),
        ('<w:p w:a="1" w:b="1" w:c="1" w:d="1"/>' * 75_001, "has more than 300,000 attributes; save it as .docx again"),
        (
            "<w:tbl><w:tr><w:tc>" * 300 + word_paragraph("a") + "</w:tc></w:tr></w:tbl>" * 300,
            r"(tables or other elements are nested too deep in one another|word/document\.xml is damaged .*)",
        ),
    ],
)
def test_what_word_never_writes_is_refused_in_one_line(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(UsageError, match=rf"a\.docx: {message}"):
        read_docx(written(tmp_path, "a.docx", docx(body)))


def test_other_parts_than_the_text_count_too(tmp_path: Path) -> None:
    styles = f"<w:styles XMLNS>{'<w:style/>' * 150_001}</w:styles>"
    with pytest.raises(UsageError, match="has more than 150,000 paragraphs and runs; divide it"):
        read_docx(written(tmp_path, "a.docx", docx(word_paragraph("a"), {"styles": styles})))
