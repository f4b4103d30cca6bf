"""Where text rules 2 cut, and how good each place is."""

import re
from enum import IntEnum

from maya_batch.text.clause_words import (
    AFTER_NUMBERS,
    CLAUSE_STARTS,
    CLAUSE_STARTS_BEFORE_SUBJECTS,
    COUNTED,
    NEVER_LAST,
    NUMBER_WORDS,
    PREPOSITIONS,
    SUBJECTS,
)
from maya_batch.text.unbroken import AHEAD, BACK, enumerator_start, is_enumerator, tears

DASHES = "–—―⸺⸻"
CLOSERS = "\"'”’»›)]}"
UNBREAKABLE = "\u00a0\u2007\u202f"

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"
"""Scripts without spaces: each character counts as a word."""
_STOPS, _PAUSES = "。！？｡।॥", "、，；："
_UNSPACED_CLOSERS = "」』】》〉）”’"
# Possessive, as in rules 1. A word also ends at a stop after which no space stands.
WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}](?:[^\s{DASHES}{_UNSPACED}{_STOPS}{_PAUSES}-]++|-(?!-))*+")
# After whitespace; after a dash between words; after a stop of a script that has no spaces, and its closing brackets.
_NEXT = r"[\w“‘<(「『《〈（【]"
PLACE = re.compile(
    rf"(?<=\s)\S|(?<=[^\s{DASHES}-][―—])[\w“‘<(]|(?<=[^\W\d_]–)[^\W\d_]|(?<=\w--)[^\W_]"
    rf"|(?<=[{_STOPS}]){_NEXT}|(?<=[{_PAUSES}])(?!\d){_NEXT}"
    rf"|(?<=[{_STOPS}{_PAUSES}][{_UNSPACED_CLOSERS}]){_NEXT}|(?<=[{_STOPS}][{_UNSPACED_CLOSERS}]{{2}}){_NEXT}"
)
_OPENERS = "“‘„‚«‹([{「『《〈（【"
_NEVER_FIRST = ".,;:!?…)]}”»。、，！？；：」』）"
_QUOTATIVES = "とっ"
"""How the words start that belong to the quoted speech before them in Japanese: 「はい。」と言う."""
_LAST_WORD = re.compile(r"[^\W_](?:\w|[’'.](?=\w))*+$")
_ROMAN = re.compile(r"[IVXLC]+")
_SUFFIXES = frozenset(["jr", "sr", "esq", "m.d", "ph.d", "m.p", "d.d", "ll.d", "b.a", "m.a", "q.c", "k.c"])
_LETTERS_AROUND = 2000
"""How many characters around a full stop are searched for a capital letter: some texts have none."""


class Rank(IntEnum):
    """How good a cut is."""

    TORN = 0
    """Separates what belongs together."""
    POOR = 1
    """Leaves a word hanging, or is at a no-break space under rules 1."""
    SPACE = 2
    CLAUSE = 3
    """Before a conjunction or a relative word."""
    COMMA = 4
    PAUSE = 5
    STOP = 6


def sentence_start(text: str, position: int) -> int | None:
    """Where to cut before a sentence that is reported to start at `position`, or None if it is none."""
    enumerator = enumerator_start(text, _end_before(text, position))
    if enumerator is not None:
        position = enumerator
        while position and enumerator - position < BACK and text[position - 1] in _OPENERS + "\"'":
            position -= 1
        if not PLACE.match(text, position):
            return None
    found = rank(text, position)
    good = found == Rank.STOP or (found >= Rank.SPACE and not starts_lower(text, position))
    return position if good else None


def rank(text: str, cut: int) -> Rank:
    """How good it is to cut `text` at `cut`."""
    end = _end_before(text, cut)
    last = text[end - 1 : end]
    if text[cut] in _NEVER_FIRST and end < cut:
        return Rank.TORN
    if last.isalnum() or last in "’'%$£€*_/&":
        return _between_words(text, end, cut)
    if last in _OPENERS or (last == '"' and (end < 2 or text[end - 2].isspace())):
        return Rank.TORN
    if last in DASHES or text.endswith("--", 0, end):
        return _after_dash(text, end)
    return _after_punctuation(text, end, cut)


def starts_lower(text: str, cut: int) -> bool:
    """Whether the first word after a cut starts with a lower-case letter that has a capital."""
    ahead = AHEAD.match(text, cut)
    return ahead is not None and ahead[1][0].islower() and ahead[1][0].title() != ahead[1][0]


def _end_before(text: str, cut: int) -> int:
    end = cut
    while end and text[end - 1].isspace():
        end -= 1
    return end


