r"""Joins words that are divided at line ends: "prere-\nquisites", but "self-\nevident" keeps its hyphen."""

import re
import unicodedata
from bisect import bisect_left
from functools import cache

from maya_batch.text.lines import line_ends
from maya_batch.text.passage import Passage, Replacement, TextProblem
from maya_batch.text.rewriting import Rewriter

_SOFT, _FIRM = "\u00ad", "\u2011"
_LETTER = "[^\\W_\u00b9\u00b2\u00b3\u2070-\u209f]"
"""A letter or a digit, but no mark of a note."""
_DIVISION = re.compile(rf"(?<=[^\W_])(?:{_SOFT}++|[-\u2010{_FIRM}])(?P<gap>\s++)(?=[^\W_])")
_DIVIDED = re.compile(rf"[^\W_]+(?:[-\u2010{_FIRM}]|{_SOFT}+)\s*\n\s*[^\W_]+")
_WORD = re.compile(rf"{_LETTER}+(?:['’-]{_LETTER}+)*")
_LEFT = re.compile(rf"{_LETTER}+(?:['’-]{_LETTER}+)*$")
_HYPHENS = str.maketrans({"\u2010": "-", _FIRM: "-", _SOFT: None})
_LONGEST = 60
"""Characters of a part of a word that are examined."""
_SUSPENDED = frozenset({"and", "or", "to", "und", "oder", "bis", "et", "ou", "y", "o"})
"""After these words the hyphen stands for a part that follows: "two- and three-year-olds"."""

_FIRST_PARTS = re.compile(
    "self|well|ill|half|all|ex|vice|cross|great|grand|step|mother|father|sister|brother|son|daughter|so|non|anti|high|"
    "low|long|short|old|new|good|left|right|first|second|third|next|last|mid|ever|never|hard|soft|fair|deep|light|dark|"
    "open|full|middle|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|forty|fifty|sixty|seventy|"
    "eighty|ninety|hundred|a|to|north|south|east|west|far|near|blue|black|brown|green|grey|gray|red|white|yellow|"
    "double|single|broad|narrow|quasi|pseudo|semi|would|by|go|x"
)
"""First parts of words that English writes with a hyphen."""
_LAST_PARTS = re.compile(
    "in|on|up|off|out|by|down|like|eyed|haired|handed|hearted|headed|minded|faced|legged|footed|looking|made|born|"
    "bred|known|year|years|old|class|room|side|time|called|than|free|wide|proof|fashioned"
)
"""Last parts of words that English writes with a hyphen."""


def join_divided_words(source: str) -> Rewriter:
    """The rule that joins the divided words of a chapter with this source.

    A soft hyphen always joins, a no-break hyphen always stays. Of other hyphens the rest of the chapter decides, which
    has the word with or without one. Otherwise it is a guess, and its rule says it: the hyphen stays between capitals,
    digits, and parts that English writes with one (`self-`, `-eyed`), else the word is joined.
    """

    @cache
    def words() -> frozenset[str]:
        rest = unicodedata.normalize("NFKC", _DIVIDED.sub(" ", source)).translate(_HYPHENS).lower()
        return frozenset(found.group() for found in _WORD.finditer(rest))

    def join(passage: Passage) -> tuple[list[Replacement], list[TextProblem]]:
        text = passage.text
        if _DIVISION.search(text) is None:
            return [], []
        ends = line_ends(passage, source)
        replacements: list[Replacement] = []
        if not ends:
            return [], []
        last = 0
        for found in _DIVISION.finditer(text):
            following = bisect_left(ends, found.start("gap"))
            if following == len(ends) or ends[following] >= found.end():
                continue
            before = _LEFT.search(text[max(0, found.start() - _LONGEST) : found.start()])
            after = _WORD.match(text, found.end(), found.end() + _LONGEST)
            if after is None or after.group().lower() in _SUSPENDED:
                continue
            left, right = before.group() if before else "", after.group()
            mark = text[found.start()]
            if mark == _SOFT:
                hyphen, rule = "", "soft hyphen"
            elif mark == _FIRM:
                hyphen, rule = mark, "divided word"
            else:
                stays, is_known = _hyphen_stays(left, right, words())
                hyphen, rule = mark if stays else "", "divided word" if is_known else "divided word (guess)"
            start = max(last, found.start() - len(left))  # the part before may end another division
            whole = text[start : found.start()] + hyphen + right
            replacements.append(Replacement(start, after.end(), whole, rule))
            last = after.end()
        return replacements, []

    return join


def _hyphen_stays(left: str, right: str, words: frozenset[str]) -> tuple[bool, bool]:
    """Whether the hyphen is part of the word, and whether the chapter says it."""
    first, second = (unicodedata.normalize("NFKC", part).translate(_HYPHENS).lower() for part in (left, right))
    if f"{first}{second}" in words:
        return False, True
    if f"{first}-{second}" in words:
        return True, True
    shouted = left.isupper() and right.isupper() and len(left) > 1
    stays = (
        not left
        or "-" in first
        or "-" in second
        or left[-1].isdigit()
        or right[0].isdigit()
        or (right[0].isupper() and not shouted)
        or _FIRST_PARTS.fullmatch(first) is not None
        or _LAST_PARTS.fullmatch(second) is not None
    )
    return stays, False
