"""Divides a document into chapters, in the order of its text: what is read aloud, and what is not with its reason.

Each block is in exactly one chapter, as text or as a heading that its title, its part or its subtitle says. Text before
the first entry of the contents makes chapters, too. The own text of a part, before its first chapter, is a chapter of
that part with its title. A part or an entry that has only a heading becomes the `part` of the chapters after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from maya_batch.importing.blocks import Block, Document
from maya_batch.importing.entries import find_entries
from maya_batch.importing.matter import (
    GUTENBERG_HEADER,
    GUTENBERG_LICENSE,
    NOTES,
    TITLE_PAGE,
    gutenberg_reasons,
    reason_of_roles,
    reason_of_title,
)
from maya_batch.importing.outline import Start, find_starts
from maya_batch.importing.reading_rules import Reading
from maya_batch.importing.titles import ends_parts, heading_title, is_named, is_part, key, one_line, plain, spoken_title
from maya_batch.manifest.one_line import LONGEST_LINE

_TITLE_PAGE_WORDS, _TITLE_PAGE_LINE = 150, 40
"""The longest title page, and the longest paragraph on it, in words."""
_MOSTLY = 0.9
"""The share of a chapter's characters that notes, tables or figures have in a chapter of them."""
_FEW = 30
"""Words that are too few for a chapter of tables or figures that is not read: alternative texts of a cover."""


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


@dataclass
class _Span:
    """Blocks between two starts that belong together."""

    title: str
    blocks: list[Block]
    parts: tuple[str, ...] = ()
    level: int = 0
    skip: str = ""
    front: bool = False
    is_part: bool = False
    announced: list[Block] = field(default_factory=list)
    cut_off: bool = False
    """It was cut off from another span, so its title is not one of the contents."""


def make_chapters(document: Document, reading: Reading | None = None) -> tuple[list[Chapter], list[str]]:
    """The chapters of a document, and remarks about its contents."""
    reading = reading or Reading()
    entries, remarks = find_entries(document)
    starts = find_starts(entries, document.blocks)
    reasons = _reasons(document.blocks)
    spans = [part for span in _spans(document, starts) for part in _by_matter(span, reasons)]
    book = plain(document.metadata.title)
    titled = [replace(span, skip=TITLE_PAGE) if _is_title_page(span, book) else span for span in spans]
    if any(not span.skip and not _is_empty(span, reading) for span in titled):
        spans = titled
    spans = _merge_empty(_with_flat_parts(_joined(spans), reading), reading)
    english = document.metadata.language.lower().partition("-")[0] in ("", "en", "eng")
    return [_chapter(span, english) for span in spans], remarks


def _reasons(blocks: Sequence[Block]) -> dict[int, str]:
    """By the identity of a block: why it is not read aloud, by Project Gutenberg's marks and by its roles."""
    marked = gutenberg_reasons(blocks)
    return {id(block): marked.get(at) or reason_of_roles(block.roles) for at, block in enumerate(blocks)}


def _spans(document: Document, starts: Sequence[Start]) -> Iterator[_Span]:
    """The text before the first start, by file, and that of each start; by file where there are no starts."""
    blocks = document.blocks
    first = starts[0].at if starts else len(blocks)
    title = document.metadata.title
    files = [list(group) for _, group in groupby(blocks[:first], key=lambda block: block.place.file)]
    for number, group in enumerate(files, 1):
        heading = next((heading_title(block.text) for block in group if block.kind == "heading"), "")
        if not starts:
            yield _Span(heading or (title if len(files) == 1 else f"Chapter {number}"), group)
        else:
            yield _Span(heading, group, front=True)
    ends = [*(start.at for start in starts[1:]), len(blocks)]
    for start, end in zip(starts, ends, strict=False):
        parts = (*start.parts, start.title) if start.is_part else start.parts
        yield _Span(start.title, list(blocks[start.at : end]), parts, start.level, is_part=start.is_part)


def _by_matter(span: _Span, reasons: Mapping[int, str]) -> Iterator[_Span]:
    """The span divided by the reasons for which its blocks are not read aloud, each reason with its own title."""
    grouped = groupby(span.blocks, key=lambda block: reasons[id(block)])
    runs = [(reason, list(group)) for reason, group in grouped]
    # Notes inside a chapter stay there; the table of reading rules says whether they are read.
    runs = [
        ("" if reason == NOTES and len(runs) > 1 and not _has_heading(run) else reason, run) for reason, run in runs
    ]
    own = [block for reason, run in runs if not reason for block in run]
    text = [block for block in own if block.text.strip()]
    yielded = False
    for reason, run in runs:
        if reason:
            whole = len(runs) == 1 or (not text and run is runs[0][1])
            heading = next((heading_title(block.text) for block in run if block.kind == "heading"), "")
            named = "" if reason in (GUTENBERG_HEADER, GUTENBERG_LICENSE) else heading
            title = span.title if whole and span.title else named or f"{reason[0].upper()}{reason[1:]}"
            yield replace(span, title=title, blocks=run, skip=reason, is_part=False, cut_off=not whole)
        elif not yielded:
            yielded = True
            yield replace(span, blocks=own, skip=_reason(span, own))