def _is_unbreakable(spaces: str) -> bool:
    return spaces != " " and any(character in UNBREAKABLE for character in spaces)


def _after_dash(text: str, end: int) -> Rank:
    start = end
    while start and end - start < BACK and (text[start - 1] in DASHES or text[start - 1] == "-"):
        start -= 1
    if start and text[start - 1] in _OPENERS:
        return Rank.TORN
    if text[end - 1] in "⸺⸻" or (end - start > 1 and text[end - 1] != "-" and start and text[start - 1].isalnum()):
        return Rank.SPACE  # "Mr. B—— went": omitted letters
    return Rank.PAUSE


def _after_punctuation(text: str, end: int, cut: int) -> Rank:
    closed = end
    while end and text[end - 1] in CLOSERS + _UNSPACED_CLOSERS:
        end -= 1
    last = text[end - 1 : end]
    if closed > end and text[cut] in _QUOTATIVES:
        return Rank.POOR
    if last and last in "!?…‽！？":
        if not starts_lower(text, cut):
            return Rank.STOP
        return Rank.POOR if closed > end else Rank.COMMA  # “No!” she cried
    if last == ".":
        return _after_full_stop(text, end, closed, cut)
    if last and last in _STOPS:
        return Rank.STOP
    if last and last in ";:；：":
        return Rank.PAUSE
    if last and last in ",、，":
        return _after_comma(text, end, cut)
    if closed > end and text[closed - 1] in ")]}":
        if tears(text, closed, cut):
            return Rank.TORN
        return Rank.COMMA
    return _between_words(text, end, cut)


def _after_full_stop(text: str, end: int, closed: int, cut: int) -> Rank:
    is_ellipsis = text.endswith(("..", ". ."), 0, end)
    if is_ellipsis:
        if not starts_lower(text, cut):
            return Rank.STOP
        return Rank.POOR if closed > end else Rank.COMMA
    if _is_unbreakable(text[closed:cut]) or tears(text, closed, cut):
        return Rank.TORN
    if starts_lower(text, cut):
        around = text[max(0, cut - _LETTERS_AROUND) : cut + _LETTERS_AROUND]
        return Rank.STOP if around == around.lower() else Rank.POOR
    return Rank.STOP


def _after_comma(text: str, end: int, cut: int) -> Rank:
    ahead = AHEAD.match(text, cut)
    if ahead is not None:
        if text[max(0, end - 4) : end - 1].rstrip("stndrh")[-1:].isdigit() and ahead[1][0].isdigit():
            return Rank.POOR  # "July 4, 1776"
        if ahead[1].lower() in _SUFFIXES:
            return Rank.POOR
    return Rank.COMMA


def _between_words(text: str, end: int, cut: int) -> Rank:
    """The rank of a place without punctuation before it."""
    if is_enumerator(text, cut):
        return Rank.COMMA
    if _is_unbreakable(text[end:cut]):
        return Rank.TORN
    before = text[text.rfind(" ", max(0, end - BACK), end) + 1 : end]
    if not before.isalnum():
        found = _LAST_WORD.search(text, max(0, end - BACK), end)
        before = found[0] if found else ""
    small = before.lower()
    if small in NEVER_LAST:
        return Rank.POOR
    ahead = AHEAD.match(text, cut)
    if ahead is None:
        return Rank.SPACE
    after, then = ahead[1], ahead[3] or ""
    if before[-1:].isnumeric() and after[0].isnumeric():
        return Rank.TORN
    if _is_joined(before, small, after, then):
        return Rank.POOR
    following, second = after.lower(), then.lower()
    if following in CLAUSE_STARTS:
        return Rank.CLAUSE
    if following in CLAUSE_STARTS_BEFORE_SUBJECTS and second in SUBJECTS:
        return Rank.CLAUSE
    if following in PREPOSITIONS and second in ("which", "whom", "whose"):
        return Rank.CLAUSE
    return Rank.SPACE


def _is_joined(before: str, small: str, after: str, then: str) -> bool:
    """Whether two words are one number, a number and what it counts, or one name."""
    following = after.lower()
    is_number = before[-1:].isdigit() or small in NUMBER_WORDS
    if is_number and (following in AFTER_NUMBERS or (following == "and" and then.lower() in NUMBER_WORDS)):
        return True
    is_name = before[:1].isupper()
    if (is_name or small in COUNTED) and (after[0].isdigit() or (_ROMAN.fullmatch(after) and after != "I")):
        return True
    return is_name and after[0].isupper() and after not in ("I", "I’m", "I'm")
