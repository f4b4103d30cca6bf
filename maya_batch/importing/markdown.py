"""Reads Markdown (CommonMark with tables and footnotes), with metadata in YAML before the text."""

import re
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

from maya_batch.importing.blocks import Block, Document, Metadata
from maya_batch.importing.files import read_file
from maya_batch.importing.html import first_title, page_of
from maya_batch.importing.markdown_effort import check_effort
from maya_batch.importing.text_encoding import NotTextError, decode_text
from maya_batch.importing.titles import one_line
from maya_batch.importing.xhtml_blocks import read_blocks

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.{0,65536}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
#: A footnote: its first line, and those after it that are indented or go on without a blank line.
_NOTE = re.compile(
    r"^ {0,3}\[\^([^\]\s]{1,40})\]:[ \t]*+(.*+(?:\n(?![ \t]*+\n| {0,3}\[\^).++|\n[ \t]*+\n(?= {4}|\t).++)*+)", re.M
)
_NOTE_MARK = re.compile(r"\[\^([^\]\s]{1,40})\]")
_FIELDS = {
    "title": "title",
    "subtitle": "subtitle",
    "language": "language",
    "lang": "language",
    "publisher": "publisher",
    "date": "date",
    "isbn": "isbn",
    "description": "description",
    "series": "series",
    "series_number": "series_number",
}
#: What says that lines between `---` are metadata. The last lines are keys of Pandoc, Jekyll, Hugo and Obsidian that
#: are not used. Without such a key the lines are text between two rules.
_KNOWN = frozenset(
    [
        *_FIELDS, "author", "authors",
        "abstract", "aliases", "categories", "cover-image", "created", "draft", "keywords", "layout", "permalink",
        "rights", "slug", "tags", "toc", "updated",
    ]
)  # fmt: skip
_FIRST_KEY = re.compile(r"(?:[ \t]*(?:#.*)?\n)*([A-Za-z][\w-]*)[ \t]*:(?:\s|\Z)")
_MOST_EVENTS = 2000
_MOST_BYTES = 10_000_000
"""The largest file, in bytes: markdown-it takes about 50 times as much memory."""
_DEEPEST = 50
"""The most levels of quotations and lists, an item of a list being two: what is deeper, markdown-it drops."""
_MOST_NOTES = 10_000
"""The most footnotes: each is parsed separately, in 0.2 ms."""


def read_markdown(path: Path, keep: frozenset[str] = frozenset()) -> Document:
    """The document of a Markdown file; `keep` is as in `xhtml_blocks.read_blocks`.

    Raises:
        UsageError: it cannot be read, or is too large.
        NotTextError: its bytes are no text, or have more lines, marks or notes than a book.
    """
    source, remarks = decode_text(read_file(path, _MOST_BYTES))
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    check_effort(text)
    found = _FRONT_MATTER.match(text)
    fields, remark = _fields(found[1]) if found else (None, "")
    html = _html(text if found is None or fields is None else text[found.end() :])
    reading = read_blocks(page_of(html), "", keep=keep)
    blocks, markup, size = _as_in_source(reading.blocks, reading.markup, reading.characters, len(source))
    remarks = [*remarks, *reading.remarks, *([remark] if remark else [])]
    metadata = _metadata(fields or {}, first_title(blocks))
    return Document(metadata, blocks, (), {"": markup}, {"": size}, remarks=tuple(remarks))


def _html(text: str) -> str:
    """The text as HTML; notes come after the text, as elements that say what they are."""
    notes: list[tuple[str, str]] = []

    def take(found: re.Match[str]) -> str:
        if len(notes) == _MOST_NOTES:
            raise NotTextError(f"has more than {_MOST_NOTES:,} notes; divide it")
        notes.append((found[1], re.sub(r"^(?: {4}|\t)", "", found[2], flags=re.M)))
        return ""

    parser = _Parser("commonmark", {"html": True, "maxNesting": _DEEPEST}).enable(["table", "strikethrough"])
    marked = _NOTE.sub(take, text)
    if notes:
        names = {name for name, _ in notes}
        mark = '<a epub:type="noteref">{}</a>'
        marked = _NOTE_MARK.sub(lambda found: mark.format(escape(found[1])) if found[1] in names else found[0], marked)
    asides = "".join(f'<aside epub:type="footnote">{_rendered(parser, note)}</aside>' for _, note in notes)
    return _rendered(parser, marked) + asides


class _Parser(MarkdownIt):
    """Leaves addresses as they are written: no link is followed, and cleaning them up takes half of the time."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802
        return url

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802
        return link


def _rendered(parser: MarkdownIt, text: str) -> str:
    tokens = parser.parse(text)
    if any(token.level >= _DEEPEST - 1 and token.type in ("blockquote_open", "list_item_open") for token in tokens):
        raise NotTextError("has quotations or lists that are nested too deep in one another")
    return str(parser.renderer.render(tokens, parser.options, {}))


def _as_in_source(
    blocks: tuple[Block, ...], markup: int, characters: int, source: int
) -> tuple[tuple[Block, ...], int, int]:
    """Blocks, markup and size counted in the characters of the Markdown instead of those of the HTML made from it.

    White space counts as markup. Where the text has more characters than the source (an emoji's name, say), the
    HTML is what is counted.
    """
    kept = tuple(
        replace(block, omitted={reason: count for reason, count in block.omitted.items() if reason != "white space"})
        for block in blocks
    )
    rest = source - sum(block.characters for block in kept)
    return (kept, rest, source) if rest >= 0 else (blocks, markup, characters)


def _fields(front: str) -> tuple[dict[str, Any] | None, str]:
    """The metadata between the first two lines of hyphens, None if text stands there, and a remark."""
    data, problem = _yaml(front)
    if problem:
        first = _FIRST_KEY.match(front)
        return ({}, problem) if first is not None and first[1] in _KNOWN else (None, "")
    if not isinstance(data, dict):
        return None, ""
    if _KNOWN.isdisjoint(data):
        return None, "the lines between the first two --- have no known key of metadata, like title; they are text"
    return data, ""


def _yaml(front: str) -> tuple[object, str]:
    """The values of the lines, and why they cannot be read."""
    try:
        for number, event in enumerate(yaml.parse(front, Loader=yaml.SafeLoader)):
            if number > _MOST_EVENTS or isinstance(event, yaml.AliasEvent):
                return None, "the metadata before the text is too long, or has aliases; it was not read"
        return yaml.load(front, Loader=yaml.BaseLoader), ""
    except (yaml.YAMLError, RecursionError, ValueError):
        return None, "the metadata before the text is not valid YAML; it was not read"


def _metadata(fields: Mapping[str, Any], title: str) -> Metadata:
    values = {
        name: one_line(fields[key]) for key, name in _FIELDS.items() if isinstance(fields.get(key), str) and fields[key]
    }
    authors = fields.get("author", fields.get("authors", ()))
    names = [authors] if isinstance(authors, str) else authors if isinstance(authors, list) else []
    values.setdefault("title", title)
    return Metadata(authors=tuple(one_line(name) for name in names if isinstance(name, str) and name), **values)
