"""Where text rules 1 cut. Pinned: the takes of books that were begun with them depend on each cut."""

import re

from maya_batch.text.cut_ranks import CLOSERS, DASHES, UNBREAKABLE, Rank

# Possessive: otherwise the regex engine would keep a backtracking point for each letter of a word.
WORD = re.compile(rf"[^\W_](?:[^\s{DASHES}-]++|-(?!-))*+")
# After whitespace; or after a dash between words. A dash between digits is a range, one before them a minus,
# and a two-em dash stands for omitted letters.
PLACE = re.compile(rf"(?<=\s)\S|(?<=[^\s{DASHES}-][―—])[\w“‘<(]|(?<=[^\W\d_]–)[^\W\d_]|(?<=\w--)[^\W_]")
_PLAIN_END = re.compile(r"[^\W\d_A-Z]{4}\.$")


def rank(text: str, cut: int) -> Rank:
    """How good it is to cut `text` at `cut`, by the punctuation before it."""
    end = cut
    while end and text[end - 1].isspace():
        end -= 1
    if end == cut or text[end - 1] in DASHES or text.endswith("--", 0, end):
        return Rank.PAUSE
    closed = end
    while end and text[end - 1] in CLOSERS:
        end -= 1
    last = text[end - 1 : end]
    if last and last in "!?…":
        return Rank.STOP
    if last == ".":
        # sentencex found no sentence end here, so a bare full stop may end an abbreviation: "Mr. Smith".
        ends = closed > end or text.endswith("..", 0, end) or _PLAIN_END.search(text[max(0, end - 5) : end])
        return Rank.STOP if ends else Rank.POOR
    if last and last in ";:":
        return Rank.PAUSE
    if last == "," or (closed > end and text[closed - 1] not in "'’"):
        return Rank.COMMA
    return Rank.POOR if any(c in UNBREAKABLE for c in text[closed:cut]) else Rank.SPACE
