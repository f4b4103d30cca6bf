"""The text of a page of an EPUB as runs: text that inline elements divide, and no block does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from maya_batch.importing.xhtml_elements import BLOCKS, EMBEDDED, IMAGES, NO_TEXT, name_of

_ATOMS = frozenset({"ruby", "br", "math", *NO_TEXT, *EMBEDDED, *IMAGES})
"""Inline elements that are not divided."""
_ANNOTATIONS = frozenset({"rt", "rp", "rtc"})
_LONGEST_PATH, _LONGEST_NAME = 1000, 40
"""As in the paths of `importing.xhtml_scope`."""


@dataclass(frozen=True)
class Run:
    """A text in a block element."""

    block: etree._Element
    number: int
    """How many block elements inside `block` come before it."""
    text: str
    owner: str
    """Of which chapter it is: the value in `owners` of the last place before it, "" without one."""


def runs(root: etree._Element, owners: Mapping[str, str]) -> Iterator[Run]:
    """The runs of a page in order, without empty ones. `owners` names the chapter of places, by their paths."""
    paths: dict[etree._Element, str] = {}
    counts: dict[etree._Element, dict[str, int]] = {}
    ended: dict[etree._Element, int] = {}
    blocks: list[etree._Element] = []
    texts: list[str] = []
    owner = ""

    def run() -> Iterator[Run]:
        text = "".join(texts)
        texts.clear()
        if blocks and text.strip():
            yield Run(blocks[-1], ended.get(blocks[-1], 0), text, owner)

    walk = etree.iterwalk(root, events=("start", "end"))
    atom: etree._Element | None = None
    for event, element in walk:
        name = name_of(element)
        is_whole = is_block(element) or element is root
        if event == "start":
            if is_whole:
                yield from run()
            path = paths[element] = _path(element, name, paths, counts)
            owner = owners.get(path, owner)
            if is_whole:
                blocks.append(element)
            if name in _ATOMS:
                atom = element
                texts.append(atom_text(element))
                walk.skip_subtree()
            else:
                texts.append(element.text or "")
            continue
        if element is atom:
            atom = None
        if is_whole:
            yield from run()
            blocks.pop()
            if blocks:
                ended[blocks[-1]] = ended.get(blocks[-1], 0) + 1
        if element is not root:
            texts.append(element.tail or "")


def is_block(element: etree._Element) -> bool:
    """Whether an element is a block, so that no inline element may be around it."""
    return name_of(element) in BLOCKS


def is_atom(element: etree._Element) -> bool:
    """Whether an inline element is not divided."""
    return name_of(element) in _ATOMS


def atom_text(element: etree._Element) -> str:
    """What an element that is not divided has in the text of its run."""
    name = name_of(element)
    if name == "br":
        return "\n"
    if name != "ruby":
        return ""
    left_out = {part for each in element.iter(etree.Element) if name_of(each) in _ANNOTATIONS for part in each.iter()}
    base = [element.text or ""]
    for part in element.iterdescendants(etree.Element):
        base.append("" if part in left_out else part.text or "")
        parent = part.getparent()
        base.append("" if parent in left_out else part.tail or "")
    return "".join(base)


def _path(
    element: etree._Element,
    name: str,
    paths: Mapping[etree._Element, str],
    counts: dict[etree._Element, dict[str, int]],
) -> str:
    parent = element.getparent()
    if parent is None:
        return f"/{name}"
    own = counts.setdefault(parent, {})
    number = own[name] = own.get(name, 0) + 1
    before = paths[parent]
    if len(before) > _LONGEST_PATH:
        return before
    name = name[:_LONGEST_NAME]
    return f"{before}/{name}" if name == "body" else f"{before}/{name}[{number}]"
