"""Reads a plain text: paragraphs between blank lines, hard-wrapped or not, with headings and verse recognised."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from maya_batch.importing.blocks import Block, Document, Kind, Metadata, Place
from maya_batch.importing.files import MOST_PARAGRAPHS, read_file
from maya_batch.importing.plain_text_lines import (
    CHAPTER_LEVEL,
    heading_level,
    join_broken_words,
    split_paragraphs,
    words_at_breaks,
    wrap_width,
)
from maya_batch.importing.text_encoding import NotTextError, decode_text
from maya_batch.importing.titles import one_line, plain

_FIELD = re.compile(r"^(Title|Author|Language|Release date): *(.+(?:\n {2,}\S.*)*)", re.M | re.I)
_HEAD = 5000
"""Characters at the beginning in which Project Gutenberg names title, author and language."""
_LANGUAGES = {"english": "en", "french": "fr", "german": "de", "spanish": "es", "italian": "it", "dutch": "nl"}
_GUTENBERG = re.compile(r"Project Gutenberg", re.I)
_EMPHASIS = re.compile(r"(?<!\w)_([^_\s][^_]{0,1999}+)(?<=\S)_(?!\w)")
#: Up to three digits: `[1914]` is a year that an editor added.
_NOTE_MARK = re.compile(r"(?<=\S) ?\[(?:\d{1,3}|[*†‡])\]")
_LABEL = r"Note(?:[:.]| ?(?-i:[A-Z\d]{1,3})[\]:.])"
"""“[Note 3:” and “[Note A]”, but not “[Note the date!] he cried”."""
_NOTE = re.compile(rf"\s*+\[(?:Footnote\b|{_LABEL})|\s*+\[(?:\d{{1,3}}|[*†‡])\] ", re.I)
_ILLUSTRATION = re.compile(r"\s*+\[(?:Illustration\b|Frontispiece\b|Picture(?=\s*[:.\]]|\s\d|\sof\b))", re.I)
#: To the bracket that closes it, with brackets inside: “[Illustration: [_Copyright 1894_]]”. A note's text may follow
#: its bracket, “[Note 3] By the clock.”, unless a colon is in it.
_WHOLE = re.compile(
    rf"(?:{_ILLUSTRATION.pattern}|\s*+\[(?:Footnote\b|Note\b)[^:\]]{{0,20}}:)(?:[^\[\]]|\[[^\[\]]*+\])*+\]\s*+", re.I
)
_WORD = re.compile(r"[^\W_]")
_BY = re.compile(r"by\s+(\S.{1,80})", re.I)
_TITLE_END = re.compile(r"[,;:.]$")
_LONGEST_TITLE = 80
_MOST_LINES = 1_000_000
"""The most lines, blank ones included: each takes about 100 bytes of memory. The whole Bible has 100,000."""
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
#: Ends of lines; a form feed is a blank character.
_NEW_LINE = re.compile("\r\n|[\r\x0b\x85\u2028]")


def read_plain_text(path: Path) -> Document:
    """The document of a text file.

    Raises:
        UsageError: it cannot be read, is too large, or is no text.
        NotTextError: its bytes are no text.
    """
    source, remarks = decode_text(read_file(path))
    # As long as the source, so that offsets are the same.
    text = _NEW_LINE.sub(lambda found: "\n".rjust(len(found.group())), source).replace("\f", " ")
    if text.count("\n") > _MOST_LINES:
        raise NotTextError(f"has more than {_MOST_LINES:,} lines; divide it")
    blocks, leading = _blocks(text)
    size = {"": len(source)}
    return Document(_metadata(text, blocks), tuple(blocks), (), {"": leading}, size, remarks=tuple(remarks))


def _blocks(text: str) -> tuple[list[Block], int]:
    """The blocks, and how many blank characters come before the first one; the blocks have all after it."""
    groups = _groups(text)
    width = wrap_width([lines for _, _, lines in groups])
    words = words_at_breaks(text)
    spans: list[tuple[int, int, Kind, int]] = []
    lines_of: list[int] = []
    for offset, first_line, lines in groups:
        starts = [offset]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        level = heading_level(lines)
        parts = [(0, len(lines), False)] if level else split_paragraphs(lines, width)
        for first, end, verse in parts:
            start, stop = starts[first], starts[end] - 1
            number, counted = first_line + first, start
            for begin, kind, after in _kinds(text, start, stop, "heading" if level else "verse" if verse else ""):
                if len(spans) >= MOST_PARAGRAPHS:
                    raise NotTextError(f"has more than {MOST_PARAGRAPHS:,} paragraphs; divide it")
                number, counted = number + text.count("\n", counted, begin), begin
                spans.append((begin, after, kind, level))
                lines_of.append(number)
    blocks = []
    for at, ((start, end, kind, level), number) in enumerate(zip(spans, lines_of, strict=True)):
        after = spans[at + 1][0] if at + 1 < len(spans) else len(text)
        blocks.append(_block(text[start:end], after - start, kind, level, number, words))
    return blocks, spans[0][0] if spans else len(text)


def _groups(text: str) -> list[tuple[int, int, list[str]]]:
    """The lines without a blank one between them: offset, number of the first line, lines."""
    groups: list[tuple[int, int, list[str]]] = []
    offset, is_open = 0, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            if not is_open:
                groups.append((offset, number, []))
                if len(groups) > MOST_PARAGRAPHS:
                    raise NotTextError(f"has more than {MOST_PARAGRAPHS:,} paragraphs; divide it")
            groups[-1][2].append(line)
        is_open = bool(line.strip())
        offset += len(line) + 1
    return groups


def _kinds(text: str, start: int, end: int, known: Kind | Literal[""]) -> Iterator[tuple[int, Kind, int]]:
    """The blocks of a paragraph: where each begins, its kind, and its end; prose may follow a figure or note."""
    while not known:
        figure = _ILLUSTRATION.match(text, start, end) is not None
        kind: Kind = "figure" if figure else "note" if _NOTE.match(text, start, end) else "paragraph"
        whole = _WHOLE.match(text, start, end) if kind != "paragraph" else None
        following = _WORD.search(text, whole.end(), end) if whole else None
        if whole is None or following is None:
            known = kind
        else:
            yield start, kind, whole.end()
            start = whole.end()
    yield start, known, end


def _block(raw: str, size: int, kind: Kind, level: int, line: int, words: frozenset[str]) -> Block:
    """The block of a part of the text that has `size` characters with the blank ones after it."""
    omitted: dict[str, int] = {}
    text = join_broken_words(raw, words)
    if text != raw:
        omitted["hyphen at a line's end"] = _shown(raw) - _shown(text)
    if kind != "note" and "[" in text:  # most paragraphs have none, and looking for one is fast
        marked = text
        text = _NOTE_MARK.sub("", text)
        omitted["note mark"] = len(marked) - len(text)
    if "_" in text:
        text, emphases = _EMPHASIS.subn(r"\1", text)
        omitted["emphasis mark"] = 2 * emphases
    text, omitted["control character"] = _CONTROL.subn("", text)
    lines = text.split("\n") if kind == "verse" else [text]
    text = "\n".join(" ".join(line.split()) for line in lines)
    omitted["white space"] = size - len(text) - sum(omitted.values())
    return Block(kind, text, Place("", f"line {line}"), level, omitted={k: v for k, v in omitted.items() if v})


def _shown(text: str) -> int:
    """The characters of a text that are no white space."""
    return len("".join(text.split()))


def _metadata(text: str, blocks: list[Block]) -> Metadata:
    """What Project Gutenberg's header says; else the first heading, and “by …” under it."""
    head = text[:_HEAD]
    if _GUTENBERG.search(head):
        fields = {name.lower(): one_line(value) for name, value in _FIELD.findall(head)}
        language = _LANGUAGES.get(fields.get("language", "").lower(), "")
        author = fields.get("author", "")
        return Metadata(fields.get("title", ""), authors=(author,) if author else (), language=language)
    if not blocks or blocks[0].level == CHAPTER_LEVEL or len(blocks[0].text) > _LONGEST_TITLE:
        return Metadata()
    found = _BY.fullmatch(blocks[1].text) if len(blocks) > 1 else None
    above_heading = len(blocks) > 1 and blocks[1].kind == "heading" and not _TITLE_END.search(blocks[0].text)
    if not (found or above_heading or blocks[0].kind == "heading") or not plain(blocks[0].text):
        return Metadata()
    return Metadata(one_line(blocks[0].text), authors=(found[1],) if found else ())
