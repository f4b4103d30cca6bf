"""DOCX: notes, drop caps, tracked changes, comments, and files that are none or harm."""

import zipfile
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

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
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


def test_paragraphs_are_one_if_the_mark_between_them_is_deleted(tmp_path: Path) -> None:
    deleted = '<w:p><w:pPr><w:pStyle w:val="Heading1"/><w:rPr><w:del w:id="1"/></w:rPr></w:pPr>{}</w:p>'
    gone = f"<w:del>{RUN.format('x').replace('w:t', 'w:delText')}</w:del>"
    parts = ["".join(deleted.format(RUN.format(text)) for text in ("The ", "night ")), word_paragraph("was dark.")]
    parts += [deleted.format(gone), word_paragraph("He waited."), deleted.format(RUN.format("The end."))]
    path = written(tmp_path, "a.docx", docx("".join(parts)))
    texts = [(block.kind, block.text) for block in read_docx(path).blocks if block.text]
    assert texts == [("paragraph", "The night was dark."), ("paragraph", "He waited."), ("heading", "The end.")]
    assert read_manuscript(path).sums.skipped == {"tracked deletion": 1}


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


MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
RUBY = (
    f"<w:r><w:ruby><w:rubyPr/><w:rt>{RUN.format('kan')}</w:rt>"
    f"<w:rubyBase>{RUN.format('漢')}</w:rubyBase></w:ruby></w:r>"
)
WORDS = "http://schemas.microsoft.com/office/word/2010/wordprocessingShape"
BOX = f'<wps:txbx xmlns:wps="{WORDS}"><w:txbxContent>{word_paragraph("boxed")}</w:txbxContent></wps:txbx>'
CHOICE = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


@pytest.mark.parametrize(
    ("inside", "expected", "left_out"),
    [
        (f'<w:fldSimple w:instr=" REF a ">{RUN.format("was")}</w:fldSimple>', "It was late.", {}),
        (f'<w:bdo w:val="ltr">{RUN.format("was")}</w:bdo>', "It was late.", {}),
        (f'<w:dir w:val="ltr"><w:fldSimple>{RUN.format("was")}</w:fldSimple></w:dir>', "It was late.", {}),
        ("<w:r><w:t>was</w:t><w:cr/><w:t>very</w:t><w:ptab/><w:t>very</w:t></w:r>", "It was very very late.", {}),
        (RUBY, "It 漢 late.", {"ruby": 3}),
        (f"<m:oMath {MATH}><m:r><m:t>x</m:t></m:r></m:oMath>", "It x late.", {}),
        (f"<m:oMath {MATH}><m:r><m:t>x</m:t></m:r><m:r><m:t>+1</m:t></m:r></m:oMath>", "It late.", {"formula": 3}),
        ('<w:r><w:rPr><w:vanish w:val="off"/></w:rPr><w:t>was</w:t></w:r>', "It was late.", {}),
        ('<w:r><w:rPr><w:vanish w:val="on"/></w:rPr><w:t>was</w:t></w:r>', "It late.", {"hidden": 3}),
        (f"<w:moveFrom>{RUN.format('was')}</w:moveFrom>", "It late.", {"tracked deletion": 3}),
        (f"<w:moveTo>{RUN.format('was')}</w:moveTo>", "It was late.", {}),
        (f"<w:r><w:drawing>{BOX}</w:drawing></w:r>", "It late.", {"text box": 5}),
    ],
)
def test_what_word_shows_is_read_or_counted(
    tmp_path: Path, inside: str, expected: str, left_out: dict[str, int]
) -> None:
    body = f"<w:p>{RUN.format('It ')}{inside}{RUN.format(' late.')}</w:p>"
    path = written(tmp_path, "a.docx", docx(body))
    assert kinds(path) == [("paragraph", expected)]
    assert read_manuscript(path).sums.skipped == left_out
    notes = f'<w:footnotes XMLNS><w:footnote w:id="2">{body}</w:footnote></w:footnotes>'
    marked = "<w:p>" + RUN.format("It was.") + '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    document = read_docx(written(tmp_path, "b.docx", docx(marked, {"footnotes": notes})))
    assert [block.text for block in document.blocks if block.text] == ["It was.", expected]
    assert all(document.blocks[-1].omitted.get(reason) == count for reason, count in left_out.items())


