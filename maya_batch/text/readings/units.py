"""Units of measure: how they are said after a number."""

import re
from collections.abc import Iterable

from maya_batch.text.readings.ways import joined, plural, unique
from maya_batch.text.readings.written import Written

_UNITS = {
    "ft": "foot", "in": "inch", "yd": "yard", "yds": "yard", "mi": "mile", "km": "kilometer", "m": "meter",
    "cm": "centimeter", "mm": "millimeter", "nm": "nanometer", "μm": "micrometer|micron", "µm": "micrometer|micron",
    "dm": "decimeter", "lb": "pound", "lbs": "pound", "oz": "ounce", "kg": "kilogram|kilo", "g": "gram",
    "gr": "grain|gram", "mg": "milligram", "cwt": "hundredweight", "t": "ton", "l": "liter", "ml": "milliliter",
    "mL": "milliliter", "cl": "centiliter", "dl": "deciliter", "kl": "kiloliter", "gal": "gallon", "gals": "gallon",
    "pt": "pint", "pts": "pint", "qt": "quart", "qts": "quart", "bu": "bushel", "doz": "dozen", "ha": "hectare",
    "ac": "acre", "hr": "hour", "hrs": "hour", "h": "hour", "min": "minute", "mins": "minute", "sec": "second",
    "secs": "second", "s": "second", "ms": "millisecond", "yr": "year", "yrs": "year", "wk": "week", "wks": "week",
    "mo": "month", "mos": "month", "V": "volt", "kV": "kilovolt", "mV": "millivolt", "mv": "millivolt", "W": "watt",
    "kW": "kilowatt", "MW": "megawatt", "mW": "milliwatt|megawatt", "GW": "gigawatt", "kWh": "kilowatt hour",
    "Wh": "watt hour", "GWh": "gigawatt hour", "gWh": "gigawatt hour", "A": "amp|ampere", "Hz": "hertz",
    "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "kB": "kilobyte", "KB": "kilobyte",
    "kb": "kilobyte|kilobit", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte",
    "pb": "petabyte", "kcal": "kilocalorie", "cal": "calorie", "J": "joule", "kJ": "kilojoule", "N": "newton",
    "Pa": "pascal", "hPa": "hectopascal", "kPa": "kilopascal", "hp": "horsepower", "dB": "decibel", "lm": "lumen",
    "mbps": "megabit per second", "ct": "carat", "au": "astronomical unit",
}  # fmt: skip
"""By the short form: the singular; other ways to say it follow after a bar."""
_PLURALS = {
    **{"foot": "feet", "megabit per second": "megabits per second"},
    **{name: name for name in ("hundredweight", "dozen", "horsepower")},
    **{name: name for name in ("hertz", "kilohertz", "megahertz", "gigahertz")},
}
_WHOLE = {
    "mph": ["miles per hour", "miles an hour", "mile per hour", "mile an hour", "m p h"],
    "kmh": ["kilometers per hour", "kilometers an hour"],
    "kph": ["kilometers per hour", "kilometers an hour", "k p h"],
    "rpm": ["revolutions per minute", "r p m"],
    "%": ["percent", "per cent", "percents"],
    "‰": ["per mille", "per thousand"],
    "°F": ["degrees fahrenheit", "fahrenheit", "degrees", "degree fahrenheit", "degrees f"],
    "°C": ["degrees celsius", "degrees centigrade", "celsius", "degrees", "degree celsius", "degrees c"],
    "°": ["degrees", "degree"],
    "′": ["feet", "minutes", "foot", "minute"],
    "″": ["inches", "seconds", "inch", "second"],
    "cc": ["c c", "cubic centimeters"],
}
_POWERS = {"²": "square", "2": "square", "sq": "square", "³": "cubic", "3": "cubic", "cu": "cubic"}
_BY_CASE = {unit.lower(): name for unit, name in reversed(_UNITS.items())} | _UNITS
_WORDS = frozenset(("in", "pt", "pts", "gal", "cal", "ct", "gr", "mos", "s", "t", "l"))
"""Units that are words or names as well: apart from the number they need a full stop."""
_LETTERS = frozenset(("A", "N", "J", "V", "W"))
"""Units that are initials and points of the compass with a full stop: "221 N. Main Street", "in 1907 J. P. Morgan"."""
_PLACES = frozenset(("A", "N", "J"))
"""Units that are letters of rooms, seats and streets as well, "Flat 5A": they are none with the number or apart."""
_NAMES = frozenset(("Pa", "pa"))
"""Units that are names as well: "When I was 12 Pa died"."""


