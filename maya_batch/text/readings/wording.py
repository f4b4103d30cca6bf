"""The rules for what starts with a letter or a sign: months, numerals, addresses, acronyms, signs."""

import re

from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.readings import dates, numbers, roman
from maya_batch.text.readings.addresses import ADDRESS, address_ways
from maya_batch.text.readings.letters import ACRONYM, acronym_ways
from maya_batch.text.readings.signs import MINUS, SIGNS
from maya_batch.text.readings.written import Rule, Written, group


def _address(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, address_ways(found[0]), "address")


def _month_day(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, dates.day_ways(found["day"], found["month"], british, False), "date")


def _numbered(found: re.Match[str], british: bool) -> list[Written]:
    numeral, word = found["numeral"], found["word"]
    if not roman.value(numeral.upper()) or (len(numeral) == 1 and (numeral.islower() or word.islower())):
        return []
    after = found.string[found.end() : found.end() + 2].strip()
    unsure = numeral == "I" and "war" not in word.lower() and after.islower()
    entry = ABBREVIATIONS.get(word.lower()) if found["stop"] else None
    before = group(found, "short", entry.readings, "abbreviation") if entry else []
    ways = roman.count_ways(numeral.upper(), british)
    return [*before, *group(found, "numeral", [*ways, "i"] if unsure else ways, "roman", unsure)]


def _regnal(found: re.Match[str], british: bool) -> list[Written]:
    numeral = found["numeral"]
    if not roman.value(numeral):
        return []
    return group(
        found,
        "numeral",
        [*roman.rank_ways(numeral, british), *("i" for _ in "I" if numeral == "I")],
        "roman",
        numeral == "I",
    )


def _numeral(found: re.Match[str], british: bool) -> list[Written]:
    numeral = found[0]
    if not roman.value(numeral):
        return []
    named = re.search(r"[A-Z][a-z]+\s$", found.string[max(0, found.start() - 20) : found.start()])
    counts, ranks = roman.count_ways(numeral, british), roman.rank_ways(numeral, british)
    spelled = [" ".join(numeral.lower()), numeral.lower()]
    return group(found, 0, [*ranks, *counts, *spelled] if named else [*counts, *ranks, *spelled], "roman", True)


def _acronym(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, acronym_ways(found[1], "s" if found[2] else ""), "acronym")


def _minus(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, MINUS, "sign")


def _sign(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, SIGNS.get(found[0], ()), "sign")


def _short_decade(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, numbers.decades(found["years"], british), "decade")


RULES = (
    Rule("letter", ADDRESS, _address),
    Rule("digit", ADDRESS, _address),
    Rule(
        "letter",
        re.compile(rf"(?P<month>{dates.MONTH})\s+(?:the\s+)?(?P<day>{dates.DAY})(?:st|nd|rd|th|d)?(?![\w:]|[.,]\d)"),
        _month_day,
    ),
    Rule(
        "letter",
        re.compile(
            rf"(?P<short>(?P<word>(?i:{roman.NUMBERED})\b)(?P<stop>\.)?)\s+(?P<numeral>[IVXLCDM]{{1,15}}|[ivxlc]{{1,15}})(?![\w'’])"
        ),
        _numbered,
    ),
    Rule("letter", re.compile(rf"(?:{roman.REGNAL})\s+(?P<numeral>[IVX]{{1,7}})(?![\w]|['’](?!s))"), _regnal),
    Rule("letter", re.compile(r"(?<![^\W_])[IVXLCDM]{2,15}(?!['’]?\w)"), _numeral),
    Rule("letter", re.compile(r"(?<![^\W_])" + ACRONYM.pattern), _acronym),
    Rule("sign", re.compile(r"['’‘](?P<years>\d0)['’]?s\b"), _short_decade),
    Rule("sign", re.compile(r"(?<![\w)])[-−–](?=[.\d$£€])"), _minus),
    Rule("sign", re.compile(r"§§|[^\w\s]"), _sign),
)
