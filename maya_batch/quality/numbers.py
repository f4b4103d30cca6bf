"""The ways to read out what is written in digits: years, money, times of day, ordinals."""

import re

from num2words import num2words

from maya_batch.text.readings.numbers import NUM2WORDS_ERRORS

#: The most digits of a number that is read as a whole.
_LONGEST = 15

NUMBER = re.compile(
    r"""
    (?P<money> [$£€] (?P<amount> \d+(?:,\d{3})*) (?:\.(?P<cents>\d{2})(?!\d))? )
    | (?P<time> (?P<hour>\d{1,2}):(?P<minute>\d{2})(?!\d) )
    | (?P<ordinal> (?P<rank>\d+(?:,\d{3})*)(?:st|nd|rd|th)\b )
    | (?P<decade> (?P<years>\d{2,4})['’]?s\b )
    | (?P<number> (?P<whole>\d+(?:,\d{3})+(?!\d)|\d+)(?:\.(?P<part>\d+))? )
    """,
    re.VERBOSE,
)

_COINS = {"$": ("dollars", "dollar", "cents"), "£": ("pounds", "pound", "pence"), "€": ("euros", "euro", "cents")}


def number_readings(written: re.Match[str], language: str) -> list[str]:
    """The ways to read out a match of NUMBER, the most likely first, in lower case; none if no way is known.

    `language` is a language code; those that num2words does not support have none. Money and times are read in English.
    """
    found = written.groupdict()
    match written.lastgroup:
        case "money":
            readings = _money(found["money"][0], _plain(found["amount"]), found["cents"])
        case "time":
            readings = _time(int(found["hour"]), int(found["minute"]))
        case "ordinal":
            readings = [_say(_plain(found["rank"]), language, "ordinal")]
        case "decade":
            readings = [_plural(reading) for reading in _whole(found["years"], language)]
        case _:
            readings = _whole(_plain(found["whole"]), language)
            if found["part"]:
                digits = " ".join(_say(digit, language) for digit in found["part"])
                readings = [f"{reading} point {digits}" for reading in readings]
                readings += [f"{first} {_say(found['part'], language)}" for first in _whole(found["whole"], language)]
    tidy = [reading.replace("-", " ").replace(",", "").lower() for reading in readings if reading]
    # Numbers are read with and without "and".
    return list(dict.fromkeys([*tidy, *(reading.replace(" and ", " ") for reading in tidy)]))


def _plain(digits: str) -> str:
    return digits.replace(",", "")


def _say(digits: str, language: str, to: str = "cardinal") -> str:
    if len(digits) > _LONGEST:
        return ""
    try:
        return str(num2words(int(digits), lang=language, to=to))
    except NUM2WORDS_ERRORS:
        return ""


def _whole(digits: str, language: str) -> list[str]:
    """A whole number: as a year, as a quantity, digit by digit, in pairs."""
    ways = [_say(digits, language)]
    one_by_one = " ".join(_say(digit, language) for digit in digits)
    if len(digits) == 4 and digits[0] in "12" and language == "en":
        ways = [_say(digits, language, "year"), *ways]
    if len(digits) > 1:
        ways.append(one_by_one)
        if language == "en":
            ways.append(re.sub(r"\bzero\b", "oh", one_by_one))
    if language == "en" and len(digits) in (3, 4) and digits[-2:] != "00":
        low = _say(digits[-2:], language)
        ways.append(f"{_say(digits[:-2], language)} {'oh ' if digits[-2] == '0' else ''}{low}")
    if language == "en" and len(digits) == 4 and digits[1] != "0":
        rest = "" if digits.endswith("00") else f" and {_say(str(int(digits[2:])), language)}"
        ways.append(f"{_say(digits[:2], language)} hundred{rest}")
    if digits == "100":
        ways += ["a hundred"]
    if digits == "1000":
        ways += ["a thousand"]
    return ways


def _money(sign: str, amount: str, cents: str | None) -> list[str]:
    many, one, small = _COINS[sign]
    whole = _say(amount, "en")
    coins = one if amount == "1" else many
    if cents is None or cents == "00":
        # "$5 million" is read with "dollars" after "million".
        return [f"{whole} {coins}", whole, f"{whole} {one}"]
    rest = _say(cents, "en")
    return [
        *(f"{whole} {coins} {rest}", f"{whole} {coins} and {rest} {small}", f"{whole} {coins} {rest} {small}"),
        *(f"{whole} {rest}", f"{whole} point {' '.join(_say(digit, 'en') for digit in cents)} {many}"),
    ]


def _time(hour: int, minute: int) -> list[str]:
    said = _say(str(hour), "en")
    if minute == 0:
        return [f"{said} oclock", said, f"{said} hundred", f"{said} hundred hours"]
    late = _say(str(minute), "en")
    return [f"{said} oh {late}", f"{said} {late}"] if minute < 10 else [f"{said} {late}"]


def _plural(reading: str) -> str:
    return f"{reading[:-1]}ies" if reading.endswith("y") else f"{reading}s"
