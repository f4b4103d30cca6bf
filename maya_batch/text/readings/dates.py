"""How dates are said: days of a month, and dates in figures."""


from maya_batch.text.readings.numbers import words, years
from maya_batch.text.readings.ways import joined, unique

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SHORT = {month[:3]: month for month in MONTHS} | {"sept": "september"}
MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?)"
)
DAY = r"(?:0?[1-9]|[12]\d|3[01])"


def month(written: str) -> str:
    """The name of a month, of its name or a short form, in lower case."""
    short = written.rstrip(".").lower()
    return _SHORT.get(short, short)


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
            ways += joined(day_ways(str(day), MONTHS[number - 1], british, british)[:4], year_ways[:2])
    figures = [words(int(first)), words(int(second))]
    return unique([*ways, *(f"{figures[0]}{slash}{figures[1]}{slash}{year_ways[0]}" for slash in (" ", " slash "))])


def short_year_ways(year: str, british: bool) -> list[str]:
    """The ways to say a year of two digits: "twelve", "oh five"."""
    ways = [words(int(year))]
    return [f"oh {ways[0]}", f"o {ways[0]}"] if year[0] == "0" else ways
