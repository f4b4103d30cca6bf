"""Divides a document into chapters, in the order of its text: what is read aloud, and what is not with its reason.

Each block is in exactly one chapter, as text or as a heading that its title, its part or its subtitle says. Text before
the first entry of the contents makes chapters, too. The own text of a part, before its first chapter, is a chapter of
that part with its title. A part or an entry that has only a heading becomes the `part` of the chapters after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from maya_batch.importing.blocks import Block, Document
from maya_batch.importing.entries import find_entries
from maya_batch.importing.outline import find_starts
from maya_batch.importing.reading_rules import Reading
from maya_batch.importing.spans import Span, find_spans, is_empty, is_only_heading, left_out
from maya_batch.importing.text_encoding import NotTextError
from maya_batch.importing.titles import ends_parts, heading_title, key, letter_number, one_line, spoken_title
from maya_batch.manifest.one_line import LONGEST_LINE

_MOST_CHAPTERS = 10_000
"""The most chapters: each is a file, and an entry of book.yaml."""


@dataclass(frozen=True)
class Chapter:
    """A chapter of the book folder."""

    title: str
    blocks: tuple[Block, ...]
    """Its text, without the headings that its title says."""
    announced: tuple[Block, ...] = ()
    """Headings that its title, part and subtitle say; only they have text, but page breaks may stand between them."""
    part: str = ""
    subtitle: str = ""
    skip: str = ""
    """Why it is not read aloud; "" if it is."""


def make_chapters(document: Document, reading: Reading | None = None) -> tuple[list[Chapter], list[str]]:
    """The chapters of a document, and remarks about its contents.

    Raises:
        NotTextError: it has more than 10,000 of them.
    """
    reading = reading or Reading()
    entries, remarks = find_entries(document)
    starts = find_starts(entries, document.blocks)
    spans = find_spans(document, starts, reading)
    if len(spans) > _MOST_CHAPTERS:
        raise NotTextError(f"has more than {_MOST_CHAPTERS:,} chapters; divide it")
    spans = _merge_empty(_with_flat_parts(spans, reading), reading)
    english = document.metadata.language.lower().partition("-")[0] in ("", "en", "eng")
    chapters = [_chapter(span, english) for span in spans]
    return _numbered_by_neighbors(chapters) if english else chapters, remarks


def _numbered_by_neighbors(chapters: Sequence[Chapter]) -> list[Chapter]:
    """The chapters; “L” after chapter 49 or before chapter 51 is chapter 50, and else a letter."""
    titles, result = [chapter.title for chapter in chapters], [*chapters]
    for at, title in enumerate(titles):
        number = letter_number(title)
        if number is not None and (
            titles[max(at - 1, 0) : at] == [f"Chapter {number - 1}"]
            or titles[at + 1 : at + 2] == [f"Chapter {number + 1}"]
        ):
            result[at] = replace(chapters[at], title=f"Chapter {number}")
    return result


def _with_flat_parts(spans: Sequence[Span], reading: Reading) -> list[Span]:
    """The spans; one that is only a heading becomes the part of those after it at its level, and of those below it."""
    result: list[Span] = []
    part: Span | None = None
    for span in spans:
        if part is not None and (span.level < part.level or (span.level == part.level and ends_parts(span.title))):
            part = None
        if is_only_heading(span, reading) and not span.front:
            if not span.is_part:
                part = span
            result.append(replace(span, is_part=True))
            continue
        below = part is not None and span.level == part.level and not span.skip
        result.append(replace(span, parts=(*span.parts, part.title)) if below and part else span)
    return result


def _merge_empty(spans: Sequence[Span], reading: Reading) -> list[Span]:
    """The spans that have a text; what the others have goes to the next one, and at the end to the last one."""
    result: list[Span] = []
    waiting: list[Block] = []
    for span in spans:
        if reason := left_out(span, reading):
            span = replace(span, skip=reason, is_part=False)
        elif (span.is_part and is_only_heading(span, reading)) or is_empty(span, reading):
            waiting += span.blocks
            continue
        if span.skip:  # the heading of a part is for its first chapter that is read
            result.append(replace(span, is_part=False))
            continue
        result.append(replace(span, announced=waiting, is_part=False))
        waiting = []
    if waiting and result:
        result[-1].blocks = [*result[-1].blocks, *waiting]
    elif waiting:
        result.append(Span(spans[-1].title, waiting))
    return result


def _chapter(span: Span, english: bool) -> Chapter:
    """The chapter of a span: headings at its beginning that its title or part says are not read twice."""
    first = next((heading_title(block.text) for block in span.blocks if block.kind == "heading"), "")
    title = spoken_title(span.title or first, english) or ("Opening" if span.front else "Untitled")
    blocks = span.blocks
    subtitle = ""
    said = [key(name) for name in (span.title or first, *span.parts)]
    titled = False
    begin = 0
    """Where the text begins, after the headings that are announced."""
    while (
        begin < len(blocks)
        and (block := blocks[begin]).kind in ("heading", "page_break")
        and len(block.text) <= LONGEST_LINE
    ):
        heading = key(block.text)
        if block.kind == "heading" and heading and not any(f" {heading} " in f" {name} " for name in said):
            if said[0] and heading.startswith(f"{said[0]} "):  # the contents shorten it
                title = spoken_title(heading_title(block.text), english)
                said[0] = heading
            elif subtitle or not titled or span.skip:
                break
            else:
                subtitle = one_line(block.text)
        titled = titled or block.kind == "heading"
        begin += 1
    if not any(block.text.strip() for block in blocks[begin:]):  # a chapter of headings: they are its text
        begin, subtitle = 0, ""
    announced = (*span.announced, *blocks[:begin])
    return Chapter(title, tuple(blocks[begin:]), announced, ", ".join(span.parts), subtitle, span.skip)
