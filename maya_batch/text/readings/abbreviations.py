"""How titles and abbreviations are said."""

import re

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.clause_words import STARTERS
from maya_batch.text.readings.ways import unique
from maya_batch.text.readings.written import Rule, Written, group

TITLES = frozenset(
    (
        "mr",
        "mrs",
        "ms",
        "messrs",
        "mme",
        "mlle",
        "dr",
        "prof",
        "rev",
        "capt",
        "col",
        "lt",
        "sgt",
        "gen",
        "hon",
        "st",
        "mt",
    )
)
"""Titles that British books write without a full stop."""
_WORDS = frozenset(
    [
        "art",
        "no",
        "par",
        "ed",
        "al",
        "rep",
        "sen",
        "sec",
        "op",
        "ca",
        "c",
        "p",
        "v",
        "vv",
        "ll",
        "lib",
        "ver",
        "pt",
        "bk",
        "ch",
        "fig",
        "figs",
        "ma",
        "ba",
        "co",
        "mar",
        "sun",
        "sat",
        "mon",
        "wed",
    ]
)
"""Words and letters, too: they are short forms before a number, or with a capital before a name."""
_DAYS = frozenset(["mon", "tue", "tues", "wed", "thu", "thurs", "fri", "sat", "sun"])
_MAYBE_NAMES = frozenset(["alex", "geo", "jos", "benj", "jas", "chas", "jan", "dec", "jun", "jul", "mar"])
"""Names by themselves, too, where their full stop may end a sentence: "I told Jan. He laughed."."""
_DOTTED = {
    "am": ("a m",),
    "pm": ("p m",),
    "bc": ("b c", "before christ"),
    "ad": ("a d", "anno domini"),
    "bce": ("b c e",),
    "ce": ("c e",),
    "eg": ("for example", "e g"),
    "ie": ("that is", "i e"),
    "phd": ("p h d", "doctor of philosophy"),
    "md": ("m d", "doctor of medicine"),
    "us": ("u s", "united states"),
    "usa": ("u s a", "united states of america"),
    "uk": ("u k", "united kingdom"),
    "nb": ("n b", "nota bene"),
    "ps": ("p s", "postscript"),
    "qv": ("q v", "which see"),
}
_NEXT_NUMBER = re.compile(r"\s*(?:\d|(?!I(?:['’]|\s+[a-z]))[IVXLC]+\b|[ivxl]+\b)")
"""The word "I" is none: "He said no. I went.\""""
_NEXT_NUMBER_OF_CAPITAL = re.compile(r"\s*(?:\d|(?:[IVXLC]{2,}|[ivxlc]+)\b(?!\.))")
"""After a capital letter, which may be an initial: "P. 12" and "P. xii", but not "P. C. Wren"."""
_NEXT_NUMBER_OF_TITLE = re.compile(r"\s*(?:\d|[ivxlc]+\b|[IVXLC]+\b(?!\.\s+[A-Z]))")
"""After a title: "Gen. i. 1", but not "Rev. C. L. Dodgson"."""
_NEXT_NAME = re.compile(r"\s+[“\"‘'(]?[^\W\d_a-z]")
_ADDRESSES = frozenset(["hon", "bro"])
_ADDRESSED = re.compile(r"(?:,|\b(?:hey|my|your|his|her|our|their))\s+$", re.IGNORECASE)
"""What comes before a friend: "Thanks, Hon. See you.", "my Bro. Come in."."""
_GENERATION = re.compile(r"\s+(?:[XYZ]\b|[A-Z]\b(?!\.)|(?:Alpha|Beta)\b)")
"""What follows "Gen" where it is no general: "Gen Z"."""
_INSIDE_SENTENCE = re.compile(r"\s+[a-z]|[,;:]")
_AFTER_SENTENCE = re.compile(r"[”’\"')\]]*(?:$|\s+[“‘\"'(\[]*(?P<word>[A-Z][a-z]*))")
_BEFORE_NAME = re.compile(r"[A-Z][\w'’]*\s+$")
DOTTED = re.compile(r"(?:[^\W\d_]\.\s?){1,7}?[^\W\d_]\.(?!\w)|(?:[^\W\d_]\.){1,7}[^\W\d_]\b(?!\.)|Ph\.\s?D\b\.?")
ABBREVIATION = re.compile(r"(?<![^\W_])[^\W\d_]{1,8}(?:\.|(?=\s+[^\W\d_a-z]))")


