"""Numbers of languages other than English, as num2words says them."""

import re

from maya_batch.text.readings.numbers import LONGEST, digit_ways, words
from maya_batch.text.readings.ways import unique
from maya_batch.text.readings.written import Written

_NUMBER = re.compile(r"(?P<whole>\d{1,3}(?:[.,\u00a0\u202f]\d{3})++(?!\d)|\d++)(?:[.,](?P<part>\d{1,30}+)(?!\d))?")


def find_numbers(text: str, language: str) -> list[Written]:
    """The numbers of a text; none if num2words does not know the language.

    Genders and cases are not told apart: a number that ends in 1, or may be a year or a rank, is ambiguous.
    """
    found = []
    for match in _NUMBER.finditer(text):
        ways = _ways(re.sub(r"\D", "", match["whole"]), language)
        if not ways:
            continue
        unsure = match["whole"].endswith("1") or len(match["whole"]) == 4 or text[match.end() : match.end() + 1] == "."
        found.append(Written(match.start("whole"), match.end("whole"), tuple(ways), "cardinal", unsure))
        if match["part"]:
            part = tuple(unique([*digit_ways(match["part"], language), words(int(match["part"]), language)]))
            found.append(Written(match.start("part"), match.end("part"), part, "decimal", True))
    return found


def _ways(digits: str, language: str) -> list[str]:
    """A whole number as a count, a rank, a year, and digit by digit."""
    if len(digits) > LONGEST or (digits[0] == "0" and len(digits) > 1):
        return unique(digit_ways(digits, language))
    forms = ["cardinal", "ordinal", *(["year"] if len(digits) == 4 else [])]
    return unique([*(words(int(digits), language, form) for form in forms), *digit_ways(digits, language)])
