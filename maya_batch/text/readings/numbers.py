"""How numbers are said: as quantities, as years, as ranks, in pairs, and digit by digit."""

from collections.abc import Iterable
from functools import lru_cache

from maya_batch.text.readings.ways import joined, plural, tidy, unique

LONGEST = 24
"""The most digits of a number that is read as one; longer ones are read digit by digit."""
NUM2WORDS_ERRORS = (NotImplementedError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What num2words raises for a number or a language that it does not support."""
_SCALES = ("hundred", "thousand", "million", "billion", "trillion")


@lru_cache(maxsize=1 << 14)
def words(number: int, language: str = "en", to: str = "cardinal") -> str:
    """A number as num2words says it ("cardinal", "ordinal" or "year"), tidied; "" if it does not know the way."""
    from num2words import num2words  # takes 0.1 s to import, and most texts have no number

    try:
        return tidy(str(num2words(number, lang=language, to=to)))
    except NUM2WORDS_ERRORS:
        return ""


def digit_ways(digits: str, language: str = "en") -> list[str]:
    """Digits one by one; in English, 0 is "zero" or "oh"."""
    one_by_one = " ".join(words(int(digit), language) for digit in digits)
    if language != "en" or "0" not in digits:
        return [one_by_one]
    return [one_by_one, one_by_one.replace("zero", "oh"), one_by_one.replace("zero", "o")]


@lru_cache(maxsize=1 << 12)
def cardinals(digits: str, british: bool = False) -> tuple[str, ...]:
    """The ways to say a whole number as a quantity: with and without "and", "a hundred", "fifteen hundred"."""
    if len(digits) > LONGEST or (digits[0] == "0" and len(digits) > 1):
        return tuple(digit_ways(digits))
    number = int(digits)
    ways = _with_and([words(number)], british)
    if 1000 < number < 10_000 and number % 1000 >= 100:
        rest = f" and {words(number % 100)}" if number % 100 else ""
        ways += _with_and([f"{words(number // 100)} hundred{rest}"], british)
    for way in list(ways):
        first, _, rest = way.partition(" ")
        if first == "one" and rest.startswith(_SCALES):
            ways.append(f"a {rest}")
    if number >= 1_000_000 and number % 1_000_000 == 500_000:
        ways += [f"{words(number // 1_000_000)} and a half million", *_and_a_half(number // 1_000_000, "million")]
    return tuple(unique(ways))


@lru_cache(maxsize=1 << 12)
def years(digits: str, british: bool = False) -> tuple[str, ...]:
    """The ways to say a year of three or four digits: "nineteen oh five", "nineteen hundred and five"."""
    number = int(digits)
    century, rest = divmod(number, 100)
    round_thousand = century % 10 == 0
    paired = [f"{words(century)} {way}" for way in _late(rest)] if century and not (century == 10 and rest < 10) else []
    whole = _with_and([words(number)], british)
    hundred = []
    if not round_thousand and number >= 1000:
        hundred = _with_and([f"{words(century)} hundred" + (f" and {words(rest)}" if rest else "")], british)
    return tuple(unique([*whole, *paired] if round_thousand and rest < 10 else [*paired, *hundred, *whole]))


def _late(rest: int) -> list[str]:
    """The ways to say the last two digits of a year."""
    if not rest:
        return []
    return [words(rest)] if rest > 9 else [f"oh {words(rest)}", f"o {words(rest)}"]


def ordinals(digits: str, british: bool = False) -> list[str]:
    """The ways to say a rank: "hundred and first", "hundred first"."""
    if len(digits) > LONGEST:
        return digit_ways(digits)
    last = words(int(digits), "en", "ordinal").rpartition(" ")[2]
    return unique(f"{way.rpartition(' ')[0]} {last}" for way in cardinals(digits, british))


def decades(digits: str, british: bool = False) -> list[str]:
    """The ways to say a decade or a century: "1990" in "1990s", "60" in "60s"."""
    ways = [plural(way) for way in (years(digits, british) if len(digits) > 2 else cardinals(digits, british))]
    if len(digits) == 4 and not digits.endswith("00"):
        ways.append(plural(words(int(digits[2:]))))
    return unique(ways)


def pairs(digits: str) -> list[str]:
    """Three or four digits in pairs, as house numbers are said: "four oh one", "thirty four ninety seven"."""
    if len(digits) not in (3, 4) or digits.endswith("00") or digits[0] == "0":
        return []
    low = words(int(digits[-2:]))
    head = words(int(digits[:-2]))
    return [f"{head} oh {low}", f"{head} o {low}"] if digits[-2] == "0" else [f"{head} {low}"]


def decimals(whole: str, part: str, british: bool = False) -> list[str]:
    """The ways to say a decimal number: "three point one four", "one and a half"; `whole` may be empty."""
    heads = list(cardinals(whole, british))[:3] if whole else [""]
    if whole in ("", "0"):
        heads = ["zero", "", "oh", "nought", "naught"] if whole else ["", "zero"]
    ways = [*joined(heads, ["point"], digit_ways(part))]
    if part in _PARTS and whole:
        ways += joined(cardinals(whole)[:2] if whole != "0" else [""], [f"and {_PARTS[part]}"])
        if whole == "0":
            ways += [_PARTS[part].removeprefix("a "), _PARTS[part]]
    if 1 < len(part) < 4 and part[0] != "0":
        ways += joined(heads[:2], ["point"], cardinals(part))
    return unique(ways)


def scaled(whole: str, part: str, scale: str, british: bool = False) -> list[str]:
    """The ways to say a number with a scale: "one point five million", "a million and a half"."""
    ways = list(joined(decimals(whole, part, british) if part else cardinals(whole or "0", british), [scale]))
    if part in ("5", "50") and whole:
        ways += _and_a_half(int(whole), scale)
    if part in ("25", "75") and whole:
        ways.append(f"{words(int(whole))} {scale} and {_PARTS[part]}")
    if not part and whole == "1":
        ways.append(f"a {scale}")
    return unique(ways)


_PARTS = {"5": "a half", "25": "a quarter", "75": "three quarters", "50": "a half"}


def _and_a_half(whole: int, scale: str) -> list[str]:
    if not whole:
        return [f"half a {scale}"]
    return [f"{count} {scale} and a half" for count in (["a", "one"] if whole == 1 else [words(whole)])]


def _with_and(ways: Iterable[str], british: bool) -> list[str]:
    """Each way with "and", without it, and with the last one alone, in the order of the country."""
    both = []
    for way in ways:
        without = way.replace(" and ", " ")
        both += [way, without] if british else [without, way]
        if way.count(" and ") > 1:
            head, _, last = way.rpartition(" and ")
            both.append(f"{head.replace(' and ', ' ')} and {last}")
    return list(dict.fromkeys(both))
