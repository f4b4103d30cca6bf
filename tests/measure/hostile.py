"""Imports manuscripts at the limits of what is accepted: CPU seconds, peak memory, what was said.

python -m tests.measure.hostile [CASE …]
"""

import io
import os
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.importing.stories import docx, word_paragraph
from tests.support.epubs import PNG, link, nav, ncx, write_epub, xhtml

MOST_SECONDS, MOST_MIB = 20, 1024
"""What an import may take."""
_RUN = '<w:r><w:t xml:space="preserve">{}</w:t></w:r>'
_BOLD = '<w:r><w:rPr><w:rStyle w:val="Strong"/></w:rPr><w:t>{}</w:t></w:r>'
_MARK = '<w:r><w:footnoteReference w:id="{}"/></w:r>'
_PICTURE = (
    '<w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing">'
    '<wp:docPr id="1" name="p" descr="A lamp"/><a:graphic '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphicData>'
    '<pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:blipFill>'
    '<a:blip r:embed="rId9" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"/></pic:blipFill></pic:pic>'
    "</a:graphicData></a:graphic></wp:inline></w:drawing></w:r>"
)
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId9" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" Target="media/a.png"/>'
    "</Relationships>"
)
_ITEM = (
    '<w:p><w:pPr><w:numPr><w:ilvl w:val="{}"/><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>an item</w:t></w:r></w:p>'
)
_FIELD = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>HYPERLINK "a"</w:instrText></w:r>'


def _p(inside: str) -> str:
    return f"<w:p>{inside}</w:p>"


def _heading(text: str) -> str:
    return _p(f'<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>{_RUN.format(text)}')


def _cell(inside: str) -> str:
    return f"<w:tc>{inside}</w:tc>"


def _nested_tables(depth: int) -> str:
    return "<w:tbl><w:tr><w:tc>" * depth + word_paragraph("inside") + "</w:tc></w:tr></w:tbl>" * depth


def _with_part(name: str, inside: str, body: str = word_paragraph("A text.")) -> bytes:
    return docx(body, {name: f"<w:{name} XMLNS>{inside}</w:{name}>"})


def _note(number: int, text: str) -> str:
    return f'<w:footnote w:id="{number}">{word_paragraph(text)}</w:footnote>'


def _notes(count: int) -> bytes:
    body = "".join(_p(_RUN.format("It was late.") + _MARK.format(n)) for n in range(count))
    return _with_part("footnotes", "".join(_note(n, "A note of the text.") for n in range(count)), body)


def _same_note(count: int) -> bytes:
    return _with_part("footnotes", _note(2, "word " * 400_000), _p((_RUN.format("b") + _MARK.format(2)) * count))


def _pictures(count: int) -> bytes:
    made = io.BytesIO()
    content = io.BytesIO(docx(word_paragraph("A text.") + _p(_PICTURE) * count))
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, _RELATIONS if name == "word/_rels/document.xml.rels" else old.read(name))
        new.writestr("word/media/a.png", PNG)
    return made.getvalue()


def _markdown_notes(count: int) -> str:
    marks = "\n\n".join(f"A line with a note.[^{n}]" for n in range(count))
    return marks + "\n\n" + "\n\n".join(f"[^{n}]: A *note* of the text." for n in range(count))


def _epub(path: Path, chapters: dict[str, str], links: Iterable[tuple[str, str]] = (), is_ncx: bool = False) -> None:
    pairs = list(links)
    if is_ncx:
        write_epub(path, chapters, toc=ncx(*pairs))
    else:
        write_epub(path, chapters, contents=nav(*(link(*pair) for pair in pairs)) if pairs else None)


def _many_files(path: Path, count: int) -> None:
    chapters = {f"{n}.xhtml": xhtml(f"<h1>Chapter {n}</h1><p>A text.</p>") for n in range(count)}
    _epub(path, chapters, ((f"Chapter {n}", f"{n}.xhtml") for n in range(count)))


def _links(count: int, anchor: str) -> list[tuple[str, str]]:
    return [(f"Entry {n}", f"1.xhtml#{anchor}") for n in range(count)]


