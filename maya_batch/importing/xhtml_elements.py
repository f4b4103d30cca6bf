"""What elements of XHTML, HTML and DTBook are: by name, by epub:type and ARIA role, by class.

Old books have no roles: classes that many converters write stand in for them.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from lxml import etree

#: Of HTML, then of DTBook.
_BLOCK_NAMES: Final = """
address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary table tbody
td tfoot th thead tr ul
annotation author bodymatter book bridgehead byline covertitle dateline docauthor doctitle epigraph frontmatter
hd imggroup level level1 level2 level3 level4 level5 level6 lic line linegroup list note poem prodnote rearmatter
sidebar
"""
BLOCKS: Final = frozenset(_BLOCK_NAMES.split())
HEADINGS: Final = {
    "h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6,
    "doctitle": 1, "covertitle": 1, "hd": 3, "bridgehead": 6,
}  # fmt: skip
LISTS: Final = frozenset({"ul", "ol", "menu", "dir", "dl", "list"})
ITEMS: Final = frozenset({"li", "dt", "dd", "lic"})
#: Nothing in them is text of the book.
NO_TEXT: Final = frozenset(
    ["head", "script", "style", "template", "datalist", "param", "track", "source", "col", "colgroup"]
)
#: What they show is no text; the text in them is for readers that cannot show it.
EMBEDDED: Final = frozenset(["audio", "video", "canvas", "iframe", "object", "applet", "embed"])
IMAGES: Final = frozenset({"img", "image", "svg", "picture"})

_TYPE: Final = "{http://www.idpf.org/2007/ops}type"
_MANY_ROLES: Final = 16
_SPACES: Final = re.compile("[ \t\n\r\f]+")
#: Bounds of a look into an element: note marks and page numbers have a few characters, in a few elements.
_MOST_SHORT: Final = 1000
_MOST_LOOKED_AT: Final = 40

NOTES: Final = frozenset({"footnote", "endnote", "rearnote", "note"})
#: Everything in them is a note, but for headings.
SECTIONS_OF_NOTES: Final = frozenset({"footnotes", "endnotes", "rearnotes"})
VERSE: Final = frozenset({"verse", "poem", "stanza", "song", "lyrics", "hymn", "linegroup", "poetry"})
SIDEBARS: Final = frozenset({"sidebar", "pullquote", "tip"})
PAGE_BREAKS: Final = frozenset({"pagebreak"})
NOTE_MARKS: Final = frozenset({"noteref", "annoref", "backlink", "referrer"})

_NOTE_CLASS: Final = re.compile(r"(?:foot|end|rear)[-_]?notes?(?:[-_]?(?:text|body|content|para))?\d*$")
_VERSE_CLASS: Final = re.compile(
    r"(?:verse|poem|poetry|stanza|lyrics?|linegroup|line-group|line-block)(?:[-_]?[a-z]{0,12}\d*)?$"
)
_BREAK_CLASS: Final = re.compile(
    r"(?:.*[-_])?(?:(?:scene|section|space|thought|context|ornamental|text)[-_]?breaks?|asterisms?|ornaments?|dinkus|tb|transition)"
    r"(?:[-_]?\d+)?$"
)
_PAGE_CLASS: Final = re.compile(r"(?:page[-_]?(?:num|number|no|break)s?|pb|folio)$")
_LINE_NUMBER_CLASS: Final = re.compile(r"(?:lnum|linenum|line[-_]?(?:number|num|no)s?)$")
_MARK_CLASS: Final = re.compile(
    r"(?:note[-_]?ref(?:erence)?s?|fn[-_]?(?:anchor|ref|mark|link)|(?:foot|end)[-_]?note(?:[-_]?(?:ref(?:erence)?|anchor|link|mark|call|number))"
    r"|enref|fnref)\d*$"
)
_INITIAL_CLASS: Final = re.compile(
    r"(?:.*[-_])?(?:drop[-_]?caps?|initial(?:[-_]?(?:cap|letter))?|first[-_]?letter|lettrine)\d*$"
)
#: A mark stands in brackets or raised, and is short: `[12]`, `*`, `†`, `iv`.
_SIGN_MARK: Final = re.compile(r"[\[(]\s*(?:\w{1,4}|[*†‡§¶#∗]{1,4})\s*[\])]$|[*†‡§¶∗↩↑←⏎\ufe0e]{1,5}$|\^\w{1,4}$")
_RAISED_MARK: Final = re.compile(r"[\[(]?\s*(?:\d{1,4}|[a-zA-Z]{1,2}|[ivxlc]{1,7}|[*†‡§¶#∗]{1,4})\s*[\])]?[.,]?$")
_PLAIN_MARK: Final = re.compile(r"(?:\d{1,3}|[*†‡§¶]{1,3}|\[\d{1,3}\]|\(\d{1,3}\))$")
_HIDDEN_STYLE: Final = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.I)


def name_of(element: etree._Element) -> str:
    """The name in lower case without namespace, "" for what is no element."""
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    return tag.rpartition("}")[2].rpartition(":")[2].lower()


def roles_of(element: etree._Element) -> frozenset[str]:
    """The epub:type, ARIA role and data-type in lower case, without the prefixes `z3998:` and `doc-`."""
    types = element.get(_TYPE) or element.get("epub:type") or ""
    whole = f"{types} {element.get('role') or ''} {element.get('data-type') or ''}"
    words = whole[:1000].lower().split()
    return frozenset(word.rpartition(":")[2].removeprefix("doc-") for word in words[:_MANY_ROLES])


def classes_of(element: etree._Element) -> list[str]:
    """The classes in lower case."""
    return (element.get("class") or "")[:500].lower().split()


def collapsed(text: str) -> str:
    """A text with white space as HTML shows it; no-break spaces stay."""
    return _SPACES.sub(" ", text).strip()


def text_of(element: etree._Element) -> str:
    """All text in an element, as it stands, without that of scripts."""
    return "".join(texts_in(element)) if len(element) else element.text or ""


def texts_in(element: etree._Element) -> Iterator[str]:
    """The texts in an element, without those of scripts: before and after each element in it, some of them empty."""
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, part in walk:
        if event == "end":
            if part is not element:
                yield part.tail or ""
        elif name_of(part) in NO_TEXT:
            walk.skip_subtree()
        else:
            yield part.text or ""


def short_text_of(element: etree._Element) -> str | None:
    """The collapsed text in an element that has few characters and few elements in it; else None.

    Elements of a kind may be nested thousands deep: a look at each of them must not walk through all that is in it.
    """
    if not len(element):
        text = element.text or ""
        return collapsed(text) if len(text) <= _MOST_SHORT else None
    characters, parts = 0, []
    for number, text in enumerate(texts_in(element)):
        characters += len(text)
        if number >= _MOST_LOOKED_AT or characters > _MOST_SHORT:
            return None
        parts.append(text)
    return collapsed("".join(parts))


def beginning_of(element: etree._Element) -> str:
    """The first text in an element that is not white space; "" if there is none among its first elements."""
    return next((text.lstrip() for text in islice(texts_in(element), _MOST_LOOKED_AT) if text.strip()), "")


def is_hidden(element: etree._Element) -> bool:
    """Whether a reader of the printed page would not see it.

    `aria-hidden` is not a reason: its text is on the page, and often the only one, as in drop caps.
    """
    if element.get("hidden") is not None:
        return True
    style = element.get("style")
    return style is not None and _HIDDEN_STYLE.search(style[:2000]) is not None


def has_class(element: etree._Element, sense: re.Pattern[str]) -> bool:
    """Whether one of its classes has a sense."""
    value = element.get("class")
    return value is not None and any(sense.match(word) for word in classes_of(element))


def is_note(element: etree._Element, roles: frozenset[str]) -> bool:
    """Whether a block element is a footnote or endnote."""
    return not roles.isdisjoint(NOTES) or has_class(element, _NOTE_CLASS)


def is_verse(element: etree._Element, roles: frozenset[str]) -> bool:
    """Whether a block element has lines of verse."""
    return not roles.isdisjoint(VERSE) or has_class(element, _VERSE_CLASS)


def has_scene_break_class(element: etree._Element) -> bool:
    """Whether an element, if it says nothing, separates scenes."""
    return has_class(element, _BREAK_CLASS)


def is_initial(element: etree._Element) -> bool:
    """Whether it is a drop cap."""
    return has_class(element, _INITIAL_CLASS)


def is_page_number(element: etree._Element, roles: frozenset[str]) -> bool:
    """Whether it marks where a page of the printed book begins; a wrapper around text is not."""
    if roles.isdisjoint(PAGE_BREAKS) and name_of(element) != "pagenum" and not has_class(element, _PAGE_CLASS):
        return False
    return _is_within(element, 20)


def is_line_number(element: etree._Element) -> bool:
    """Whether it numbers a line of verse."""
    return has_class(element, _LINE_NUMBER_CLASS) and _is_within(element, 8)


def is_note_mark(element: etree._Element, name: str, roles: frozenset[str]) -> bool:
    """Whether an inline element points to a note, or from a note back to the text."""
    if name == "noteref" or not roles.isdisjoint(NOTE_MARKS):
        return _is_within(element, 40)
    has_mark_class = has_class(element, _MARK_CLASS)
    if name == "a":
        link = element.get("href")
        if not link or (inside := short_text_of(element)) is None:
            return False
        if has_mark_class and len(inside) <= 12:
            return True
        if "#" not in link:
            return False
        if _SIGN_MARK.match(inside):
            return True
        if _RAISED_MARK.match(inside) is None:
            return False
        return any(name_of(child) in ("sup", "sub", "small") and short_text_of(child) == inside for child in element)
    if name not in ("sup", "span", "small") or not (has_mark_class or (name == "sup" and _has_link(element))):
        return False
    inside = short_text_of(element)
    return inside is not None and _RAISED_MARK.match(inside) is not None


def is_raised_number(element: etree._Element, name: str) -> bool:
    """Whether it is a raised number or sign, which may be the mark of a note without a link."""
    return name == "sup" and not len(element) and _PLAIN_MARK.match(element.text or "") is not None


def _has_link(element: etree._Element) -> bool:
    """Whether the first link right in it leads to an id."""
    links = (child.get("href") or "" for child in islice(element, _MOST_LOOKED_AT) if name_of(child) == "a")
    return "#" in next(filter(None, links), "")


def _is_within(element: etree._Element, characters: int) -> bool:
    inside = short_text_of(element)
    return inside is not None and len(inside) <= characters
