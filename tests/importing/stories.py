"""One short story as Markdown, HTML, DOCX, plain text and EPUB, and builders of manuscripts for tests."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from textwrap import fill

from maya_batch.importing.blocks import Block, ContentsEntry, Document, Kind, Metadata, Place

TITLE, AUTHOR = "The Lamp on the Water", "A. Writer"
#: Parts with their chapters: titles and paragraphs.
STORY: Sequence[tuple[str, Sequence[tuple[str, Sequence[str]]]]] = (
    (
        "Part One",
        (
            (
                "Chapter 1: The Ferry",
                (
                    "The night was dark, and the ferry crossed the river more slowly than the boy had hoped.",
                    "“Who goes there?” the ferryman asked; he had 3 < 4 lamps [sic] and a backslash \\ on his sleeve.",
                ),
            ),
            (
                "Chapter 2: The Hill",
                ("Nobody answered, for the wind was loud and the far bank was still a mile away.",),
            ),
        ),
    ),
    (
        "Part Two",
        (
            (
                "Chapter 3: The House",
                (
                    "In the morning they saw the house on the hill, whose windows were all dark but one.",
                    "Then the lamp went out, and the river was as quiet as it had been before they came.",
                ),
            ),
        ),
    ),
)
CHAPTERS = [(f"{title}", part, list(paragraphs)) for part, chapters in STORY for title, paragraphs in chapters]


def markdown() -> bytes:
    lines = [f"---\ntitle: {TITLE}\nauthor: {AUTHOR}\n---\n", f"# {TITLE}\n", f"by {AUTHOR}\n"]
    for part, chapters in STORY:
        lines.append(f"## {part}\n")
        for title, paragraphs in chapters:
            lines.append(f"### {title}\n")
            lines += [text.replace("\\", "\\\\").replace("[", "\\[").replace("<", "\\<") + "\n" for text in paragraphs]
    return "\n".join(lines).encode()


def html_body() -> str:
    lines = [f"<h1>{TITLE}</h1>", f"<p>by {AUTHOR}</p>"]
    for part, chapters in STORY:
        lines.append(f"<h2>{part}</h2>")
        for title, paragraphs in chapters:
            lines.append(f"<h3>{title}</h3>")
            lines += [f"<p>{escape(text)}</p>" for text in paragraphs]
    return "\n".join(lines)


def html() -> bytes:
    head = f'<meta charset="utf-8"><title>{TITLE}</title><meta name="author" content="{AUTHOR}">'
    return f"<!DOCTYPE html><html lang='en'><head>{head}</head><body>{html_body()}</body></html>".encode()


def plain_text() -> bytes:
    lines = [TITLE.upper(), "", f"by {AUTHOR}", ""]
    for part, chapters in STORY:
        lines += ["", part.upper(), ""]
        for title, paragraphs in chapters:
            lines += [title, ""]
            for text in paragraphs:
                lines += [fill(text, 60), ""]
    return "\n".join(lines).encode()


def word_paragraph(text: str, style: str = "", before: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}{before}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_TYPES = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def docx(paragraphs: str | None = None, extra: Mapping[str, str] | None = None, title: str = TITLE) -> bytes:
    """A DOCX with these paragraphs in WordprocessingML; `extra` are other parts of word/, like `footnotes`."""
    if paragraphs is None:
        made = [word_paragraph(TITLE, "Title"), word_paragraph(f"by {AUTHOR}")]
        for part, chapters in STORY:
            made.append(word_paragraph(part, "Heading1"))
            for name, texts in chapters:
                made += [word_paragraph(name, "Heading2"), *map(word_paragraph, texts)]
        paragraphs = "".join(made)
    extra = extra or {}
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{shown}"/></w:style>'
        for name, shown in [("Title", "Title"), *((f"Heading{n}", f"heading {n}") for n in range(1, 7))]
    )
    relations = "".join(
        f'<Relationship Id="r{name}" Target="{name}.xml" '
        f'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{name}"/>'
        for name in ("styles", *extra)
    )
    package = "http://schemas.openxmlformats.org/package/2006"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_TYPES}.document.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">{relations}</Relationships>',
        "word/styles.xml": f"<w:styles {_WORD}>{styles}</w:styles>",
        "word/document.xml": f"<w:document {_WORD}><w:body>{paragraphs}</w:body></w:document>",
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{package}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:creator>{AUTHOR}</dc:creator>'
        "</cp:coreProperties>",
    }
    files |= {f"word/{name}.xml": content.replace("XMLNS", _WORD) for name, content in extra.items()}
    return zipped({name: text.encode() for name, text in files.items()})


def epub() -> bytes:
    """The story with one file for each part, contents by anchors, and a title page."""
    opf = f"""<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
    <metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x</dc:identifier>
    <dc:title>{TITLE}</dc:title><dc:creator>{AUTHOR}</dc:creator><dc:language>en</dc:language></metadata><manifest>
    <item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
    <item id="t" href="title.xhtml" media-type="application/xhtml+xml"/>"""
    spine, nav = '<itemref idref="t"/>', ""
    files = {"title.xhtml": f"<h1>{TITLE}</h1><p>by {AUTHOR}</p>"}
    for number, (part, chapters) in enumerate(STORY):
        opf += f'<item id="p{number}" href="p{number}.xhtml" media-type="application/xhtml+xml"/>'
        spine += f'<itemref idref="p{number}"/>'
        body = f"<h1>{part}</h1>"
        nav += f'<li><a href="p{number}.xhtml">{part}</a><ol>'
        for at, (title, paragraphs) in enumerate(chapters):
            body += f'<h2 id="c{at}">{title}</h2>' + "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
            nav += f'<li><a href="p{number}.xhtml#c{at}">{title}</a></li>'
        nav += "</ol></li>"
        files[f"p{number}.xhtml"] = body
    page = '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><head><title/></head>'
    zipped_files = {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        b'<rootfiles><rootfile full-path="o.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        "o.opf": f"{opf}</manifest><spine>{spine}</spine></package>".encode(),
        "nav.xhtml": f'{page}<body><nav epub:type="toc"><ol>{nav}</ol></nav></body></html>'.encode(),
    }
    zipped_files |= {name: f"{page}<body>{body}</body></html>".encode() for name, body in files.items()}
    return zipped(zipped_files)


def zipped(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in files.items():
            package.writestr(name, data)
    return content.getvalue()


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def block(
    text: str,
    kind: Kind = "paragraph",
    *,
    file: str = "a.xhtml",
    level: int = 0,
    ids: tuple[str, ...] = (),
    roles: Sequence[str] = (),
    **omitted: int,
) -> Block:
    return Block(kind, text, Place(file, "/p"), level, ids, frozenset(roles), omitted)


def heading(text: str, level: int = 1, *, file: str = "a.xhtml", ids: tuple[str, ...] = ()) -> Block:
    return block(text, "heading", file=file, level=level, ids=ids)


def document(
    blocks: Sequence[Block], contents: Sequence[tuple[str, int, str]] = (), title: str = "", language: str = "en"
) -> Document:
    """A document of blocks; `contents` are titles, levels and targets like `a.xhtml#one`."""
    entries = tuple(
        ContentsEntry(name, level, target.partition("#")[0], target.partition("#")[2])
        for name, level, target in contents
    )
    sizes: dict[str, int] = {}
    for each in blocks:
        sizes[each.place.file] = sizes.get(each.place.file, 7) + each.characters
    markup = dict.fromkeys(sizes, 7)
    return Document(Metadata(title=title, language=language), tuple(blocks), entries, markup, sizes)
