"""How fractions are said."""

import unicodedata

from maya_batch.text.readings.numbers import cardinals, words
from maya_batch.text.readings.ways import joined, plural, unique

SIGNS = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"


def of_sign(sign: str) -> tuple[str, str]:
    """The two numbers of a fraction that is one character."""
    above, _, below = unicodedata.normalize("NFKC", sign).partition("⁄")
    return above, below


def fraction_ways(above: str, below: str) -> list[str]:
    """The ways to say a fraction: "one half", "a half", "half a", "three quarters", "three fourths"."""
    count, over = int(above), int(below)
    said, under = words(count), words(over)
    names = {1: [under], 2: ["half"], 4: ["quarter", "fourth"]}.get(over, [words(over, "en", "ordinal")])
    if over == 1:
        return [f"{said} over one"]
    if count == 1:
        ways = [*joined(["one", "a"], names), *(["half a", "half", "half an"] if over == 2 else [])]
        ways += [f"a {name} of a" for name in names]
    else:
        many = ["halves"] if over == 2 else [plural(name) for name in names]
        ways = [*joined([said], many), *(f"{said} {name} of a" for name in many)]
    return unique([*ways, f"{said} over {under}", f"{said} {under}", f"{said} slash {under}", f"{said} out of {under}"])


def mixed_ways(whole: str, above: str, below: str, british: bool) -> list[str]:
    """The ways to say a whole number and a fraction: "two and a half"."""
    parts = [way for way in fraction_ways(above, below) if not way.endswith((" a", " an")) and way != "half"][:4]
    if len(parts) > 1 and parts[0].startswith("one ") and parts[1].startswith("a "):
        parts[:2] = parts[1::-1]
    elif parts[0].startswith("one "):
        parts = sorted(parts, key=lambda way: not way.startswith("a "))
    parts = [part for part in parts if not any(word in part for word in ("slash", "out of"))]
    return unique([*joined(cardinals(whole, british)[:4], ["and"], parts), *joined(cardinals(whole)[:1], parts)])
