"""How dates are said: days of a month, and dates in figures."""

import re

from maya_batch.text.readings.numbers import words, years
from maya_batch.text.readings.ways import joined, unique
from maya_batch.text.readings.written import Rule, Written, group

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
SHORT = {month[:3]: month for month in MONTHS} | {"sept": "september"}
MONTH = (
    r"(?i:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?)"
)
DAY = r"(?:0?[1-9]|[12]\d|3[01])"


def month(written: str) -> str:
    """The name of a month, of its name or a short form, in lower case."""
    short = written.rstrip(".").lower()
    return SHORT.get(short, short)


def day_ways(day: str, of_month: str, british: bool, day_first: bool) -> list[str]:
    """The ways to say a day of a month: "july fourth", "the fourth of july"."""
    rank, count, name = words(int(day), "en", "ordinal"), words(int(day)), month(of_month)
    american = [f"{name} {rank}", f"{name} the {rank}", f"{name} {count}"]
    european = [f"the {rank} of {name}", f"{rank} of {name}", f"{rank} {name}", f"the {rank} {name}", f"{count} {name}"]
    return unique([*european, *american] if british or day_first else [*american, *european])


def figure_ways(first: str, second: str, year: str, british: bool) -> list[str]:
    """The ways to say a date in figures, 4/7/1862: day and month in either order, as far as the figures allow."""
    year_ways = short_year_ways(year, british) if len(year) == 2 else list(years(year, british))
    orders = [(int(first), int(second)), (int(second), int(first))]
    ways: list[str] = []
    for day, number in orders if british else orders[::-1]:
        if 1 <= number <= 12 and 1 <= day <= 31:
            ways += joined(day_ways(str(day), MONTHS[number - 1], british, british)[:4], year_ways[:3])
    figures = [words(int(first)), words(int(second))]
    return unique([*ways, *(f"{figures[0]}{slash}{figures[1]}{slash}{year_ways[0]}" for slash in (" ", " slash "))])


def short_year_ways(year: str, british: bool) -> list[str]:
    """The ways to say a year of two digits: "twelve", "oh five"."""
    ways = [words(int(year))]
    return [f"{zero} {ways[0]}" for zero in ("oh", "zero", "o")] if year[0] == "0" else ways


def _figures(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, figure_ways(found["first"], found["second"], found["year"], british), "date", True)


def _year_first(found: re.Match[str], british: bool) -> list[Written]:
    year, number, day = re.split("[-/.]", found[0])
    if not 1 <= int(number) <= 12 or not 1 <= int(day) <= 31:
        return []
    ways = day_ways(day, MONTHS[int(number) - 1], british, british)
    return group(found, 0, joined(ways[:6], years(year, british)[:4]), "date")


def _day_month(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, day_ways(found["day"], found["month"], british, True), "date", _is_word(found["month"]))


def _month_day(found: re.Match[str], british: bool) -> list[Written]:
    ways = day_ways(found["day"], found["month"], british, False)
    year = found["year"] or ""
    if year:
        ways = list(joined(ways[:6], years(year, british)[:4]))
    return group(found, 0, ways, "date", _is_word(found["month"]))


def _is_word(of_month: str) -> bool:
    return of_month in ("may", "march")


_RANK = r"(?:st|nd|rd|th|d|ST|ND|RD|TH)?"
RULES = (
    Rule(
        "digit",
        re.compile(r"(?P<first>\d{1,2})(?P<by>[/.-])(?P<second>\d{1,2})(?P=by)(?P<year>\d{4}|\d{2})(?![\d/-])"),
        _figures,
    ),
    Rule("digit", re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}(?!\d)"), _year_first),
    Rule("digit", re.compile(rf"(?P<day>{DAY}){_RANK}[\s-]+(?:of\s+)?(?P<month>{MONTH})(?!\w)"), _day_month),
    Rule(
        "letter",
        re.compile(
            rf"(?P<month>{MONTH})(?:\s+(?:the\s+)?|-)(?P<day>{DAY}){_RANK}(?:-(?P<year>\d{{4}}))?(?![\w:%°]|[.,]\d)"
        ),
        _month_day,
    ),
)
