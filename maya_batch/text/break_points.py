"""Finds the best place to cut a sentence: never inside a word or a tag, preferably at punctuation."""

import re
from bisect import bisect_left, bisect_right

from maya_batch.text.cut_ranks import Rank
from maya_batch.text.cut_rules import NEWEST, CutRules
from maya_batch.text.emotion_tags import TAG

_TAG_RUN = re.compile(rf"(?:{TAG.pattern}\s*+)++")


def count_words(text: str, rules: CutRules = NEWEST) -> int:
    """Count the parts between spaces and dashes that have a letter or digit; tags do not count.

    Since rules 2 each character of Chinese and Japanese counts, because those have no spaces.
    """
    return len(rules.word.findall(_without_tags(text)))


def is_cut(text: str, position: int, rules: CutRules) -> bool:
    """Return whether text[:position] and text[position:] may be spoken separately."""
    return 0 < position < len(text) and rules.place.match(text, position) is not None


def before_tags(text: str, cuts: list[int], start: int, end: int, rules: CutRules) -> list[int]:
    """Return the ascending `cuts` inside text[start:end], each cut after tags moved before them.

    A tag affects the text after it, so the two stay together.
    """
    if "<" not in text:
        return cuts
    runs = [run for run in _TAG_RUN.finditer(text, start, end) if is_cut(text, run.start(), rules)]
    starts = [run.start() for run in runs]
    moved = []
    for cut in cuts:
        run = bisect_left(starts, cut) - 1
        moved.append(starts[run] if run >= 0 and cut <= runs[run].end() else cut)
    return moved


class Words:
    """A text, and where its words start."""

    def __init__(self, text: str, rules: CutRules) -> None:
        self.text = text
        self.rules = rules
        self.starts = [found.start() for found in rules.word.finditer(_without_tags(text))]

    def count(self, start: int, end: int) -> int:
        """Count the words that start in text[start:end]."""
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)


class Cuts:
    """The places where one sentence may be cut so that both sides have words."""

    def __init__(self, words: Words, start: int, end: int) -> None:
        """Find the places in text[start:end]; positions are those of the whole text throughout."""
        text, rules = words.text, words.rules
        self._passes = rules.passes
        self._words = words
        self._cuts: list[list[int]] = [[] for _ in Rank]
        self._weak: list[int] = []  # ranked only if no better place is found: they are most places
        places = [found.start() for found in rules.place.finditer(text, start + 1, end)]
        for cut, moved in zip(places, before_tags(text, places, start, end, rules), strict=True):
            if cut != moved:
                continue
            if _is_between_words(text, cut):
                self._weak.append(cut)
            else:
                self._cuts[rules.rank(text, cut)].append(cut)

    def best(self, start: int, end: int) -> int | None:
        """Return the best place to cut text[start:end], or None if there is none.

        It is the place of the strongest rank that the first of the rules' passes finds, the nearest to the middle.
        """
        total = self._words.count(start, end)
        for each in self._passes:
            for rank in range(each.strongest, each.weakest - 1, -1):
                cut = self._nearest(rank, start, end, total, each.least(total))
                if cut is not None:
                    return cut
        return None

    def _nearest(self, rank: int, start: int, end: int, total: int, least: int) -> int | None:
        """Return the cut of a rank nearest the middle, by words, with at least `least` on either side."""
        if total < 2 * least:
            return None
        starts = self._words.starts
        first = bisect_left(starts, start)
        if rank <= Rank.CLAUSE and self._weak:
            self._rank_weak()
        cuts = self._cuts[rank]
        low = bisect_right(cuts, starts[first + least - 1])
        high = bisect_right(cuts, starts[first + total - least], low)
        # `cuts` and the word counts before them ascend: the middle is between two neighbours.
        middle = bisect_left(cuts, 2 * first + total, low, high, key=self._doubled)
        around = [cuts[i] for i in (middle - 1, middle) if low <= i < high]
        if not around:
            return None
        return min(around, key=lambda cut: abs(self._doubled(cut) - 2 * first - total))

    def _doubled(self, cut: int) -> int:
        return 2 * bisect_left(self._words.starts, cut)

    def _rank_weak(self) -> None:
        for cut in self._weak:
            self._cuts[self._words.rules.rank(self._words.text, cut)].append(cut)
        self._weak = []
        for cuts in self._cuts:
            cuts.sort()


def _is_between_words(text: str, cut: int) -> bool:
    """Whether a place is between two words with one space and nothing else: by all rules it is `CLAUSE` at most.

    A bracket may belong to an enumerator ("a)").
    """
    return (
        text[cut - 2 : cut - 1].isalpha()
        and text[cut - 1] == " "
        and text[cut].isalpha()
        and ")" not in text[cut : cut + 12]
    )


def _without_tags(text: str) -> str:
    if "<" not in text:
        return text
    return TAG.sub(lambda found: " " * len(found.group()), text)
