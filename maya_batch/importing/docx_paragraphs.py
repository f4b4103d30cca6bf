"""Joins paragraphs of a DOCX that are one: a drop cap with its text, and those whose mark in between is deleted."""

from lxml import etree

from maya_batch.importing.docx_left_out import W

_DROP_CAP_RUNS = 20
"""The most runs of a drop cap: it is a letter or a word."""


def join_paragraphs(tree: etree._Element) -> None:
    """Put what is in such a paragraph before what is in the next one."""
    joined = [
        paragraph
        for paragraph in tree.iter(f"{W}p")
        if (properties := paragraph.find(f"{W}pPr")) is not None
        and (_is_drop_cap(paragraph, properties) or properties.find(f"{W}rPr/{W}del") is not None)
    ]
    for paragraph in reversed(joined):  # so that nothing is moved twice
        parent, after = paragraph.getparent(), paragraph.getnext()
        if parent is None or after is None or after.tag != f"{W}p":
            continue
        first = next(iter(after), None)  # len() would count all that is in it
        for child in reversed([child for child in paragraph if child.tag != f"{W}pPr"]):
            if first is not None and first.tag == f"{W}pPr":
                first.addnext(child)
            else:
                after.insert(0, child)
        parent.remove(paragraph)


def _is_drop_cap(paragraph: etree._Element, properties: etree._Element) -> bool:
    """Whether it is a few letters in a frame."""
    frame = properties.find(f"{W}framePr")
    if frame is None or frame.get(f"{W}dropCap") not in ("drop", "margin"):
        return False
    return sum(child.tag != f"{W}pPr" for child in paragraph) <= _DROP_CAP_RUNS
