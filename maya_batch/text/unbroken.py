"""What is never cut: abbreviations and initials from their names, numbers from what they count, enumerators."""

import re

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.clause_words import STARTERS
from maya_batch.text.emotion_tags import TAG

BACK = 32
"""How many characters before a cut are looked at; no abbreviation or enumerator is longer."""
_OPENERS = "“‘„‚«‹\"'(\\[{「『《〈（【_*"
_LONGEST = 6
"""The most letters of an abbreviation in lower case."""
_QUOTES = "”’»›\"'"
AHEAD = re.compile(
    rf"(?:{TAG.pattern}\s*+){{0,4}}[{_OPENERS}—–-]{{0,4}}+([^\W_](?:\w|[’'.](?=\w)){{0,24}}+)(\.?)(?:\s++([^\W_]\w{{0,24}}+))?"
)
"""The first word after a cut without quotes, brackets and tags; its full stop; the word after it."""
_STOPPED = re.compile(r"([^\W_](?:\w|[.’'&](?=\w))*+)\.([\"'”’»›)\]}]*+)$")
_ROMAN = re.compile(r"[IVXLC]{2,8}|[VX]")

#: Words that are abbreviations only before a number: "He said no. Five men came."
_WORDS = frozenset(
    ["no", "nos", "art", "par", "ed", "fig", "figs", "sect", "chap", "chaps", "op", "c", "p", "v", "ca", "lib", "ver"]
)
#: Without a vowel, and no abbreviations.
_SOUNDS = frozenset(["hm", "hmm", "mm", "mmm", "sh", "shh", "psst", "pst", "tsk", "pfft", "brr", "grr", "zzz"])
_CONSONANTS = re.compile(r"[B-DF-HJ-NP-TV-XZ][b-df-hj-np-tv-xz]{1,5}")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,3}\.){1,6}[^\W\d_]{1,3}")
_HALF_DAYS = frozenset(("a.m", "p.m"))
_CALENDAR = re.compile(
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october"
    r"|november|december|eastern|central|pacific|greenwich|gmt|[ecmp][sd]t",
    re.IGNORECASE,
)
_FIRST_PERSON = re.compile(r"(?:^|[“‘(\[]|[A-Z][\w’']*+\.?\s)I\.$")
_HEADED = re.compile(
    r"\b(?:chapter|chap\.|book|part|act|scene|canto|section|volume|letter|stave)\s+\w+\.$", re.IGNORECASE
)

_ENUMERATOR_HERE = re.compile(
    r"(?:[•⁃‣◦▪·]\s?)?(?:\((?:\d{1,3}|[A-Za-z]|[ivxlcIVXLC]{1,6})\.?\)|(?:\d{1,2}|[A-Za-z]|[ivx]{1,4})\.?\))\s"
)
_BRACKETED = re.compile(r"(?:^|[\s—–“‘\"'\[])((?:[•⁃‣◦▪·]\s?)?\(?(?:\d{1,3}|[A-Za-z]|[ivxlcIVXLC]{1,6})\.?\))$")
_NUMBERED = re.compile(r"(?:^|[\s—–“‘\"'\[(•⁃‣◦▪·])((\d{1,3}|[A-Za-z]|[ivxlc]{2,6}|[IVXLC]{2,6})\.)$")
_BULLET = re.compile(r"[•⁃‣◦▪·]\s?$")
_STARTS_AFTER = "“‘\"'(\\[—–:;.!?…)]”’"
_COUNTS = re.compile(r"\(?\d{1,3}[.)]\)?\s")
_SEQUENCE = 400
"""How many characters back the number before an enumerator's is looked for."""


def is_enumerator(text: str, start: int) -> bool:
    """Whether an enumerator in brackets, like "(a)" or "2)", starts here."""
    return ")" in text[start : start + 12] and _ENUMERATOR_HERE.match(text, start) is not None