def _exactly(without: frozenset[str]) -> str:
    """One of the units as a pattern, in the case that it has or in small letters, but for those `without`.

    In capitals they are names and words: "At 6 Ms. Smith", "At 5 Mo came home", "Room 101 Ac".
    """
    small = {unit.lower() for unit in _UNITS if len(unit) > 1}
    return "|".join(sorted((_UNITS.keys() | small) - without, key=len, reverse=True))


def _any_of(units: Iterable[str]) -> str:
    """One of these units as a pattern; longer ones in any case."""
    longest = sorted(units, key=len, reverse=True)
    long, short = ("|".join(unit for unit in longest if (len(unit) > 1) is many) for many in (True, False))
    return rf"(?:(?i:{long})|{short})"


_ANY = _any_of(_UNITS)
UNIT = re.compile(
    rf"""
    \s?(?P<whole> °\s?[FC]\b | [%‰°′″] | (?i:mph|km/?h|kph|rpm|cc)\b(?!/) )
    | \s?(?i:(?P<power> sq | cu ))\.?\s(?P<powered> {_ANY} )\b\.?(?!\w)
    | \s?(?P<unit> {_ANY} )(?P<after> [²³] | (?<=[mM])[23](?!\d) )(?!\w)
    | \s?(?P<over> {_ANY} )/(?P<under> {_ANY} )(?P<of>[²³]?)(?!\w)
    | \s?/\s?(?P<per> {_ANY} | d )(?P<per_of>[²³]?)(?!\w)
    | (?P<close> {_any_of(_UNITS.keys() - _PLACES)} )\b(?!['’/-])
    | [\s-](?P<dotted> {_exactly(_LETTERS | _NAMES)} )\.(?!\w)
    | [\s-](?P<apart> {_exactly(_WORDS | _PLACES | _NAMES)} )\b(?![\w.'’/])
    | \s(?P<inches> in )(?=\s(?:high|long|wide|deep|thick|tall)\b(?!\s+(?!and\b|by\b|or\b|at\b|with\b)\w)|[,;:)])
    """,
    re.VERBOSE,
)
"""A unit after a number, with the space between them."""
_APART = ("close", "dotted", "apart", "inches")


def with_unit(found: re.Match[str], number: list[Written], british: bool, one: bool = False) -> list[Written]:
    """The written things of a number that is a match, and of the unit after it, if there is one; `one` after 1."""
    unit = UNIT.match(found.string, found.end()) if number else None
    if unit is None:
        return number
    start = unit.end() - len(unit[0].lstrip(" -\t\n\u00a0"))
    return [*number, Written(start, unit.end(), tuple(unit_ways(unit, one, british)), "measure")]


def per_unit(found: re.Match[str], number: list[Written], british: bool) -> list[Written]:
    """As `with_unit`, for a sum of money: it has no unit, but it may be the price of one, "$5/lb"."""
    unit = UNIT.match(found.string, found.end())
    return with_unit(found, number, british) if unit and unit["per"] else number


def unit_ways(found: re.Match[str], one: bool, british: bool) -> list[str]:
    """The ways to say a match of UNIT; `one` after the number 1."""
    if found["whole"]:
        return _WHOLE[
            re.sub(r"[/\s]", "", found["whole"]) if "°" in found["whole"] else found["whole"].replace("/", "").lower()
        ]
    if found["powered"]:
        power = _POWERS[found["power"].lower()]
        return [f"{power} {way}" for way in _named(found["powered"], one, british)]
    if found["unit"]:
        power = _POWERS[found["after"]]
        ways = _named(found["unit"], one, british)
        return unique([*(f"{power} {way}" for way in ways), *(f"{way} {power}d" for way in ways if power == "square")])
    if found["over"]:
        return unique(joined(_named(found["over"], one, british), _per(found["under"], found["of"], british)))
    if found["per"]:
        return _per(found["per"], found["per_of"], british)
    return _named(next(found[name] for name in _APART if found[name]), one, british)


def _per(short: str, power: str, british: bool) -> list[str]:
    """The ways to say what a unit is divided by: "per second", "a second"."""
    power = f"{_POWERS[power]} " if power else ""
    names = ["day"] if short == "d" else _named(short, True, british)[:1]
    return [f"{per} {power}{name}" for name in names for per in ("per", "a", "an")]


def _named(short: str, one: bool, british: bool) -> list[str]:
    singles = (_BY_CASE.get(short) or _BY_CASE[short.lower()]).split("|")
    many = [_PLURALS.get(single, plural(single)) for single in singles]
    ways = [way for pair in zip(singles, many, strict=True) for way in (pair if one else pair[::-1])]
    metric = [way.replace("meter", "metre").replace("liter", "litre") for way in ways]
    return unique([*metric, *ways] if british else [*ways, *metric])
