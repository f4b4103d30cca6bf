"""How fractions are said."""

import re
import unicodedata

from maya_batch.text.readings.numbers import cardinals, ordinals, words
from maya_batch.text.readings.units import with_unit
from maya_batch.text.readings.ways import joined, plural, unique
from maya_batch.text.readings.written import NUMBER, Rule, Written, group

SIGNS = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"


def of_sign(sign: str) -> tuple[str, str]:
    """The two numbers of a fraction that is one character."""
    above, _, below = unicodedata.normalize("NFKC", sign).partition("⁄")
    return above, below


def fraction_ways(above: str, below: str) -> list[str]:
    """The ways to say a fraction: "one half", "a half", "half a", "three quarters", "three fourths"."""
    count, over = int(above), int(below)
    said, under = words(count), words(over)
    if over > 99:
        parts = [plural(way) if count > 1 else way for way in ordinals(below)]
        return unique(
            [*joined(cardinals(above), [*parts, f"over {under}"]), *joined([said], [under, f"slash {under}"])]
        )
    names = {1: [under], 2: ["half"], 4: ["quarter", "fourth"]}.get(over, [words(over, "en", "ordinal")])
    if over == 1:
        return [f"{said} over one"]
    if count == 1:
        ways = [*joined(["one", "a"], names), *(["half a", "half", "half an"] if over == 2 else [])]
        ways += [f"a {name} of a" for name in names]
    else:
        many = ["halves"] if over == 2 else [plural(name) for name in names]
        ways = [*joined([said], many), *(f"{said} {name} of a" for name in many)]
    ways += [f"{said} over {under}", f"{said} slash {under}", f"{said} out of {under}"]
    if count < 20 and over < 12:
        ways += [f"{said} and {under}", f"{said} and {under}pence"]  # shillings and pence, 2/6
    return unique(ways)


def mixed_ways(whole: str, above: str, below: str, british: bool) -> list[str]:
    """The ways to say a whole number and a fraction: "two and a half"."""
    ways = fraction_ways(above, below)
    parts = [way for way in ways if " " in way and not re.search(r" (?:a|an|of|slash|and \w+pence)\b", way)][:5]
    parts.sort(key=lambda way: not way.startswith("a "))
    return unique([*joined(cardinals(whole, british)[:4], ["and"], parts), *joined(cardinals(whole)[:1], parts)])


def _sign(found: re.Match[str], british: bool) -> list[Written]:
    above, below = of_sign(found["sign"])
    return _fraction(found, found["whole"], above, below, british) if below else []


def _slash(found: re.Match[str], british: bool) -> list[Written]:
    return _fraction(found, found["whole"], found["above"], found["below"], british)


def _fraction(found: re.Match[str], whole: str | None, above: str, below: str, british: bool) -> list[Written]:
    if int(below) == 0:
        return []
    ways = mixed_ways(whole.replace(",", ""), above, below, british) if whole else fraction_ways(above, below)
    is_sure = int(above) < int(below) and int(below) in _USUAL  # else it may be a date or a score: 9/11, 24/7
    return with_unit(found, group(found, 0, ways, "fraction", not is_sure), british, not whole)


_USUAL = frozenset([2, 3, 4, 5, 6, 8, 10, 12, 16, 32, 64, 100])
"""What the fractions of books and recipes are of."""
_PARTS = r"(?P<above>\d{1,6}+)\s?[/⁄]\s?(?P<below>\d{1,6}+)(?:(?:th|rd|nd|TH|RD|ND)s?\b)?(?![\d/])"
RULES = (
    Rule("digit", re.compile(rf"(?P<whole>{NUMBER})\s?(?P<sign>[{SIGNS}])"), _sign),
    Rule("sign", re.compile(rf"(?P<whole>(?!))?(?P<sign>[{SIGNS}])"), _sign),
    Rule("digit", re.compile(rf"(?:(?P<whole>{NUMBER})[ -])?{_PARTS}"), _slash),
)
