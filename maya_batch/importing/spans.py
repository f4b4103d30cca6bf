"""Divides the blocks of a document into spans: the text of each start, by the reason for which it is not read aloud."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from maya_batch.importing.blocks import Block, Document
from maya_batch.importing.matter import (
    GUTENBERG_HEADER,
    GUTENBERG_LICENSE,
    NOTES,
    TITLE_PAGE,
    gutenberg_reasons,
    reason_of_roles,
    reason_of_title,
)
from maya_batch.importing.outline import Start
from maya_batch.importing.reading_rules import Reading
from maya_batch.importing.titles import heading_title, is_named, is_part, plain

_TITLE_PAGE_WORDS, _TITLE_PAGE_LINE = 150, 40
"""The longest title page, and the longest paragraph on it, in words."""
_MOSTLY = 0.9
"""The share of a chapter's characters that notes, tables or figures have in a chapter of them."""
_FEW = 30
"""Words that are too few for a chapter of tables or figures that is not read: alternative texts of a cover."""


@dataclass
class Span:
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


def find_spans(document: Document, starts: Sequence[Start], reading: Reading) -> list[Span]:
    """The spans in the order of the text; each block is in one of them.

    A title page is skipped unless nothing else would be read aloud.
    """
    reasons = _reasons(document.blocks)
    spans = [part for span in _spans(document, starts) for part in _by_matter(span, reasons)]
    book = plain(document.metadata.title)
    titled = [replace(span, skip=TITLE_PAGE) if _is_title_page(span, book) else span for span in spans]
    return _joined(titled if any(not span.skip and not is_empty(span, reading) for span in titled) else spans)


def is_only_heading(span: Span, reading: Reading) -> bool:
    """Whether nothing of it is read aloud but headings."""
    return (
        not span.skip
        and not any(block.kind != "heading" and not reading.reason(block) for block in span.blocks)
        and (_has_heading(span.blocks) or is_part(span.title))
    )


def is_empty(span: Span, reading: Reading) -> bool:
    """Whether nothing of it is read aloud; of a span that is skipped, whether it has no text."""
    return (
        not any(block.text.strip() for block in span.blocks)
        if span.skip
        else not any(not reading.reason(block) for block in span.blocks)
    )


def left_out(span: Span, reading: Reading) -> str:
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


def _reasons(blocks: Sequence[Block]) -> dict[int, str]:
    """By the identity of a block: why it is not read aloud, by Project Gutenberg's marks and by its roles."""
    marked = gutenberg_reasons(blocks)
    return {id(block): marked.get(at) or reason_of_roles(block.roles) for at, block in enumerate(blocks)}


def _spans(document: Document, starts: Sequence[Start]) -> Iterator[Span]:
    """The text before the first start, by file, and that of each start; by file where there are no starts."""
    blocks = document.blocks
    first = starts[0].at if starts else len(blocks)
    title = document.metadata.title
    files = [list(group) for _, group in groupby(blocks[:first], key=lambda block: block.place.file)]
    for number, group in enumerate(files, 1):
        heading = next((heading_title(block.text) for block in group if block.kind == "heading"), "")
        if not starts:
            yield Span(heading or (title if len(files) == 1 else f"Chapter {number}"), group)
        else:
            yield Span(heading, group, front=True)
    ends = [*(start.at for start in starts[1:]), len(blocks)]
    for start, end in zip(starts, ends, strict=False):
        parts = (*start.parts, start.title) if start.is_part else start.parts
        yield Span(start.title, list(blocks[start.at : end]), parts, start.level, is_part=start.is_part)


def _by_matter(span: Span, reasons: Mapping[int, str]) -> Iterator[Span]:
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


def _joined(spans: Sequence[Span]) -> list[Span]:
    """The spans; what was cut off joins the next one that is not read aloud for the same reason."""
    result: list[Span] = []
    for span in spans:
        if result and result[-1].cut_off and result[-1].skip == span.skip:
            before = result.pop().blocks
            before += span.blocks  # in place: a span may be cut into very many
            span = replace(span, blocks=before)
        result.append(span)
    return result


def _has_heading(blocks: Sequence[Block]) -> bool:
    return any(block.kind == "heading" for block in blocks)


def _reason(span: Span, blocks: Sequence[Block]) -> str:
    """Why the text of a span is not read aloud, by its title and by what it is made of."""
    if reason := reason_of_title(span.title):
        return reason
    characters = sum(len(block.text) for block in blocks)
    notes = sum(len(block.text) for block in blocks if block.kind == "note")
    return NOTES if characters and notes >= _MOSTLY * characters else ""


def _is_title_page(span: Span, book: str) -> bool:
    """Whether it says the title of the book and little else, under that title or before the first chapter."""
    words = [len(block.text.split()) for block in span.blocks]
    if span.skip or not book or sum(words) > _TITLE_PAGE_WORDS or max(words, default=0) > _TITLE_PAGE_LINE:
        return False
    named = plain(span.title) == book or (span.front and not is_named(span.title))
    return named and f" {book} " in f" {plain(' '.join(block.text for block in span.blocks))} "
