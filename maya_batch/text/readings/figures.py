"""The rules for what is written in figures: dates, times, ranges, fractions, numbers, and the units after them."""

import re

from maya_batch.text.readings import dates, fractions, numbers, times
from maya_batch.text.readings.units import UNIT, unit_ways
from maya_batch.text.readings.ways import joined, unique
from maya_batch.text.readings.written import Rule, Written, group

NUM = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)"
_DASH = r"\s?[-‐‑‒–—−]\s?"
_YEAR_BEFORE = re.compile(
    r"(?:\b(?:in|of|since|by|from|until|till|before|after|during|year|circa|late|early|and|to|summer|winter|spring|autumn|fall)|,|[a-z]\.?)\s+$",
    re.IGNORECASE,
)
_MORNING = re.compile(r"\s?(?P<half>[ap])\.?\s?m\b\.?(?!\w)", re.IGNORECASE)


def _date(found: re.Match[str], british: bool) -> list[Written]:
    first, second, year = found["first"], found["second"], found["year"]
    return group(found, 0, dates.figure_ways(first, second, year, british), "date", True)


def _iso_date(found: re.Match[str], british: bool) -> list[Written]:
    year, month, day = found[0].split("-")
    if not 1 <= int(month) <= 12 or not 1 <= int(day) <= 31:
        return []
    ways = dates.day_ways(day, dates.MONTHS[int(month) - 1], british, british)
    return group(found, 0, joined(ways[:5], numbers.years(year, british)[:3]), "date")


def _day_month(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, dates.day_ways(found["day"], found["month"], british, True), "date")


def _time(found: re.Match[str], british: bool) -> list[Written]:
    hour, minute = int(found["hour"]), int(found["minute"])
    second = int(found["second"]) if found["second"] else None
    if hour > 24 or minute > 59 or (second or 0) > 59:
        return group(
            found, 0, joined(numbers.cardinals(str(hour)), ["to", ""], numbers.cardinals(str(minute))), "ratio"
        )
    return group(found, 0, times.time_ways(hour, minute, second), "time")


def _decade(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, numbers.decades(found["years"], british), "decade")


def _ordinal(found: re.Match[str], british: bool) -> list[Written]:
    digits = found["rank"].replace(",", "")
    return group(found, 0, numbers.ordinals(digits, british), "ordinal")


def _mixed(found: re.Match[str], british: bool) -> list[Written]:
    above, below = fractions.of_sign(found["sign"]) if found["sign"] else (found["above"], found["below"])
    if int(below) == 0:
        return []
    whole = found["whole"]
    if whole:
        ways = fractions.mixed_ways(whole.replace(",", ""), above, below, british)
    else:
        ways = fractions.fraction_ways(above, below)
    return _with_unit(found, group(found, 0, ways, "fraction"), british, not whole)


def _range(found: re.Match[str], british: bool) -> list[Written]:
    low, high = found["low"], found["high"]
    styles = [
        joined([one], ["to", "through", "", "dash"], [two])
        for one, two in zip(_number_ways(low, british), _number_ways(high, british), strict=False)
    ]
    ways = [way for style in styles for way in style]
    return _with_unit(found, group(found, 0, ways, "range"), british, False)


def _scaled(found: re.Match[str], british: bool) -> list[Written]:
    whole = (found["whole"] or "0").replace(",", "")
    return group(found, 0, numbers.scaled(whole, found["part"], found["scale"].lower(), british), "decimal")


def _decimal(found: re.Match[str], british: bool) -> list[Written]:
    whole = (found["whole"] or "").replace(",", "")
    part = found["part"]
    return _with_unit(found, group(found, 0, numbers.decimals(whole, part, british), "decimal"), british, False)


def _number(found: re.Match[str], british: bool) -> list[Written]:
    digits = found[0].replace(",", "")
    ways = _number_ways(found[0], british)
    is_year = len(found[0]) == 4 and 1100 <= int(digits) < 2100
    ahead = _MORNING.match(found.string, found.end())
    if ahead:
        half = f"{ahead['half'].lower()} m"
        return [*group(found, 0, ways, "time"), *group(ahead, 0, [half, half.replace(" ", "")], "abbreviation")]
    unit = UNIT.match(found.string, found.end()) if is_year else None
    if not is_year or unit:
        return _with_unit(
            found,
            group(found, 0, ways if not unit else numbers.cardinals(digits, british), "cardinal"),
            british,
            digits == "1",
        )
    sure = _YEAR_BEFORE.search(found.string, max(0, found.start() - 12), found.start()) is not None
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


def _with_unit(found: re.Match[str], written: list[Written], british: bool, one: bool) -> list[Written]:
    """The written things of a number, and of the unit that follows it."""
    unit = UNIT.match(found.string, found.end()) if written else None
    if unit is None:
        return written
    space = len(unit[0]) - len(unit[0].lstrip())
    ways = unit_ways(unit, one, british)
    return [*written, Written(unit.start() + space, unit.end(), tuple(ways), "measure")]


_SIGN = f"[{fractions.SIGNS}]"
RULES = (
    Rule(
        "digit",
        re.compile(r"(?P<first>\d{1,2})(?P<slash>[/.])(?P<second>\d{1,2})(?P=slash)(?P<year>\d{4}|\d{2})(?![\d/])"),
        _date,
    ),
    Rule("digit", re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)"), _iso_date),
    Rule("digit", re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?!\d)"), _time),
    Rule(
        "digit",
        re.compile(r"(?P<hour>\d{1,2})\.(?P<minute>\d{2})(?P<second>(?!))?(?=\s?[ap]\.?\s?m\b)", re.IGNORECASE),
        _time,
    ),
    Rule(
        "digit",
        re.compile(rf"(?P<day>{dates.DAY})(?:st|nd|rd|th|d)?\s+(?:of\s+)?(?P<month>{dates.MONTH})(?!\w)"),
        _day_month,
    ),
    Rule("digit", re.compile(rf"(?:(?P<whole>{NUM})\s?)?(?P<sign>{_SIGN})(?P<above>(?!))?(?P<below>(?!))?"), _mixed),
    Rule(
        "digit",
        re.compile(rf"(?:(?P<whole>{NUM})[ -])?(?P<above>\d{{1,3}}+)[/⁄](?P<below>\d{{1,3}}+)(?P<sign>(?!))?(?![\d/])"),
        _mixed,
    ),
    Rule("digit", re.compile(r"(?P<years>\d{3}0|\d0)['’]?s\b"), _decade),
    Rule("digit", re.compile(rf"(?P<rank>{NUM})(?:st|nd|rd|th)\b"), _ordinal),
    Rule("digit", re.compile(rf"(?P<low>{NUM})(?:{_DASH})(?P<high>{NUM})(?![-‐‑–—]?\d)(?!\.\d)"), _range),
    Rule(
        "digit",
        re.compile(
            rf"(?P<whole>{NUM})\.(?P<part>\d{{1,30}}+)\s(?P<scale>thousand|million|billion|trillion)\b", re.IGNORECASE
        ),
        _scaled,
    ),
    Rule("digit", re.compile(rf"(?P<whole>{NUM})\.(?P<part>\d{{1,30}}+)(?![.]?\d)"), _decimal),
    Rule("sign", re.compile(r"(?P<whole>(?!))?\.(?P<part>\d{1,30}+)(?![.]?\d)"), _decimal),
    Rule("sign", re.compile(rf"(?P<whole>(?!))?(?P<sign>{_SIGN})"), _mixed),
    Rule("digit", re.compile(NUM), _number),
)
