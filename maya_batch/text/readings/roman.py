"""Roman numerals, and the words after which a single letter is one."""

import re
from functools import lru_cache

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.readings.numbers import cardinals, ordinals, years
from maya_batch.text.readings.ways import unique
from maya_batch.text.readings.written import Rule, Written, group

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_NUMERAL = re.compile(r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,4})(?:XC|XL|L?X{0,4})(?:IX|IV|V?I{0,4})")
_IN_TENS = re.compile("chapter|chap|canto|psalms?|sonnet|hymn", re.IGNORECASE)
"""What books have fifty or a hundred of. After other words L and C are letters, too: "Exhibit C", "Volume L"."""
_BEFORE_NAME = re.compile(r"\.\s+[^\W\d_a-z]")
NUMBERED = (
    "chapter|chap|ch|part|pt|book|bk|act|scene|sc|psalm|psalms|volume|vol|section|sect|sec|canto|article"
    "|art|appendix|figure|fig|plate|table|letter|no|number|war|world war|class|type|phase|stage|corps"
    "|lesson|lecture|stanza|verse|title|item|super bowl|episode|season|page|p|pp|note|rule|exhibit|vatican"
    "|apollo|mark|genesis|sonnet|hymn|epistle|satire|ode"
)
"""What stands before a numeral that is said as a count, "Chapter V": as alternatives of a pattern, in lower case."""
REGNAL = (
    "Louis|Henry|George|Charles|James|William|Edward|Richard|John|Philip|Frederick|Francis|Napoleon"
    "|Leopold|Ferdinand|Otto|Ludwig|Wilhelm|Friedrich|Karl|Gustav|Gustavus|Christian|Carl|Alexander"
    "|Nicholas|Peter|Paul|Ivan|Catherine|Elizabeth|Mary|Margaret|Pius|Leo|Gregory|Clement|Innocent|Urban"
    "|Benedict|Boniface|Sixtus|Julius|Adrian|Alfonso|Alphonso|Pedro|Victor|Emmanuel|Humbert|Umberto|Albert"
    "|Baldwin|Robert|David|Malcolm|Edmund|Ramses|Rameses|Thutmose|Ptolemy|Cleopatra|Darius|Xerxes"
    "|Artaxerxes|Antiochus|Seleucus|Mithridates|Constantine|Justinian|Theodosius|Valentinian|Selim|Mahomet"
    "|Mohammed|Murad|Suleiman|Bajazet"
)
"""Names of kings and popes: a numeral after them is a rank, "Henry V", also one of a single letter."""


@lru_cache(maxsize=1 << 12)
def value(numeral: str) -> int:
    """The number of a Roman numeral in capitals; 0 if it is none."""
    if len(numeral) > 15 or not _NUMERAL.fullmatch(numeral):
        return 0
    values = [_VALUES[letter] for letter in numeral]
    return sum(-one if one < two else one for one, two in zip(values, [*values[1:], 0], strict=True))


def count_ways(numeral: str, british: bool) -> list[str]:
    """The ways to say a numeral that counts: "five"."""
    digits = str(value(numeral))
    late = years(digits, british) if len(digits) == 4 else ()
    return unique([*late, *cardinals(digits, british), *(rank for rank in ordinals(digits, british))])


def rank_ways(numeral: str, british: bool) -> list[str]:
    """The ways to say a numeral after a name: "the fourteenth"."""
    digits = str(value(numeral))
    ranks = ordinals(digits, british)
    return unique([*(f"the {rank}" for rank in ranks), *ranks, *cardinals(digits, british)])


def _numbered(found: re.Match[str], british: bool) -> list[Written]:
    numeral, word = found["numeral"], found["word"]
    if not value(numeral.upper()) or (len(numeral) == 1 and (numeral.islower() or word.islower() or len(word) == 1)):
        return []  # "P. C. Wren"
    after = found.string[found.end() : found.end() + 2].strip()
    unsure = numeral == "I" and "war" not in word.lower() and after.islower()
    unsure = unsure or (word == "Mark" and _may_be_initial(found))
    unsure = unsure or _may_be_letter(word, numeral)
    entry = ABBREVIATIONS.get(word.lower()) if found["stop"] else None
    before = group(found, "short", entry.readings, "abbreviation", unsure) if entry else []  # "No. I think"
    ways = count_ways(numeral.upper(), british)
    return [*before, *group(found, "numeral", [*ways, numeral.lower()] if unsure else ways, "roman", unsure)]


def _regnal(found: re.Match[str], british: bool) -> list[Written]:
    numeral = found["numeral"]
    if not value(numeral) or found[0] == "Malcolm X":
        return []
    return group(
        found,
        "numeral",
        [*rank_ways(numeral, british), *("i" for _ in "I" if numeral == "I")],
        "roman",
        numeral == "I" or _may_be_initial(found),
    )


def _may_be_letter(word: str, numeral: str) -> bool:
    """Whether a numeral may be the name of something: "Appendix C", "Medicare Part D", "Class M planets"."""
    if word.lower() == "exhibit":
        return len(numeral) == 1
    return numeral in ("D", "M") or (numeral in ("L", "C") and _IN_TENS.fullmatch(word) is None)


def _may_be_initial(found: re.Match[str]) -> bool:
    """Whether a numeral may be the initial of a middle name: "George V. Higgins"."""
    return len(found["numeral"]) == 1 and _BEFORE_NAME.match(found.string, found.end()) is not None


def _numeral(found: re.Match[str], british: bool) -> list[Written]:
    numeral = found[0]
    if not value(numeral):
        return []
    named = re.search(r"[A-Z][a-z]+\s$", found.string[max(0, found.start() - 20) : found.start()])
    counts, ranks = count_ways(numeral, british), rank_ways(numeral, british)
    spelled = [" ".join(numeral.lower()), numeral.lower()]
    return group(found, 0, [*ranks, *counts, *spelled] if named else [*counts, *ranks, *spelled], "roman", True)


RULES = (
    Rule(
        "letter",
        re.compile(
            rf"(?P<short>(?P<word>(?i:{NUMBERED})\b)(?P<stop>\.)?)\s+(?P<numeral>[IVXLCDM]{{1,15}}|[ivxlc]{{1,15}})(?![\w'’])"
        ),
        _numbered,
    ),
    Rule("letter", re.compile(rf"(?:{REGNAL})\s+(?P<numeral>[IVX]{{1,7}})(?![\w]|['’](?!s))"), _regnal),
    Rule("letter", re.compile(r"(?<![^\W_])[IVXLCDM]{2,15}(?!['’]?\w)"), _numeral),
)