def _nested_contents(path: Path) -> None:
    chapters = {"1.xhtml": xhtml("".join(f'<h1 id="h{n}">Chapter {n}</h1><p>a</p>' for n in range(300)))}
    entries = "".join(f'<li><a href="1.xhtml#h{n}">Entry {n}</a><ol>' for n in range(300))
    write_epub(path, chapters, contents=nav(entries + "</ol></li>" * 300))


_HEADINGS = "".join(f'<h2 id="h{n}">A heading</h2>' for n in range(100_000))
_PAGES = "".join(f'<hr class="pagebreak" epub:type="pagebreak" id="p{n}" title="{n}"/>' for n in range(100_000))
_TO_PAGES = [(f"Entry {n}", f"1.xhtml#p{10 * n}") for n in range(10_000)]
_NOTE_BY_NOTE = '<p>text</p><div epub:type="index"><p>index</p></div>'

CASES: dict[str, tuple[str, Callable[..., Any]]] = {
    # Word
    "docx paragraphs": ("docx", lambda: docx(word_paragraph("A line.") * 49_900)),
    "docx long paragraphs": ("docx", lambda: docx(word_paragraph("word " * 980) * 1900)),
    "docx one run": ("docx", lambda: docx(word_paragraph("word " * 1_900_000))),
    "docx styled runs": ("docx", lambda: docx(_p((_BOLD.format("a") + _RUN.format("b")) * 20_000))),
    "docx runs and tabs": ("docx", lambda: docx(_p((_RUN.format("b") + "<w:r><w:tab/></w:r>") * 35_000))),
    "docx breaks": ("docx", lambda: docx(_p((_RUN.format("b") + "<w:r><w:br/></w:r>") * 35_000))),
    "docx line": ("docx", lambda: docx(_p(f"<w:r>{'<w:t>a</w:t><w:br/>' * 70_000}</w:r>"))),
    "docx notes": ("docx", lambda: _notes(14_000)),
    "docx same note": ("docx", lambda: _same_note(25_000)),
    "docx nested tables 60": ("docx", lambda: docx(_nested_tables(60))),
    "docx nested tables 80 wide": ("docx", lambda: docx(_nested_tables(60) * 700)),
    "docx table of rows": (
        "docx",
        lambda: docx("<w:tbl>" + f"<w:tr>{_cell(word_paragraph('a')) * 2}</w:tr>" * 16_000 + "</w:tbl>"),
    ),
    "docx table of cells": ("docx", lambda: docx(f"<w:tbl><w:tr>{_cell(word_paragraph('a')) * 37_000}</w:tr></w:tbl>")),
    "docx merged cells": (
        "docx",
        lambda: docx(
            "<w:tbl>"
            + ("<w:tr>" + "<w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc>" * 20 + "</w:tr>") * 1700
            + "</w:tbl>"
        ),
    ),
    "docx pictures": ("docx", lambda: _pictures(13_000)),
    "docx headings": ("docx", lambda: docx(_heading("A heading") * 29_000)),
    "docx chapters": (
        "docx",
        lambda: docx("".join(_heading(f"Chapter {n}") + word_paragraph("A text.") for n in range(9_999))),
    ),
    "docx list": ("docx", lambda: docx("".join(_ITEM.format(n % 9) for n in range(20_000)))),
    "docx links": (
        "docx",
        lambda: docx(_p(f'<w:hyperlink w:anchor="a">{_RUN.format("b")}</w:hyperlink>' * 45_000)),
    ),
    "docx drop caps": (
        "docx",
        lambda: docx(
            ('<w:p><w:pPr><w:framePr w:dropCap="drop"/></w:pPr><w:r><w:t>T</w:t></w:r></w:p>' + word_paragraph("he"))
            * 49_000
        ),
    ),
    "docx insertions": ("docx", lambda: docx(_p(f"<w:ins>{_RUN.format('b')}</w:ins>" * 49_000))),
    "docx deep insertions": ("docx", lambda: docx(_p("<w:ins>" * 200 + _RUN.format("b") + "</w:ins>" * 200) * 100)),
    "docx fields": ("docx", lambda: docx(_p(_FIELD * 30_000))),
    "docx styles": ("docx", lambda: _with_part("styles", '<w:style w:type="table"/>' * 149_000)),
    "docx attributes": ("docx", lambda: docx('<w:p w:a="b" w:b="b" w:c="b" w:d="b" w:e="b" w:f="b"/>' * 49_000)),
    "docx deep": ("docx", lambda: docx(_p("<w:smartTag>" * 250 + _RUN.format("b") + "</w:smartTag>" * 250) * 500)),
    # Markdown
    "markdown quotations": ("md", lambda: "> a\n\n" * 49_000),
    "markdown notes": ("md", lambda: _markdown_notes(9_999)),
    "markdown deep list": (
        "md",
        lambda: ("\n".join("  " * n + "- an item" for n in range(22)) + "\n\nA text.\n\n") * 3_800,
    ),
    "markdown deep list 2": ("md", lambda: "- " * 9_000 + "x"),
    "markdown deep quotation": ("md", lambda: ">" * 100_000 + "x"),
    "markdown lists": ("md", lambda: "- a\n  - b\n    - c\n" * 33_000),
    "markdown numbered": ("md", lambda: "".join(f"{n}. an item\n" for n in range(99_000))),
    "markdown brackets": ("md", lambda: "[" * 3_100),
    "markdown bracket pairs": ("md", lambda: "[a](b) " * 99_000),
    "markdown brackets nested": ("md", lambda: ("[" * 90 + "a" + "]" * 90 + "\n\n") * 550),
    "markdown images": ("md", lambda: "![a](b) " * 99_000),
    "markdown images nested": ("md", lambda: ("![" * 45 + "a" + "](b)" * 45 + "\n\n") * 1_000),
    "markdown emphasis": ("md", lambda: "*a* " * 190_000),
    "markdown emphasis open": ("md", lambda: "*a " * 390_000),
    "markdown emphasis mixed": ("md", lambda: "*a _b **c __d " * 66_000),
    "markdown emphasis run": ("md", lambda: "a" + "*" * 390_000 + "b"),
    "markdown emphasis runs": ("md", lambda: ("*" * 60 + "a" + "*" * 60 + " ") * 3_200),
    "markdown strikethrough": ("md", lambda: "~~a~~ " * 99_000),
    "markdown code": ("md", lambda: " ".join("`" * n for n in range(1, 890))),
    "markdown entities": ("md", lambda: "&eacute;" * 390_000),
    "markdown links": ("md", lambda: "<http://a.b> " * 390_000),
    "markdown references": ("md", lambda: "\n".join(f"[r{n}]: /u" for n in range(30_000)) + "\n\n" + "[r1] " * 60_000),
    "markdown table": ("md", lambda: "|a|b|\n|-|-|\n" + "|c|d|\n" * 90_000),
    "markdown wide table": ("md", lambda: "|a" * 20_000 + "|\n" + "|-" * 20_000 + "|\n" + "|c" * 20_000 + "|\n"),
    "markdown headings": ("md", lambda: "# A\n" * 99_000),
    "markdown setext": ("md", lambda: "a\n" * 98_000 + "==="),
    "markdown paragraphs": ("md", lambda: "a\n\n" * 49_900),
    "markdown one line": ("md", lambda: "word " * 1_990_000),
    "markdown lines": ("md", lambda: ("word " * 19 + "\n") * 99_000),
    "markdown html": ("md", lambda: "<b>a</b> " * 199_000),
    "markdown html blocks": ("md", lambda: "<div>\n\n" * 1_900 + "a"),
    "markdown fences": ("md", lambda: "```\na\n" * 49_000),
    "markdown rules": ("md", lambda: "a\n\n***\n\n" * 24_000),
    "markdown blanks": ("md", lambda: "a" + "\n" * 99_000 + "b"),
    "markdown spaces": ("md", lambda: "a" + " " * 9_900_000 + "b"),
    # HTML
    "html paragraphs": ("html", lambda: xhtml("<p>a</p>" * 199_990)),
    "html paragraphs of one word": ("html", lambda: xhtml("<p>word</p>" * 199_990)),
    "html all at their limits": (
        "html",
        lambda: xhtml('<p class="a"><b id="b" class="c">w</b> <i>x</i> y</p>' * 199_900),
    ),
    "html headings": ("html", lambda: xhtml("<h1>a</h1>" * 199_990)),
    "html headings and a text": ("html", lambda: xhtml("<h1>Same</h1>" * 190_000 + "<p>a</p><h1>b</h1><p>c</p>")),
    "html page breaks": ("html", lambda: xhtml(_PAGES + "<p>a</p>")),
    "html items": ("html", lambda: xhtml("<ul>" + "<li>a</li>" * 199_000 + "</ul>")),
    "html scene breaks": ("html", lambda: xhtml("<p>a</p><hr/>" * 99_000)),
    "html verse": ("html", lambda: xhtml('<div class="poem">' + "<p>a line of verse</p>" * 199_000 + "</div>")),
    "html one paragraph": ("html", lambda: xhtml("<p>" + "word " * 3_900_000 + "</p>")),
    "html note marks": ("html", lambda: xhtml("<p>a<sup>1</sup></p>" * 140_000 + "<p>1 a note</p>" * 50_000)),
    "html notes between": ("html", lambda: xhtml("<h1>One</h1>" + _NOTE_BY_NOTE * 99_000)),
    # text
    "text paragraphs": ("txt", lambda: "a\n\n" * 199_990),
    "text words": ("txt", lambda: "word " * 3_999_000),
    "text lines": ("txt", lambda: ("word " * 12 + "\n") * 330_000),
    "text headings": ("txt", lambda: "".join(f"CHAPTER {n}\n\nA text.\n\n" for n in range(9_999))),
    "text shouting": ("txt", lambda: "A TEXT\n\n" * 199_000),
    "text blanks": ("txt", lambda: "a" + "\n" * 19_000_000 + "b"),
    "text spaces": ("txt", lambda: "a" + " " * 19_000_000 + "b"),
    # EPUB
    "epub 10,000 files": ("epub", lambda path: _many_files(path, 9_000)),
    "epub 50 MB of equal paragraphs": (
        "epub",
        lambda path: _epub(path, {"1.xhtml": xhtml(f"<p>{'word ' * 100}</p>" * 98_000)}),
    ),
    "epub entries to one place": (
        "epub",
        lambda path: _epub(path, {"1.xhtml": xhtml(_HEADINGS + '<p id="p">a</p>')}, _links(20_000, "p")),
    ),
    "epub entries to page breaks": (
        "epub",
        lambda path: _epub(path, {"1.xhtml": xhtml(_PAGES + "<p>a</p>")}, _TO_PAGES, is_ncx=True),
    ),
    "epub entries to nowhere": ("epub", lambda path: _epub(path, {"1.xhtml": xhtml("<p>a</p>")}, _links(20_000, "x"))),
    "epub entries nested": ("epub", _nested_contents),
}


