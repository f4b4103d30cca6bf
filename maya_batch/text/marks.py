"""The marks of a chapter: `marks: strip` takes them out of the text, `marks: error` refuses them."""

import re

from maya_batch.text.inline_marks import inline_marks
from maya_batch.text.line_marks import line_marks
from maya_batch.text.mark_reports import Marks
from maya_batch.text.passage import Passage
from maya_batch.text.rewriting import Rewriter

_LIKELY = re.compile(r"[*_`#|>~†‡§¶¹²³⁰⁴-⁹•‣◦▪●■]|^\s*[-+]\s", re.MULTILINE)


def mark_strippers(source: str, marks: Marks) -> list[Rewriter]:
    """The rules for the marks of a chapter with this source, in their order."""
    return [line_marks(source, marks), inline_marks(source, marks)]


def has_marks(source: str, passages: list[Passage]) -> bool:
    """Whether a chapter has marks that reach the voice, if its text is given to the model as it is."""
    if _LIKELY.search(source) is None:
        return False
    return any(rule(passage)[1] for rule in mark_strippers(source, "error") for passage in passages)
