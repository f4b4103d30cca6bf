"""Signs that are said."""

import re

from maya_batch.text.readings.written import DASH, Rule, Written, group

SIGNS = {
    "&": ["and", "ampersand"],
    "%": ["percent", "per cent"],
    "+": ["plus", "and"],
    "=": ["equals", "is equal to", "is", "equal", "equal to"],
    "@": ["at"],
    "#": ["number", "hash", "hashtag", "pound", "sharp"],
    "°": ["degrees", "degree"],
    "×": ["times", "by", "x", "multiplied by"],
    "÷": ["divided by", "over"],
    "±": ["plus or minus", "plus minus"],
    "<": ["less than", "is less than"],
    ">": ["greater than", "is greater than", "more than"],
    "§": ["section", "paragraph"],
    "§§": ["sections"],
    "©": ["copyright", "c"],
    "®": ["registered", "r"],
    "™": ["trademark", "trade mark", "t m"],
    "№": ["number"],
    "‰": ["per mille", "per thousand"],
    "$": ["dollar", "dollars"],
    "£": ["pound", "pounds"],
    "€": ["euro", "euros"],
    "¥": ["yen"],
    "₹": ["rupee", "rupees"],
    "¢": ["cent", "cents"],
    "≈": ["approximately", "about"],
    "≤": ["less than or equal to", "is less than or equal to"],
    "≥": ["greater than or equal to", "is greater than or equal to"],
    "≠": ["is not equal to", "not equal to", "does not equal"],
    "√": ["square root of", "the square root of"],
    "∞": ["infinity"],
}
"""By the sign: how it is said, the most likely first."""
_MINUS = ["minus", "negative"]
_BEFORE_NUMBER = re.compile(r"\s?\d")
_TO = ["to", "through", "dash"]


def _minus(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, _MINUS, "sign")


def _sign(found: re.Match[str], british: bool) -> list[Written]:
    is_unsure = found[0] == "#" and _BEFORE_NUMBER.match(found.string, found.end()) is None  # "#MeToo", "F#"
    return group(found, 0, SIGNS.get(found[0], ()), "sign", is_unsure)


def _to(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, _TO, "range")


_AMOUNT = r"(?=[\d$£€¥½¼¾])"
RULES = (
    Rule("sign", re.compile(rf"(?<=[\dsSmM%°.]){DASH}{_AMOUNT}|(?<=[\dsSmM%°.]\s){DASH}(?=\s{_AMOUNT})"), _to),
    Rule("sign", re.compile(r"(?<![\w)–—-])[-–−](?=[.\d$£€])"), _minus),
    Rule("sign", re.compile(r"§§|[^\w\s]"), _sign),
)