def _joined(spans: Sequence[_Span]) -> list[_Span]:
    """The spans; what was cut off joins the next one that is not read aloud for the same reason."""
    result: list[_Span] = []
    for span in spans:
        if result and result[-1].cut_off and result[-1].skip == span.skip:
            span = replace(span, blocks=[*result.pop().blocks, *span.blocks])
        result.append(span)
    return result


def _has_heading(blocks: Sequence[Block]) -> bool:
    return any(block.kind == "heading" for block in blocks)


def _reason(span: _Span, blocks: Sequence[Block]) -> str:
    """Why the text of a span is not read aloud, by its title and by what it is made of."""
    if reason := reason_of_title(span.title):
        return reason
    characters = sum(len(block.text) for block in blocks)
    notes = sum(len(block.text) for block in blocks if block.kind == "note")
    return NOTES if characters and notes >= _MOSTLY * characters else ""


def _is_title_page(span: _Span, book: str) -> bool:
    """Whether it says the title of the book and little else, under that title or before the first chapter."""
    words = [len(block.text.split()) for block in span.blocks]
    if span.skip or not book or sum(words) > _TITLE_PAGE_WORDS or max(words, default=0) > _TITLE_PAGE_LINE:
        return False
    named = plain(span.title) == book or (span.front and not is_named(span.title))
    return named and f" {book} " in f" {plain(' '.join(block.text for block in span.blocks))} "


def _with_flat_parts(spans: Sequence[_Span], reading: Reading) -> list[_Span]:
    """The spans; one that is only a heading becomes the part of those after it at its level, and of those below it."""
    result: list[_Span] = []
    part: _Span | None = None
    for span in spans:
        if part is not None and (span.level < part.level or (span.level == part.level and ends_parts(span.title))):
            part = None
        if _is_only_heading(span, reading) and not span.front:
            if not span.is_part:
                part = span
            result.append(replace(span, is_part=True))
            continue
        below = part is not None and span.level == part.level and not span.skip
        result.append(replace(span, parts=(*span.parts, part.title)) if below and part else span)
    return result


def _is_only_heading(span: _Span, reading: Reading) -> bool:
    """Whether nothing of it is read aloud but headings."""
    return (
        not span.skip
        and not any(block.kind != "heading" and not reading.reason(block) for block in span.blocks)
        and (_has_heading(span.blocks) or is_part(span.title))
    )


def _is_empty(span: _Span, reading: Reading) -> bool:
    return (
        not any(block.text.strip() for block in span.blocks)
        if span.skip
        else not any(not reading.reason(block) for block in span.blocks)
    )


def _merge_empty(spans: Sequence[_Span], reading: Reading) -> list[_Span]:
    """The spans that have a text; what the others have goes to the next one, and at the end to the last one."""
    result: list[_Span] = []
    waiting: list[Block] = []
    for span in spans:
        left_out = _left_out(span, reading)
        if left_out:
            span = replace(span, skip=left_out, is_part=False)
        elif (span.is_part and _is_only_heading(span, reading)) or _is_empty(span, reading):
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
        result.append(_Span(spans[-1].title, waiting))
    return result


def _left_out(span: _Span, reading: Reading) -> str:
    """The kind of blocks that make up a span of which nothing else would be read, like tables; "" for other spans."""
    if span.skip or any(block.kind != "heading" and not reading.reason(block) for block in span.blocks):
        return ""
    words: dict[str, int] = {}
    for block in span.blocks:
        if block.kind != "heading" and (reason := reading.reason(block)) not in (
            "scene break",
            "page number",
            "no words",
            "",
        ):
            words[reason] = words.get(reason, 0) + len(block.text.split())
    return max(words, key=lambda reason: words[reason]) if sum(words.values()) >= _FEW else ""


def _chapter(span: _Span, english: bool) -> Chapter:
    """The chapter of a span: headings at its beginning that its title or part says are not read twice."""
    first = next((heading_title(block.text) for block in span.blocks if block.kind == "heading"), "")
    title = spoken_title(span.title or first, english) or ("Opening" if span.front else "Untitled")
    announced = list(span.announced)
    rest = list(span.blocks)
    subtitle = ""
    said = [key(name) for name in (span.title or first, *span.parts)]
    titled = False
    while rest and rest[0].kind in ("heading", "page_break") and len(rest[0].text) <= LONGEST_LINE:
        heading = key(rest[0].text)
        if rest[0].kind == "heading" and heading and not any(f" {heading} " in f" {name} " for name in said):
            if said[0] and heading.startswith(f"{said[0]} "):  # the contents shorten it
                title = spoken_title(heading_title(rest[0].text), english)
                said[0] = heading
            elif subtitle or not titled or span.skip:
                break
            else:
                subtitle = one_line(rest[0].text)
        titled = titled or rest[0].kind == "heading"
        announced.append(rest.pop(0))
    if not any(block.text.strip() for block in rest):  # a chapter of headings: they are its text
        rest, announced, subtitle = [*span.blocks], [*span.announced], ""
    return Chapter(title, tuple(rest), tuple(announced), ", ".join(span.parts), subtitle, span.skip)
