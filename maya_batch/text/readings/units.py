"""Units of measure: how they are said after a number."""

import re

from maya_batch.text.readings.ways import plural, unique

_UNITS = {
    "ft": "foot", "in": "inch", "yd": "yard", "yds": "yard", "mi": "mile", "km": "kilometer", "m": "meter",
    "cm": "centimeter", "mm": "millimeter", "nm": "nanometer", "μm": "micrometer|micron", "µm": "micrometer|micron",
    "dm": "decimeter", "lb": "pound", "lbs": "pound", "oz": "ounce", "kg": "kilogram|kilo", "g": "gram", "gr": "grain|gram",
    "mg": "milligram", "cwt": "hundredweight", "t": "ton", "l": "liter", "ml": "milliliter", "mL": "milliliter",
    "cl": "centiliter", "dl": "deciliter", "kl": "kiloliter", "gal": "gallon", "gals": "gallon", "pt": "pint",
    "pts": "pint", "qt": "quart", "qts": "quart", "bu": "bushel", "doz": "dozen", "ha": "hectare", "ac": "acre",
    "hr": "hour", "hrs": "hour", "h": "hour", "min": "minute", "mins": "minute", "sec": "second", "secs": "second",
    "s": "second", "ms": "millisecond", "yr": "year", "yrs": "year", "wk": "week", "wks": "week", "mos": "month",
    "V": "volt", "kV": "kilovolt", "mV": "millivolt", "mv": "millivolt", "W": "watt", "kW": "kilowatt",
    "MW": "megawatt", "mW": "milliwatt|megawatt", "GW": "gigawatt", "kWh": "kilowatt hour", "Wh": "watt hour",
    "GWh": "gigawatt hour", "gWh": "gigawatt hour", "A": "amp|ampere", "Hz": "hertz", "kHz": "kilohertz",
    "MHz": "megahertz", "GHz": "gigahertz", "kB": "kilobyte", "KB": "kilobyte", "kb": "kilobyte|kilobit",
    "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte", "pb": "petabyte", "kcal": "kilocalorie",
    "cal": "calorie", "J": "joule", "kJ": "kilojoule", "N": "newton", "Pa": "pascal", "hPa": "hectopascal",
    "kPa": "kilopascal", "hp": "horsepower", "dB": "decibel", "lm": "lumen", "ct": "carat", "au": "astronomical unit",
}  # fmt: skip
"""By the short form: the singular; other ways to say it follow after a bar."""
_PLURALS = {"foot": "feet", "hundredweight": "hundredweight", "dozen": "dozen", "horsepower": "horsepower"}
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
_SHORT = "|".join(sorted((re.escape(unit) for unit in _UNITS), key=len, reverse=True))
_PLAIN = "|".join(
    sorted(
        (
            unit
            for unit in _UNITS
            if unit
            not in (
                "in",
                "m",
                "h",
                "A",
                "pt",
                "V",
                "s",
                "g",
                "t",
                "l",
                "min",
                "ac",
                "ha",
                "ms",
                "cal",
                "N",
                "J",
                "W",
                "gal",
                "au",
                "sec",
                "pts",
            )
        ),
        key=len,
        reverse=True,
    )
)
UNIT = re.compile(
    rf"""
    \s?(?P<whole> °\s?[FC]\b | [%‰°′″] | (?:mph|km/?h|kph|rpm|cc)\b )
    | \s?(?P<power> sq | cu )\.?\s(?P<powered> {_SHORT} )\b\.?(?!\w)
    | \s?(?P<unit> {_SHORT} )(?P<after> [²³] | (?<=m)[23](?!\d) )(?!\w)
    | \s?(?P<over> {_SHORT} )/(?P<under> {_SHORT} )(?P<of>[²³]?)(?!\w)
    | (?P<close> {_SHORT} )\b(?!['’])
    | \s(?P<dotted> {_SHORT} )\.(?!\w)
    | \s(?P<apart> {_PLAIN} )\b(?![\w'’])
    | \s(?P<letter> m | g | h | l | V | W | ha | min )(?=[.,;:!?)”"]*(?:\s|$))
    """,
    re.VERBOSE,
)
"""A unit after a number, with the space between them. Units that are words ("in", "pt") need a full stop, or no space."""


def unit_ways(found: re.Match[str], one: bool, british: bool) -> list[str]:
    """The ways to say a match of UNIT; `one` after the number 1."""
    if found["whole"]:
        return _WHOLE[found["whole"].replace("/", "").replace(" ", "")]
    if found["powered"]:
        power = _POWERS[found["power"]]
        return [f"{power} {way}" for way in _named(found["powered"], one, british)]
    if found["unit"]:
        power = _POWERS[found["after"]]
        ways = _named(found["unit"], one, british)
        return unique([*(f"{power} {way}" for way in ways), *(f"{way} {power}d" for way in ways if power == "square")])
    if found["over"]:
        power = f"{_POWERS[found['of']]} " if found["of"] else ""
        below = _named(found["under"], True, british)
        return unique(
            f"{way} {per} {power}{low}"
            for way in _named(found["over"], one, british)
            for per in ("per", "a", "an")
            for low in below[:2]
        )
    return _named(found["close"] or found["dotted"] or found["apart"] or found["letter"], one, british)


def _named(short: str, one: bool, british: bool) -> list[str]:
    singles = _UNITS[short].split("|")
    many = [_PLURALS.get(single, plural(single)) for single in singles]
    ways = [way for pair in zip(singles, many, strict=True) for way in (pair if one else pair[::-1])]
    metric = [way.replace("meter", "metre").replace("liter", "litre") for way in ways]
    return unique([*metric, *ways] if british else [*ways, *metric])
