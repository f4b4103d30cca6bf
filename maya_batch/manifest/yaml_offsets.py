"""Maps the characters of a YAML string to the text that it was written in.

Every style of scalar (plain, quoted, literal, folded) keeps visible characters in order and changes only
blanks: indentation goes, lines are folded. Visible characters are counted on both sides, and the count
maps one side to the other.
"""

import re
from bisect import bisect_right

import yaml

_VISIBLE = re.compile(r"\S+")
_SINGLE_QUOTED = re.compile(r"''|[^\s']+")
_DOUBLE_QUOTED = re.compile(r'\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\r\n|.)|[^\s\\"]+', re.DOTALL)
# An anchor, a tag and comments can stand between a node's mark and the scalar itself.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+|#[^\r\n]*\s+)*")
_HEADER = re.compile("[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029])?")
_BLANK_ESCAPES = frozenset(" \t\r\n\x85\u2028\u2029_NLPnrtvf")


class ScalarPlaces:
    """Maps offsets in one scalar's value to offsets in the text around it."""

    def __init__(self, node: yaml.ScalarNode, text: str) -> None:
        at, end = node.start_mark.index, node.end_mark.index
        if text[at : at + 1] in ("&", "!"):
            properties = _PROPERTIES.match(text, at, end)
            at = properties.end() if properties else at
        pattern = _VISIBLE
        if node.style in ("|", ">"):
            header = _HEADER.match(text, at, end)
            at = header.end() if header else at
        elif node.style in ("'", '"'):
            pattern = _SINGLE_QUOTED if node.style == "'" else _DOUBLE_QUOTED
            at += 1
        self._text_starts = [at]
        self._text_counts = [0]  # the visible characters before each of the starts
        count = 0
        for found in pattern.finditer(text, at, end):
            width = _visible_width(found[0], node.style)
            if width:
                if count:
                    self._text_starts.append(found.start())
                    self._text_counts.append(count)
                else:
                    self._text_starts[0] = found.start()
                count += width
        self._runs = [found.span() for found in _VISIBLE.finditer(node.value)]
        self._run_starts = [start for start, _ in self._runs]
        self._run_counts = [0]
        for start, end in self._runs:
            self._run_counts.append(self._run_counts[-1] + end - start)

    def offset(self, value_offset: int) -> int:
        """The offset in the text of the character `value_offset` of the value."""
        run = bisect_right(self._run_starts, value_offset) - 1
        if run < 0:
            return self._text_starts[0]
        start, end = self._runs[run]
        if value_offset < end:
            return self._of_visible(self._run_counts[run] + value_offset - start)
        return self._of_visible(self._run_counts[run + 1] - 1) + 1

    def _of_visible(self, count: int) -> int:
        piece = bisect_right(self._text_counts, count) - 1
        return self._text_starts[piece] + count - self._text_counts[piece]


def _visible_width(piece: str, style: str | None) -> int:
    """How many visible characters of the value a piece of the text stands for."""
    if style == "'" and piece == "''":
        return 1
    if style == '"' and piece[0] == "\\":
        if len(piece) > 3:
            return 0 if chr(int(piece[2:], 16)).isspace() else 1
        return 0 if piece[1] in _BLANK_ESCAPES else 1
    return len(piece)
