"""Elements that are left out of the text: why, and what is counted or stands in their place."""

from collections.abc import Callable
from itertools import islice

from lxml import etree

from maya_batch.importing import xhtml_elements as elements
from maya_batch.importing.xhtml_block_text import BlockText

_WHITE = " \t\n\r\f"
_MOST_CASES = 20


def reason_of(element: etree._Element, name: str, roles: frozenset[str], *, is_block: bool) -> str | None:
    """Why an element is left out of the text; None if it is read."""
    if name in elements.IMAGES:
        return None if name == "picture" else "alternative text"
    if name == "math":
        return "formula"
    if name in ("rt", "rp", "rtc"):
        return "ruby"
    if name in elements.EMBEDDED:
        return "fallback"
    if name == "case" and _has_default(element):
        return "alternative content"
    if len(element.attrib):
        if elements.is_hidden(element):
            return "hidden"
        if elements.is_page_number(element, roles):
            return "page number"
        if not is_block and elements.is_line_number(element):
            return "line number"
    elif name == "pagenum":
        return "page number"
    if (
        not is_block
        and name in ("a", "sup", "span", "small", "noteref")
        and elements.is_note_mark(element, name, roles)
    ):
        return "note mark"
    return None


def leave_out(element: etree._Element, reason: str, opened: Callable[[], BlockText], *, is_kept: bool) -> None:
    """Count what an element says in the block that `opened` returns; nothing is opened if it says nothing.

    Formulas and alternative texts that are kept, formulas of one token and images of one letter become text.
    """
    said = elements.text_of(element)
    if reason == "page number":
        label = said if said.strip() else element.get("title") or element.get("aria-label") or ""
        opened().omit_page_number(label, len(said))
    elif reason == "formula":
        alternative = element.get("alttext") or ""
        if _is_one_token(element, said):
            opened().add(said)
        elif is_kept:
            opened().add(alternative or _shown(element))
        elif said.strip() or alternative:
            opened().omit_formula(alternative or _shown(element), len(said) + len(alternative))
    elif reason == "alternative text":
        alternative = element.get("alt") or element.get("aria-label") or ""
        said = said if said.strip() else ""
        if is_kept or _is_initial(alternative):
            opened().add(alternative)
        elif alternative.strip() or said:
            opened().omit_image(alternative or _title(element) or said, len(said) + len(alternative))
    elif said.strip(_WHITE):
        opened().omit(reason, len(said))


def _is_initial(alternative: str) -> bool:
    """Whether an image is a drop cap: one letter."""
    letter = alternative.strip().lstrip("“\"'‘«")
    return len(letter) == 1 and letter.isalpha()


def _has_default(case: etree._Element) -> bool:
    """Whether a `case` of a `switch` has an alternative after it that any reader shows."""
    return any(elements.name_of(other) == "default" for other in islice(case.itersiblings(), _MOST_CASES))


def _is_one_token(math: etree._Element, said: str) -> bool:
    return (
        bool(said.strip())
        and len(said.strip()) <= 4
        and sum(bool((part.text or "").strip()) for part in math.iter()) == 1
    )


def _shown(math: etree._Element) -> str:
    """What a formula shows: its tokens, without annotations."""
    tokens = ("mi", "mn", "mo", "mtext", "ms")
    return " ".join((part.text or "").strip() for part in math.iter() if elements.name_of(part) in tokens)


def _title(drawing: etree._Element) -> str:
    for part in drawing.iter():
        if elements.name_of(part) in ("title", "desc") and (part.text or "").strip():
            return part.text or ""
    return ""
