"""Reads a DOCX file: mammoth turns it into HTML, whose blocks are read.

A place in such a document is an element of that HTML. Tracked insertions are text; tracked deletions, comments and what
mammoth does not read are left out and counted.
"""

import io
import re
from dataclasses import replace
from pathlib import Path

from maya_batch.errors import UsageError, first_line
from maya_batch.importing.blocks import Block, Document, Place
from maya_batch.importing.docx_package import open_docx
from maya_batch.importing.files import read_file
from maya_batch.importing.html import first_title, page_of
from maya_batch.importing.xhtml_blocks import read_blocks
from maya_batch.messages.quoting import quoted_names

_MOST_BYTES = 200_000_000
"""The largest file, in bytes: with pictures, which are not read."""
#: Word's title of the document is above its headings, which begin at the first level.
_TITLES = (
    "p[style-name='Title'] => h1:fresh",
    "p[style-name='Subtitle'] => p:fresh",
    *(
        rule
        for level in range(1, 6)
        for rule in (
            f"p.Heading{level} => h{level + 1}:fresh",
            f"p[style-name='Heading {level}'] => h{level + 1}:fresh",
            f"p[style-name='heading {level}'] => h{level + 1}:fresh",
        )
    ),
    "p[style-name='Quote'] => blockquote > p:fresh",
    "p[style-name='Intense Quote'] => blockquote > p:fresh",
)

#: The notes of mammoth's HTML, and the links between them and their marks.
_NOTE = re.compile(r'<li id="(footnote|endnote)-')
_LINK = re.compile(r'<a href="#(footnote|endnote)-(ref-)?')
#: How mammoth begins its message on a character of a font for symbols.
_SYMBOL = "A w:sym element with an unsupported character"


def read_docx(path: Path, keep: frozenset[str] = frozenset()) -> Document:
    """The document of a DOCX file; `keep` is as in `xhtml_blocks.read_blocks`.

    Raises:
        UsageError: it cannot be read, is an old .doc, encrypted or damaged, or unpacks to too much.
    """
    package = open_docx(read_file(path, _MOST_BYTES), str(path), keep)
    html, symbols = _html(package.content, path)
    reading = read_blocks(page_of(html), "", keep=keep)
    blocks = [*reading.blocks]
    if package.left_out:
        blocks.append(Block("note", "", Place("", "/html/body"), omitted=dict(package.left_out)))
    title = first_title(blocks)
    metadata = replace(package.metadata, title=title or package.metadata.title)
    size = reading.characters + package.left_out.total()
    remarks = [*reading.remarks]
    if package.unknown:
        remarks.append(f"the text of elements that are not known is not read: {quoted_names(package.unknown)}")
    if symbols:
        remarks.append(f"symbols of fonts that are not known are left out: {symbols:,}")
    return Document(metadata, tuple(blocks), (), {"": reading.markup}, {"": size}, remarks=tuple(remarks))


def _html(content: bytes, path: Path) -> tuple[str, int]:
    """The HTML, and how many symbols are left out."""
    import mammoth

    try:
        made = mammoth.convert_to_html(
            io.BytesIO(content),
            style_map="\n".join(_TITLES),
            include_embedded_style_map=False,
            convert_image=mammoth.images.img_element(lambda image: {"src": ""}),
        )
    except RecursionError as error:
        raise UsageError(f"{path}: tables or other elements are nested too deep in one another") from error
    except (KeyError, ValueError, AttributeError, TypeError, IndexError, OSError) as error:
        raise UsageError(f"{path}: is damaged ({first_line(error)}); save it as .docx again") from error
    symbols = sum(str(message.message).startswith(_SYMBOL) for message in made.messages)
    return _NOTE.sub(r'<li epub:type="\1" id="\1-', _LINK.sub(_link, str(made.value))), symbols


def _link(found: re.Match[str]) -> str:
    """A link between a note and its mark, with its role."""
    return f'<a epub:type="{"backlink" if found[2] else "noteref"}" href="#{found[1]}-{found[2] or ""}'