@pytest.mark.parametrize(
    ("inside", "keep", "expected"),
    [
        (RUBY, "ruby", "It 漢kan late."),
        (f"<m:oMath {MATH}><m:r><m:t>x</m:t></m:r><m:r><m:t>+1</m:t></m:r></m:oMath>", "formula", "It x +1 late."),
        ("<w:r><w:rPr><w:vanish/></w:rPr><w:t>was</w:t></w:r>", "hidden", "It was late."),
    ],
)
def test_what_is_left_out_of_a_docx_can_be_kept(tmp_path: Path, inside: str, keep: str, expected: str) -> None:
    path = written(tmp_path, "a.docx", docx(f"<w:p>{RUN.format('It ')}{inside}{RUN.format(' late.')}</w:p>"))
    assert [(block.text, block.omitted) for block in read_docx(path, frozenset([keep])).blocks] == [(expected, {})]


def test_a_text_box_is_read_from_its_older_form(tmp_path: Path) -> None:
    older = '<v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textbox>{}</v:textbox></v:shape>'
    box = f"<w:txbxContent>{word_paragraph('boxed')}</w:txbxContent>"
    choice = f'<mc:Choice Requires="wps"><w:drawing>{BOX}</w:drawing></mc:Choice>'
    both = f"{choice}<mc:Fallback><w:pict>{older.format(box)}</w:pict></mc:Fallback>"
    for forms, texts, left_out in ((both, ["It was.", "boxed"], {}), (choice, ["It was."], {"text box": 5})):
        body = (
            f"<w:p>{RUN.format('It was.')}<w:r><mc:AlternateContent {CHOICE}>{forms}</mc:AlternateContent></w:r></w:p>"
        )
        read = read_manuscript(written(tmp_path, "a.docx", docx(body)))
        assert [block.text for block in read.document.blocks if block.text] == texts
        assert read.sums.skipped == left_out


def test_what_is_not_known_is_counted_and_named(tmp_path: Path) -> None:
    row = f"<w:tr><w:trPr><w:del/></w:trPr><w:tc>{word_paragraph('gone')}</w:tc></w:tr>"
    symbol = '<w:p><w:r><w:sym w:font="Signs" w:char="F041"/></w:r></w:p>'
    body = (
        f"{word_paragraph('It was.')}<w:new>{word_paragraph('late.')}</w:new><w:altChunk/><w:tbl>{row}</w:tbl>{symbol}"
    )
    read = read_manuscript(written(tmp_path, "a.docx", docx(body)))
    assert read.sums.skipped == {"unknown element": 5, "tracked deletion": 4}
    assert read.remarks[:2] == (
        "the text of elements that are not known is not read: 'w:altChunk', 'w:new'",
        "symbols of fonts that are not known are left out: 1",
    )


def test_strict_open_xml_is_read_alike(tmp_path: Path) -> None:
    hidden = "<w:r><w:rPr><w:vanish w:val='true'/></w:rPr><w:t>not shown</w:t></w:r>"
    deleted = "<w:del><w:r><w:delText>is </w:delText></w:r></w:del>"
    path = written(tmp_path, "a.docx", docx(f"<w:p>{RUN.format('It was.')}{hidden}{deleted}</w:p>"))
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    old, new = b"schemas.openxmlformats.org/wordprocessingml/2006/main", b"purl.oclc.org/ooxml/wordprocessingml/main"
    written(tmp_path, "a.docx", zipped({name: part.replace(old, new) for name, part in parts.items()}))
    assert kinds(path) == [("paragraph", "It was.")]
    assert read_manuscript(path).sums.skipped == {"hidden": 9, "tracked deletion": 3}


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16", "iso-10646-ucs-2", "shift_jis", "gb18030"])
def test_parts_in_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    """The parser of mammoth does not know them; Word writes UTF-8."""
    styles = f'<?xml version="1.0" encoding="{encoding}"?><w:styles {WORD}/>'.encode(
        "utf-16" if "ucs" in encoding else encoding
    )
    with zipfile.ZipFile(written(tmp_path, "a.docx", docx(word_paragraph("It was.")))) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    path = written(tmp_path, "b.docx", zipped(parts | {"word/styles.xml": styles}))
    assert kinds(path) == [("paragraph", "It was.")]


def test_entities_are_refused_in_any_encoding(tmp_path: Path) -> None:
    raw = '<?xml version="1.0" encoding="utf-32"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-32")
    with pytest.raises(UsageError, match=r"word/styles\.xml declares entities, which Word never does"):
        read_docx(written(tmp_path, "a.docx", zipped({"word/document.xml": b"<a/>", "word/styles.xml": raw})))


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