def enumerator_start(text: str, end: int) -> int | None:
    """Where an enumerator starts that ends at `end`, or None: "(a)", "1.)", or "1." at the start of a sentence."""
    base = max(0, end - BACK)
    tail = text[base:end]
    if tail.endswith(")"):
        found = _BRACKETED.search(tail)
        if found is None:
            return None
        start = base + found.start(1)
        # "see page 5 (or a)": the bracket is the end of what was opened before.
        opened = found[1].startswith("(") or text.rfind("(", max(0, start - 200), start) <= text.rfind(")", 0, start)
        return start if opened else None
    found = _NUMBERED.search(tail)
    if found is None:
        return None
    start = base + found.start(1)
    bullet = _BULLET.search(text, max(0, start - 4), start)
    if bullet:
        return bullet.start()
    before = _end_before(text, start)
    if before and text[before - 1] not in _STARTS_AFTER:
        return start if _follows_another(text, start, found[2]) else None
    earlier = _STOPPED.search(text, max(0, before - BACK), before)
    is_counted = earlier is not None and earlier[1].replace(".", "").lower() in ABBREVIATIONS  # "p. 12."
    return None if is_counted else start


def tears(text: str, end: int, cut: int) -> bool:
    """Whether a cut separates what belongs together; `end` is where the text before the spaces before `cut` ends."""
    word = text[max(0, end - _LONGEST - 2) : end - 1]
    if len(word) > _LONGEST and word.isalpha() and word.islower():
        return False
    if enumerator_start(text, end) is not None:
        return True
    tail = text[max(0, end - BACK) : end]
    found = _STOPPED.search(tail)
    ahead = AHEAD.match(text, cut)
    if found is None or ahead is None:
        return False
    token, closers, following = found[1], found[2], ahead[1]
    if len(token) == 1 and token.isalpha():
        return not any(closer in _QUOTES for closer in closers) and (
            token != "I" or _is_initial(tail[: found.end(1) + 1])
        )
    if closers and not _is_title(token):
        return False
    return _HEADED.search(tail) is not None or _belongs(token, following, ahead, tail, text, cut)


def _belongs(token: str, following: str, ahead: re.Match[str], tail: str, text: str, cut: int) -> bool:
    """Whether a token with a full stop, which ends `tail`, belongs to the word after it."""
    short = token.replace(".", "").lower()
    if token.lower() in _HALF_DAYS:
        return following[0].isdigit() or _CALENDAR.fullmatch(following) is not None
    if "." in token and _DOTTED.fullmatch(token) and short not in ("eg", "ie"):
        return following.lower() not in STARTERS
    known = ABBREVIATIONS.get(short)
    if known is not None:
        if known.follows == "name":
            return True
        if known.follows == "any":
            return short != "al" or "et al." in tail
        if known.follows == "number":
            if short not in _WORDS:
                return True
            is_roman = _ROMAN.fullmatch(following) or (following == "I" and short not in ("no", "ed"))
            return following[0].isdigit() or is_roman is not None
        after = ABBREVIATIONS.get(following.lower())
        if bool(ahead[2]) and after is not None and after.follows == "ends":
            return True
    if _CONSONANTS.fullmatch(token) and short not in _SOUNDS:
        return True
    is_short = len(token) <= 4 or any(character.isdigit() for character in token)
    return following[0].isdigit() and is_short and _COUNTS.match(text, cut) is None


def _is_title(token: str) -> bool:
    known = ABBREVIATIONS.get(token.lower())
    return known is not None and known.follows == "name"


def _is_initial(before: str) -> bool:
    return _FIRST_PERSON.search(before) is not None


def _end_before(text: str, position: int) -> int:
    least = max(0, position - BACK)
    while position > least and text[position - 1].isspace():
        position -= 1
    return position


def _follows_another(text: str, start: int, mark: str) -> bool:
    """Whether the number or letter before this one is an enumerator of the same form in the text before."""
    if mark.isascii() and mark.isdigit() and int(mark) > 1:
        earlier = str(int(mark) - 1)
    elif len(mark) == 1 and mark.isascii() and mark.islower() and mark != "a":
        earlier = chr(ord(mark) - 1)
    else:
        return False
    window = text[max(0, start - _SEQUENCE) : start]
    at = window.rfind(f"{earlier}. ")
    return at >= 0 and (at == 0 or not (window[at - 1].isalnum() or window[at - 1] in ".,"))
