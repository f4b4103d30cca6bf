"""The rules for numbers in figures: ranks, decades, ranges, decimals, counts and years."""

import re

from maya_batch.text.readings import numbers
from maya_batch.text.readings.units import UNIT, with_unit
from maya_batch.text.readings.ways import joined, unique
from maya_batch.text.readings.written import DASH, NUMBER, Rule, Written, group


def _decade(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, numbers.decades(found["years"], british), "decade")


def _ordinal(found: re.Match[str], british: bool) -> list[Written]:
    digits = found["rank"].replace(",", "")
    return group(found, 0, numbers.ordinals(digits, british), "ordinal")


def _range(found: re.Match[str], british: bool) -> list[Written]:
    low, high = (_main_ways(found[side], british) for side in ("low", "high"))
    ways = [*joined(low, ["to"], high), *joined(low, high), *joined(low[:2], ["through", "dash"], high[:2])]
    if found["low"] == found["high"]:
        ways = [*joined(low, high), *ways]  # "20-20 vision", "a 50-50 chance"
    is_number = (len(found["low"]), len(found["high"])) == (3, 4)  # perhaps of a telephone: 555-1234
    is_unsure = is_number or (found["low"], found["high"]) in _CODES
    return with_unit(found, group(found, 0, ways, "range", is_unsure), british, False)


def _telephone(found: re.Match[str], british: bool) -> list[Written]:
    parts = [
        [*numbers.digit_ways(part)[:2], *map(doubled, numbers.digit_ways(part)[:1])] for part in found.groups() if part
    ]
    return group(found, 0, joined(*parts), "telephone")


def _digits(found: re.Match[str], british: bool) -> list[Written]:
    digits = re.sub(r"\D", "", found[0])
    return group(found, 0, [*numbers.digit_ways(digits), *map(doubled, numbers.digit_ways(digits)[:1])], "telephone")


def _dialled(found: re.Match[str], british: bool) -> list[Written]:
    """A short number that is dialled, digit by digit: "Call 911!"."""
    called = _CALL_BEFORE.search(found.string, max(0, found.start() - 12), found.start())
    is_emergency = found[0] in _EMERGENCIES
    if called and (is_emergency or called[1].lower().startswith("dial")):
        return group(found, 0, [*numbers.digit_ways(found[0]), *_number_ways(found[0], british)], "telephone")
    if found[0] == "911":  # a car, and a count, too
        return group(found, 0, [*numbers.digit_ways("911"), *_number_ways("911", british)], "cardinal", True)
    return []


def _height(found: re.Match[str], british: bool) -> list[Written]:
    feet, inches = numbers.words(int(found["feet"])), numbers.words(int(found["inches"]))
    inch = "inch" if found["inches"] == "1" else "inches"
    ways = [f"{feet} {foot} {end}" for end in (inches, f"{inches} {inch}") for foot in ("foot", "feet")]
    return group(found, 0, ways, "measure")


def _main_ways(written: str, british: bool) -> list[str]:
    """The four most likely ways to say one side of a range: as a year, and as a count with and without "and"."""
    digits = written.replace(",", "")
    counts = numbers.cardinals(digits, british)[:3]
    return unique([*_number_ways(written, british)[:1], *counts, *numbers.digit_ways(digits)[:1]])[:4]


def _scaled(found: re.Match[str], british: bool) -> list[Written]:
    whole = (found["whole"] or "").replace(",", "")
    ways = numbers.scaled(whole, found["part"] or "", found["scale"].lower(), british)
    return with_unit(found, group(found, 0, ways, "decimal" if found["part"] else "cardinal"), british, False)


def _decimal(found: re.Match[str], british: bool) -> list[Written]:
    whole = (found["whole"] or "").replace(",", "")
    part = found["part"]
    return with_unit(found, group(found, 0, numbers.decimals(whole, part, british), "decimal"), british, False)


