"""Puts an element around each sentence of a page, and changes nothing else of it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import NamedTuple

from lxml import etree

from maya_batch.epub3.page_text import Run, atom_text, is_atom, is_block

_XHTML = "http://www.w3.org/1999/xhtml"


class Mark(NamedTuple):
    """A part of a run that becomes an element."""

    start: int
    end: int
    """Characters of the run's text."""
    anchor: str
    """The id of the element."""


def mark_page(marks: Sequence[tuple[Run, Mark]]) -> dict[str, str]:
    """Put a `span` with its id around each mark.

    An inline element that a mark begins or ends in is divided in two, of which the first keeps the id. Some elements,
    like `ruby`, are not divided: a mark has all of them or nothing. Marks that overlap then get one `span` for all of
    them, with the id of the first one.

    Returns:
        The anchors without a `span`, each with the anchor of the `span` around its text.
    """
    joined: dict[str, str] = {}
    by_block = defaultdict[etree._Element, dict[int, list[Mark]]](lambda: defaultdict(list))
    for run, mark in marks:
        by_block[run.block][run.number].append(mark)
    for block, runs in by_block.items():
        _Rewriter(block, runs, joined).rewrite()
    return joined


class _Token(NamedTuple):
    """A piece of a block's content."""

    kind: str
    """`text`, `open`, `close` or `whole`: an element that is not divided."""
    element: etree._Element | None
    text: str
    """Its characters in the text of the run."""


class _Edge(NamedTuple):
    """A place between two tokens."""

    at: int
    """In the text of the run."""
    token: int
    """The number of the token after it."""
    stack: tuple[etree._Element, ...]
    """The elements that it is in."""


class _Span(NamedTuple):
    """The element of a mark."""

    start: _Edge
    end: _Edge
    anchor: str

    @property
    def level(self) -> int:
        """How many elements it is in."""
        return _common(self.start, self.end)


@dataclass
class _Open:
    """An element of the result that is open."""

    source: etree._Element | None
    """None for the element of a mark."""
    made: etree._Element