def _dotted(found: re.Match[str], british: bool) -> list[Written]:
    letters = re.sub(r"\W", "", found[0]).lower()
    spelled = " ".join(letters)
    known = _DOTTED.get(letters, ())
    if " " in found[0] and letters not in _DOTTED:
        return []  # initials apart are words by themselves
    kind = "abbreviation" if known else "initials"
    ways = [*known, spelled, letters]
    return group(found, 0, ways, kind)


def _abbreviation(found: re.Match[str], british: bool) -> list[Written]:
    text, end = found.string, found.end()
    stopped = found[0].endswith(".")
    short = found[0].rstrip(".")
    key = short.lower()
    entry = ABBREVIATIONS.get(key)
    if entry is None or entry.readings in ((), (key,)):  # "et al."
        return []
    if not stopped and not (key in TITLES and short[0].isupper()):
        return []
    is_capital = len(short) == 1 and short.isupper()
    numbered = (_NEXT_NUMBER_OF_CAPITAL if is_capital else _NEXT_NUMBER).match(text, end) is not None
    if is_capital and not numbered:
        return []
    named = _NEXT_NAME.match(text, end) is not None
    if entry.follows == "number" and not numbered and (key in _WORDS or short[0].isupper()):
        return []
    if key in _WORDS and short != "Co" and not numbered and not (short[0].isupper() and named):
        return []
    is_title = entry.follows == "name"
    if key == "gen" and not stopped and _GENERATION.match(text, end):
        return []
    if (is_title or key in _DAYS) and not short[0].isupper() and key not in ("mr", "mrs", "dr", "st"):
        return []
    ways = list(entry.readings)
    is_inside = _INSIDE_SENTENCE.match(text, end) is not None
    ambiguous = (key in _MAYBE_NAMES and not numbered and not is_inside) or key in _DAYS
    if is_title and key != "dr" and _NEXT_NUMBER_OF_TITLE.match(text, end):  # "Gen. 1:1" is no general
        ambiguous = True
    if is_title and stopped and ends_sentence(text, end):  # "the Gov. He left."
        ambiguous = True
    if key in _ADDRESSES and _ADDRESSED.search(text, max(0, found.start() - 8), found.start()):
        ambiguous = True
    if key in ("st", "dr"):
        after_name = _BEFORE_NAME.search(text, max(0, found.start() - 30), found.start()) is not None
        ambiguous = ambiguous or key == "st" or (after_name and not named)
        if after_name and not named:
            ways.reverse()
    if british and key == "hon":
        ways.reverse()
    return group(found, 0, unique([*ways, key]), "title" if is_title else "abbreviation", ambiguous)


def ends_sentence(text: str, end: int) -> bool:
    """Whether a sentence ends with a title that ends there: nothing follows, or a word that is no name."""
    after = _AFTER_SENTENCE.match(text, end)
    return after is not None and (after["word"] is None or after["word"].lower() in STARTERS)


def _title(found: re.Match[str], british: bool) -> list[Written]:
    readings = _CERTAIN[found[1].lower()]
    return [Written(found.start(), found.end(), readings, "title")]


_CERTAIN = {title: (*ABBREVIATIONS[title].readings, title) for title in ("mr", "mrs", "messrs", "mlle", "mme")}
TITLE_RULES = (Rule("letter", re.compile(r"(M(?:(?:rs?|R|RS)\b|(?:essrs|lle|me)\b))\.?(?!\w)"), _title),)
"""Titles of one meaning; they are tried first, since they are by far the most frequent."""
RULES = (Rule("letter", DOTTED, _dotted), Rule("letter", ABBREVIATION, _abbreviation))