def _write(name: str, folder: Path) -> Path:
    ending, make = CASES[name]
    path = folder / f"book.{ending}"
    if ending == "epub":
        make(path)
    else:
        content = make()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _measure(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-m", "tests.measure.hostile", "--write", name, folder], check=True)
        (path,) = Path(folder).iterdir()
        size = path.stat().st_size
        with (Path(folder) / "out").open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, "-m", "maya_batch", "import", str(path)], stdout=out, stderr=out, preexec_fn=_limits
            )
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = done.returncode
        lines = (Path(folder) / "out").read_text().splitlines()
        code = os.waitstatus_to_exitcode(status)
        seconds, mib = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
        said = next((line for line in lines if " to read aloud" in line), "")
        said = said if code == 0 else " ".join(lines[-2:])[:200]
        over = " <<<<" if seconds > MOST_SECONDS or mib > MOST_MIB or code not in (0, 2) else ""
        return f"{name:30} {size / 1e6:6.1f} MB {seconds:6.1f} s {mib:6.0f} MiB  {code}: {said}{over}"


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (60, 65))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def main(arguments: list[str]) -> None:
    """Measure the cases whose names begin like this, or all."""
    if arguments[:1] == ["--write"]:
        _write(arguments[1], Path(arguments[2]))
        return
    for name in [name for name in CASES if not arguments or any(name.startswith(part) for part in arguments)]:
        print(_measure(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