def _number(found: re.Match[str], british: bool) -> list[Written]:
    digits = found[0].replace(",", "")
    ways = _number_ways(found[0], british)
    is_year = len(found[0]) == 4 and 1100 <= int(digits) < 2100
    if not is_year:
        return with_unit(found, group(found, 0, ways, "cardinal"), british, digits == "1")
    if UNIT.match(found.string, found.end()):
        return with_unit(found, group(found, 0, numbers.cardinals(digits, british), "cardinal"), british)
    sure = _YEAR_BEFORE.search(found.string, max(0, found.start() - 14), found.start()) is not None
    return group(found, 0, ways, "year", not sure)


def _number_ways(written: str, british: bool) -> list[str]:
    digits = written.replace(",", "")
    counts = numbers.cardinals(digits, british)
    if "," in written or len(digits) == 1:
        return list(counts)
    late = numbers.years(digits, british) if len(digits) in (3, 4) and digits[0] != "0" else ()
    spelled = numbers.digit_ways(digits)
    ways = [*late, *counts] if len(digits) == 4 and 1100 <= int(digits) < 2100 else [*counts, *late]
    return unique([*ways, *numbers.pairs(digits), *spelled, *(doubled(way) for way in spelled)])


def doubled(spelled: str) -> str:
    """Digits one by one, with "double seven" for two of a kind, as in British telephone numbers."""
    return re.sub(r"\b(\w+) \1\b", r"double \1", spelled)


_CODES = frozenset((("10", "4"), ("24", "7")))
"""Ranges that are said without "to", too: "10-4, over", "open 24-7"."""
_EMERGENCIES = frozenset(("911", "999", "112"))
_CALL_BEFORE = re.compile(r"\b(dial(?:l?ed|l?ing|s)?|call(?:ed|ing|s)?|phon(?:e|ed|es|ing)|r[aiu]ng)\s$", re.IGNORECASE)
_YEAR_BEFORE = re.compile(
    r"(?:\b(?:in|of|since|by|from|until|till|before|after|during|year|circa|late|early"
    r"|summer|winter|spring|autumn|fall|january|february|march|april|may|june|july|august|september|october"
    r"|november|december)|\b(?:st|nd|rd|th)|\d),?\s$",
    re.IGNORECASE,
)
_SCALE = r"(?P<scale>(?i:thousand|million|billion|trillion))\b"
_PART = r"\.(?P<part>\d{1,30}+)"
RULES = (
    Rule("digit", re.compile(r"(?P<years>\d{3}0|\d0)['’]?s\b"), _decade),
    Rule("sign", re.compile(r"['’‘](?P<years>\d0)['’]?s\b"), _decade),
    Rule("digit", re.compile(rf"(?P<rank>{NUMBER})(?:st|nd|rd|th|ST|ND|RD|TH)\b"), _ordinal),
    Rule("digit", re.compile(r"(?:(1)[-. ])?(\d{3})[-. ](\d{3})[-.](\d{4})(?![-.]?\w)"), _telephone),
    Rule("sign", re.compile(r"\((\d{3})\)\s?(\d{3})[-. ](\d{4})(?![-.]?\w)"), _telephone),
    Rule("digit", re.compile(r"(?<![-.,:/])\d(?:-\d){2,9}(?![-.,:/]?\w)"), _digits),
    Rule("digit", re.compile(r"\d{1,3}(?![-‐‑‒–—−.,:/]?\d|[^\W\d_])"), _dialled),
    Rule("digit", re.compile(r"(?P<feet>\d{1,2})['’′](?P<inches>1?\d)(?:[\"”″]|'')"), _height),
    Rule("digit", re.compile(rf"(?P<low>{NUMBER})\s?{DASH}\s?(?P<high>{NUMBER})(?!{DASH}?\d|\.\d|:|/|s\b)"), _range),
    Rule("digit", re.compile(rf"(?P<whole>{NUMBER})(?:{_PART})?\s{_SCALE}"), _scaled),
    Rule("sign", re.compile(rf"(?P<whole>(?!))?{_PART}\s{_SCALE}"), _scaled),
    Rule("digit", re.compile(rf"(?P<whole>{NUMBER}){_PART}(?![.]?\d)"), _decimal),
    Rule("sign", re.compile(rf"(?P<whole>(?!))?{_PART}(?![.]?\d)"), _decimal),
    Rule("digit", re.compile(NUMBER), _number),
)