@dataclass
class _Rewriter:
    """Rewrites the content of one block."""

    block: etree._Element
    runs: dict[int, list[Mark]]
    joined: dict[str, str]
    """What `mark_page` returns; this adds to it."""
    stack: list[_Open] = field(default_factory=list)

    def rewrite(self) -> None:
        tokens = list(self._tokens())
        spans = self._spans(tokens)
        begins, ends = {span.start.token: span for span in spans}, {span.end.token: span for span in spans}
        attributes, tail = dict(self.block.attrib), self.block.tail
        self.block.clear()
        self.block.attrib.update(attributes)
        self.block.tail = tail
        self.stack = [_Open(self.block, self.block)]
        for number, token in enumerate([*tokens, _Token("end", None, "")]):
            if number in ends:
                self._end(ends[number].level)
            if number in begins:
                self._begin(begins[number].level, begins[number].anchor)
            self._write(token)

    def _tokens(self) -> Iterator[_Token]:
        """The content of the block; texts are divided where marks begin and end."""
        number = at = 0
        for token in _content(self.block):
            if token.kind == "whole" and token.element is not None and is_block(token.element):
                number, at = number + 1, 0
                yield token
                continue
            if token.kind != "text":
                at += len(token.text)
                yield token
                continue
            cuts = {edge for mark in self.runs.get(number, ()) for edge in mark[:2]}
            places = [0, *sorted(cut - at for cut in cuts if at < cut < at + len(token.text)), len(token.text)]
            for begin, end in pairwise(places):
                yield _Token("text", None, token.text[begin:end])
            at += len(token.text)

    def _spans(self, tokens: Sequence[_Token]) -> list[_Span]:
        """For each mark the places between tokens for which the fewest elements are divided."""
        found: list[_Span] = []
        states = defaultdict[int, list[_Edge]](list)
        number = at = 0
        stack: list[etree._Element] = []
        for index, token in enumerate([*tokens, _Token("end", None, "")]):
            states[number].append(_Edge(at, index, tuple(stack)))
            if token.kind == "open" and token.element is not None:
                stack.append(token.element)
            elif token.kind == "close":
                stack.pop()
            elif token.kind == "whole" and token.element is not None and is_block(token.element):
                number, at = number + 1, 0
                continue
            at += len(token.text)
        for number, marks in self.runs.items():
            for mark in self._apart(marks, [state.at for state in states[number]]):
                begins = [state for state in states[number] if state.at == mark.start]
                ends = [state for state in states[number] if state.at == mark.end]
                start, end = min(product(reversed(begins), ends), key=_divided)
                found.append(_Span(start, end, mark.anchor))
        return found

    def _apart(self, marks: Sequence[Mark], edges: Sequence[int]) -> list[Mark]:
        """The marks from one edge to another, in order; those that overlap are one."""
        # Inside an element that is not divided, a mark begins before it, and ends after it.
        wide = [
            Mark(max(at for at in edges if at <= start), min(at for at in edges if at >= end), anchor)
            for start, end, anchor in marks
        ]
        found: list[Mark] = []
        for mark in sorted(wide, key=lambda mark: mark.start):
            if found and mark.start < found[-1].end:
                found[-1] = found[-1]._replace(end=max(found[-1].end, mark.end))
                self.joined[mark.anchor] = found[-1].anchor
            else:
                found.append(mark)
        return found

    def _begin(self, level: int, anchor: str) -> None:
        inner = self._close_to(level)
        span = etree.SubElement(self.stack[-1].made, f"{{{_XHTML}}}span", {"id": anchor})
        self.stack.append(_Open(None, span))
        self._reopen(inner)

    def _end(self, level: int) -> None:
        inner = [each for each in self._close_to(level) if each.source is not None]
        self._reopen(inner)

    def _close_to(self, level: int) -> list[_Open]:
        """Close the elements that are deeper than a level below the block; returns them."""
        closed = self.stack[level + 1 :]
        del self.stack[level + 1 :]
        return closed

    def _reopen(self, closed: Sequence[_Open]) -> None:
        """Open elements again; those that are empty are moved, others go on without their id."""
        for each in closed:
            assert each.source is not None
            made = etree.SubElement(self.stack[-1].made, each.source.tag, dict(each.source.attrib))
            if len(each.made) or each.made.text:
                made.attrib.pop("id", None)
            else:
                _remove(each.made)
            self.stack.append(_Open(each.source, made))

    def _write(self, token: _Token) -> None:
        into = self.stack[-1].made
        if token.kind == "text":
            _append(into, token.text)
        elif token.kind == "whole" and token.element is not None:
            into.append(token.element)
        elif token.kind == "open" and token.element is not None:
            source = token.element
            made = etree.SubElement(into, source.tag, dict(source.attrib))
            self.stack.append(_Open(source, made))
        elif token.kind == "close":
            closed = self.stack.pop()
            # The rest of a divided element: nothing followed the mark in it.
            if not len(closed.made) and not closed.made.text and len(token.text) == 0 and _is_rest(closed):
                _remove(closed.made)


def _is_rest(closed: _Open) -> bool:
    source = closed.source
    return source is not None and bool(len(source) or source.text)


def _divided(edges: tuple[_Edge, _Edge]) -> tuple[int, int]:
    """How many elements a mark between two places divides, and how many it is in."""
    one, other = edges
    level = _common(one, other)
    return len(one.stack) + len(other.stack) - 2 * level, level


def _common(one: _Edge, other: _Edge) -> int:
    """How many elements two places are both in."""
    count = 0
    for first, second in zip(one.stack, other.stack, strict=False):
        if first is not second:
            break
        count += 1
    return count


def _content(block: etree._Element) -> Iterator[_Token]:
    """The content of a block, without recursion: a page may be nested deep."""
    if block.text:
        yield _Token("text", None, block.text)
    waiting: list[tuple[etree._Element, bool]] = [(child, True) for child in reversed(block)]
    while waiting:
        element, is_begin = waiting.pop()
        tail = element.tail or ""
        if not is_begin:
            yield _Token("close", element, "")
        elif is_block(element) or is_atom(element) or not isinstance(element.tag, str):
            element.tail = None
            yield _Token("whole", element, "" if is_block(element) else atom_text(element))
        else:
            yield _Token("open", element, "")
            if element.text:
                yield _Token("text", None, element.text)
            waiting.append((element, False))
            waiting += [(child, True) for child in reversed(element)]
            continue
        if tail:
            yield _Token("text", None, tail)


def _append(element: etree._Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def _remove(element: etree._Element) -> None:
    """Remove an empty element without tail."""
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)
