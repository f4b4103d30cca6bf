"""Where a sentence may be cut: never inside a word or a tag, preferably at punctuation."""

import re
from bisect import bisect_left, bisect_right

from maya_batch.text.emotion_tags import TAG

_DASHES = "–—―⸺⸻"
# Possessive: otherwise the regex engine would keep a backtracking point for each letter of a word.
_WORD = re.compile(rf"[^\W_](?:[^\s{_DASHES}-]++|-(?!-))*+")
# After whitespace; or after a dash between words. A dash between digits is a range, one before them a minus,
# and a two-em dash stands for omitted letters.
_CUT = re.compile(rf"(?<=\s)\S|(?<=[^\s{_DASHES}-][―—])[\w“‘<(]|(?<=[^\W\d_]–)[^\W\d_]|(?<=\w--)[^\W_]")
_TAG_RUN = re.compile(rf"(?:{TAG.pattern}\s*+)++")
_CLOSERS = "\"'”’»›)]}"
_UNBREAKABLE = "\u00a0\u2007\u202f"
_STOP, _PAUSE, _COMMA, _SPACE, _POOR = 4, 3, 2, 1, 0
"""How good a cut is. Poor: at a no-break space or after an abbreviation."""
_PLAIN_END = re.compile(r"[^\W\d_A-Z]{4}\.$")


def count_words(text: str) -> int:
    """Count the parts between spaces and dashes that have a letter or digit; tags do not count."""
    return len(_WORD.findall(_without_tags(text)))


def is_cut(text: str, position: int) -> bool:
    """Return whether text[:position] and text[position:] may be spoken separately."""
    return 0 < position < len(text) and _CUT.match(text, position) is not None


def before_tags(text: str, cuts: list[int], start: int, end: int) -> list[int]:
    """Return the ascending `cuts` inside text[start:end], each cut after tags moved before them.

    A tag affects the text after it, so the two stay together.
    """
    runs = [run for run in _TAG_RUN.finditer(text, start, end) if is_cut(text, run.start())]
    starts = [run.start() for run in runs]
    moved = []
    for cut in cuts:
        run = bisect_left(starts, cut) - 1
        moved.append(starts[run] if run >= 0 and cut <= runs[run].end() else cut)
    return moved


class Cuts:
    """The places where one sentence may be cut so that both sides have words."""

    def __init__(self, text: str, start: int, end: int) -> None:
        """Find the places in text[start:end]; positions are those of `text` throughout."""
        blank = _without_tags(text[start:end])
        self._words = [start + found.start() for found in _WORD.finditer(blank)]
        self._cuts: dict[int, list[int]] = {rank: [] for rank in range(_STOP + 1)}
        places = [found.start() for found in _CUT.finditer(text, start + 1, end)]
        for cut, moved in zip(places, before_tags(text, places, start, end), strict=True):
            if cut == moved:
                self._cuts[_rank(text, cut)].append(cut)

    def words(self, start: int, end: int) -> int:
        """Count the words between two positions."""
        return bisect_left(self._words, end) - bisect_left(self._words, start)

    def best(self, start: int, end: int) -> int | None:
        """Return the best place to cut text[start:end], or None if there is none.

        It is the place nearest the middle at the strongest punctuation that leaves a quarter of the words on either
        side; else at the strongest punctuation there is; else at a space.
        """
        total = self.words(start, end)
        quarter = max(1, total // 4)
        for least, weakest in ((quarter, _COMMA), (1, _COMMA), (1, _POOR)):
            for rank in range(_STOP, weakest - 1, -1):
                cut = self._nearest(rank, start, end, total, least)
                if cut is not None:
                    return cut
        return None

    def _nearest(self, rank: int, start: int, end: int, total: int, least: int) -> int | None:
        """Return the cut of a rank nearest the middle, by words, with at least `least` on either side."""
        if total < 2 * least:
            return None
        first = bisect_left(self._words, start)
        cuts = self._cuts[rank]
        low = bisect_right(cuts, self._words[first + least - 1])
        high = bisect_right(cuts, self._words[first + total - least], low)
        # `cuts` and the word counts before them ascend: the middle is between two neighbours.
        middle = bisect_left(cuts, 2 * first + total, low, high, key=self._doubled)
        around = [cuts[i] for i in (middle - 1, middle) if low <= i < high]
        if not around:
            return None
        return min(around, key=lambda cut: abs(self._doubled(cut) - 2 * first - total))

    def _doubled(self, cut: int) -> int:
        return 2 * bisect_left(self._words, cut)


def _without_tags(text: str) -> str:
    if "<" not in text:
        return text
    return TAG.sub(lambda found: " " * len(found.group()), text)


def _rank(text: str, cut: int) -> int:
    end = cut
    while end and text[end - 1].isspace():
        end -= 1
    if end == cut or text[end - 1] in _DASHES or text.endswith("--", 0, end):
        return _PAUSE
    closed = end
    while end and text[end - 1] in _CLOSERS:
        end -= 1
    last = text[end - 1 : end]
    if last and last in "!?…":
        return _STOP
    if last == ".":
        # sentencex found no sentence end here, so a bare full stop may end an abbreviation: "Mr. Smith".
        ends = closed > end or text.endswith("..", 0, end) or _PLAIN_END.search(text[max(0, end - 5) : end])
        return _STOP if ends else _POOR
    if last and last in ";:":
        return _PAUSE
    if last == "," or (closed > end and text[closed - 1] not in "'’"):
        return _COMMA
    return _POOR if any(c in _UNBREAKABLE for c in text[closed:cut]) else _SPACE
