"""What an open element means for the text in it: which kind of block it becomes, where it is, which roles it has."""

from dataclasses import dataclass, field
from typing import Literal

from lxml import etree

from maya_batch.importing import xhtml_elements as elements
from maya_batch.importing.blocks import Kind

#: Paths longer than this stay at the last element that fits: books do not nest 100 deep.
_LONGEST_PATH = 1000

_CAPTIONS = frozenset({"figcaption", "caption", "p"})

Lock = Literal["open", "headings only", "closed"]


@dataclass(slots=True)
class Scope:
    """An open element."""

    name: str
    path: str
    kind: Kind
    roles: frozenset[str]
    parent: "Scope | None" = None
    block: "Scope | None" = None
    """The block element whose text this is; None for the element itself."""
    level: int = 0
    depth: int = 0
    """Of lists."""
    lock: Lock = "open"
    """Which elements in it are blocks of another kind."""
    merges: str | None = None
    """What separates the block elements in it, which are one block; None if they are blocks of their own."""
    separates_scenes: bool = False
    is_initial: bool = False
    is_captioned: bool | None = None
    """Whether the outermost figure around it has a caption; None outside figures."""
    has_span_lines: bool = False
    opens_quote: bool = False
    is_raised: bool = False
    """Its text is a raised number or sign."""
    blocks_before: int = 0
    children: dict[str, int] = field(default_factory=dict)

    @property
    def owner(self) -> "Scope":
        """The block element whose text this is."""
        return self.block or self

    @property
    def is_block(self) -> bool:
        """Whether it is a block element."""
        return self.block is None


def path_in(parent: Scope | None, name: str) -> str:
    """The path of the next child of that name; each step is counted among its namesakes, but for html and body."""
    if parent is None:
        return f"/{name}"
    number = parent.children[name] = parent.children.get(name, 0) + 1
    if len(parent.path) > _LONGEST_PATH:
        return parent.path
    name = name if len(name) <= 40 else name[:40]
    return f"{parent.path}/{name}" if name == "body" else f"{parent.path}/{name}[{number}]"


def inline_scope(parent: Scope, name: str, path: str) -> Scope:
    """The scope of an inline element: that of its block."""
    scope = Scope(name, path, parent.kind, parent.roles, parent, parent.owner, parent.level, parent.depth, parent.lock)
    scope.is_captioned = parent.is_captioned
    return scope


def block_scope(parent: Scope | None, element: etree._Element, name: str, path: str, own: frozenset[str]) -> Scope:
    """The scope of a block element with these roles."""
    if parent is None:
        return Scope(name, path, "paragraph", own)
    roles = parent.roles | own if own else parent.roles
    scope = Scope(name, path, parent.kind, roles, parent, None, parent.level, parent.depth, parent.lock)
    scope.merges, scope.is_captioned = parent.merges, parent.is_captioned
    if scope.merges is not None:
        scope.block = parent.owner
        return scope
    if name in elements.LISTS:
        scope.depth += 1
    if scope.lock != "closed":
        _set_kind(scope, element, name, own)
    if element.get("class"):
        scope.separates_scenes = elements.has_scene_break_class(element)
        scope.is_initial = elements.is_initial(element)
    if scope.kind == "verse":
        scope.has_span_lines = _has_span_lines(element)
    return scope


def _set_kind(scope: Scope, element: etree._Element, name: str, own: frozenset[str]) -> None:
    heading = elements.HEADINGS.get(name, 0)
    if not heading and "heading" in own:
        level = element.get("aria-level") or ""
        heading = int(level) if level in ("1", "2", "3", "4", "5", "6") else 2
    if elements.is_note(element, own):
        scope.kind, scope.lock = "note", "closed"
    elif heading or name == "hgroup":
        scope.kind, scope.level = "heading", heading or _level_of(element)
        scope.merges = " " if heading else ": "
    elif scope.lock == "headings only":
        return
    elif not own.isdisjoint(elements.SECTIONS_OF_NOTES):
        scope.kind, scope.lock = "note", "headings only"
    elif name in ("aside", "sidebar") or not own.isdisjoint(elements.SIDEBARS):
        scope.kind, scope.lock = "sidebar", "closed"
    elif name == "table" and not _is_layout(element):
        scope.kind, scope.lock = "table", "closed"
    elif name in ("poem", "linegroup") or elements.is_verse(element, own):
        scope.kind = "verse"
    elif name in ("figure", "imggroup"):
        scope.kind = "figure"
        if scope.is_captioned is None:  # figures may be nested thousands deep: only the outermost is looked through
            scope.is_captioned = _has_caption(element)
    elif name in ("figcaption", "caption"):
        scope.kind = "figure"
    elif scope.kind == "verse":
        return
    elif name == "blockquote":
        scope.kind = "quote"
    elif name == "pre":
        scope.kind = "code"
    elif name in elements.ITEMS:
        scope.kind, scope.level = "list_item", max(1, scope.depth)


def _level_of(group: etree._Element) -> int:
    """The level of a group of headings: that of its highest one."""
    return min((elements.HEADINGS.get(elements.name_of(child), 6) for child in group), default=6)


def _has_caption(figure: etree._Element) -> bool:
    depth = 0
    for event, part in etree.iterwalk(figure, events=("start", "end")):
        if event == "end":
            if elements.name_of(part) in _CAPTIONS:
                depth -= 1
            text = part.tail if part is not figure else None
        else:
            if elements.name_of(part) in _CAPTIONS:
                depth += 1
            text = part.text if elements.name_of(part) not in elements.NO_TEXT else None
        if depth and text and not text.isspace():
            return True
    return False


def _is_layout(table: etree._Element) -> bool:
    """Whether a table only places things: it has one column, or headings or tables in it."""
    columns = 0
    for part in table.iterdescendants():
        name = elements.name_of(part)
        if name == "table" or name in elements.HEADINGS:
            return True
        if name == "tr":
            columns = max(columns, sum(elements.name_of(cell) in ("td", "th") for cell in part))
    return columns < 2


def _has_span_lines(element: etree._Element) -> bool:
    """Whether a stanza has one span for each line, on lines of the source."""
    if len(element) < 2 or (element.text or "").strip():
        return False
    return all(
        elements.name_of(child) in ("span", "br") and not (child.tail or "").strip() and ("\n" in (child.tail or "\n"))
        for child in element
    )
