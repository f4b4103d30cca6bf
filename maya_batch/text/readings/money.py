"""How sums of money are said."""

import re
from dataclasses import dataclass

from maya_batch.text.readings.numbers import cardinals, decades, decimals, pairs, scaled, words
from maya_batch.text.readings.units import per_unit
from maya_batch.text.readings.ways import joined, unique
from maya_batch.text.readings.written import DASH, NUMBER, Rule, Written, group


@dataclass(frozen=True)
class Currency:
    """A currency's unit and its hundredth, singular and plural."""

    one: str
    many: str
    cent: str = ""
    cents: str = ""


CURRENCIES = {
    "$": Currency("dollar", "dollars", "cent", "cents"),
    "£": Currency("pound", "pounds", "penny", "pence"),
    "€": Currency("euro", "euros", "cent", "cents"),
    "¥": Currency("yen", "yen"),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "₩": Currency("won", "won"),
    "¢": Currency("cent", "cents"),
}
SCALES = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "b": "billion",
    "bn": "billion",
    "tn": "trillion",
}


def money_ways(sign: str, whole: str, part: str, scale: str, british: bool) -> list[str]:
    """The ways to say a sum: "fifty cents", "fifteen hundred dollars", "a million and a half dollars".

    `whole` has digits alone, and may be empty; `part` is what follows the point, `scale` a word like "million".
    """
    coin = CURRENCIES[sign]
    coins = [coin.one, coin.many] if whole == "1" and not part and not scale else [coin.many, coin.one]
    if scale:
        return unique(joined(scaled(whole, part, scale, british), coins))
    if not part.strip("0") or not coin.cent:
        ways = [*joined(_amounts(whole or "0", british), coins)] if not part.strip("0") else []
        return unique([*ways, *joined(decimals(whole, part, british) if part else [], coins)])
    exact = joined(decimals(whole, part, british)[:6], coins[:1])
    cents = part.ljust(2, "0")
    if cents[2:].strip("0"):
        return unique([*joined(decimals(whole, part, british), coins)])
    cents = cents[:2]
    count = words(int(cents))
    small = [coin.cent, coin.cents] if cents == "01" else [coin.cents, coin.cent]
    if int(whole or "0") == 0:
        return unique([*joined([count], small), *exact, *([f"half a {coin.one}"] if cents == "50" else [])])
    amounts = _amounts(whole, british)[:5]
    coins = [coin.one, coin.many] if whole == "1" else [coin.many, coin.one]
    late = f"oh {count}" if cents[0] == "0" else count
    return unique(
        [
            *joined(amounts, coins[:1], ["and", ""], [count], small[:1]),
            *joined(amounts, coins[:1], ["", "and"], [late]),
            *joined(amounts, [late]),
            *(exact if len(part) != 2 else list(exact)[:3]),
        ]
    )


def _amounts(whole: str, british: bool) -> list[str]:
    return unique([*cardinals(whole, british), *pairs(whole)])


def old_money_ways(pounds: str, shillings: str, pence: str, british: bool) -> list[str]:
    """The ways to say pounds, shillings and pence: "three pounds four and sixpence", "three pounds four shillings"."""
    parts: list[list[str]] = []
    if pounds:
        parts.append(
            list(joined(cardinals(pounds, british)[:3], ["pound", "pounds"] if pounds == "1" else ["pounds", "pound"]))
        )
    if shillings:
        said = words(int(shillings))
        parts.append(
            [f"{said} shillings" if shillings != "1" else "one shilling", *([said] if pounds or pence else [])]
        )
    if pence:
        said = words(int(pence))
        whole = ["one penny", "a penny"] if pence == "1" else [f"{said} pence", f"{said}pence"]
        parts.append(whole + ([f"and {way}" for way in whole] + [said] if shillings or pounds else []))
    return unique(joined(*parts))


def _old_money(found: re.Match[str], british: bool) -> list[Written]:
    pounds = (found["pounds"] or "").replace(",", "")
    return group(found, 0, old_money_ways(pounds, found["shillings"] or "", found["pence"] or "", british), "money")


def _shillings(found: re.Match[str], british: bool) -> list[Written]:
    """Shillings, with pence or alone; "20s." may be a decade at the end of a sentence, too."""
    text, shillings, pence = found.string, found["shillings"], found["pence"] or ""
    ways = old_money_ways("", shillings, pence, british)
    if pence or _AS_SHORT_FORM.match(text, found.end()) or not _MAYBE_DECADE.fullmatch(shillings):
        return group(found, 0, ways, "money")
    if _DECADE_BEFORE.search(text, max(0, found.start() - 16), found.start()):
        return []  # the rules for figures read the decade
    if shillings == "10":
        return group(found, 0, ways, "money")
    return group(found, 0, [*ways, *decades(shillings, british)], "money", True)


def _money(found: re.Match[str], british: bool) -> list[Written]:
    ways = _ways(found, british, "")
    if _is_attribute(found):
        coin = CURRENCIES[found["sign"]]
        ways = [re.sub(rf"\b{coin.many}$", coin.one, ways[0]), *ways]
    return per_unit(found, group(found, 0, ways, "money"), british)


def _is_attribute(found: re.Match[str]) -> bool:
    """Whether a sum says what kind of thing comes after it: "a $100 note", "the £5 notes"."""
    after = _NEXT_WORD.match(found.string, found.end())
    if after is None:
        return False
    return after[1] in _OF_MONEY or (
        after[1] not in _AFTER_SUMS
        and _BEFORE_ATTRIBUTE.search(found.string, max(0, found.start() - 4), found.start()) is not None
    )


def _range(found: re.Match[str], british: bool) -> list[Written]:
    low, high = _ways(found, british, ""), _ways(found, british, "2")
    bare = [way.removesuffix(" dollars").removesuffix(" pounds") for way in low[:2]]
    return group(found, 0, [*joined(low[:4], ["to", ""], high[:4]), *joined(bare, ["to"], high[:4])], "money")


def _ways(found: re.Match[str], british: bool, which: str) -> list[str]:
    scale = (found[f"scale{which}"] or "").strip().rstrip(".").lower()
    scale = SCALES.get(scale, scale)
    whole = (found[f"whole{which}"] or "").replace(",", "")
    return money_ways(found["sign"], whole, found[f"part{which}"] or "", scale, british)


def _cents(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, money_ways("¢", found["whole"].replace(",", ""), "", "", british), "money")


def _amount(which: str = "") -> str:
    return (
        rf"(?P<whole{which}>{NUMBER})?(?:\.(?P<part{which}>\d{{1,9}}+))?(?<=\d)"
        rf"(?P<scale{which}>\s(?:{_SCALE})\b|(?:k|mn|m|bn|b|tn|K|M|B)\b|\s(?:(?:mn|m|bn|tn)\b(?:\.(?=[,;:]|\s+[a-z]))?|M\b(?!\.))(?!['’]))?"
    )


_NEXT_WORD = re.compile(r" ([a-z]{3,})\b")
_BEFORE_ATTRIBUTE = re.compile(r"\b[Aa]n? $")
_OF_MONEY = frozenset(["bill", "bills", "note", "notes", "coin", "coins", "piece", "pieces"])
_AFTER_SUMS = frozenset(["and", "per", "for", "from", "each", "every", "apiece", "more", "less", "plus", "with"])
_AS_SHORT_FORM = re.compile(r"\s+[a-z]|[,;:]")
"""After a full stop that does not end the sentence: "at 20s. a week"."""
_MAYBE_DECADE = re.compile(r"[1-9]0")
_DECADE_BEFORE = re.compile(
    r"(?:\b(?:the|these|those|my|your|his|her|its|our|their|early|mid|middle|late|later|low|high|lower|upper|roaring"
    r"|swinging)|\d0['’]?s,?(?:\s(?:and|or|to))?)[\s-]$",
    re.IGNORECASE,
)
_SCALE = r"thousand|hundred|million|billion|trillion"
RULES = (
    Rule(
        "sign",
        re.compile(
            rf"£\s?(?P<pounds>{NUMBER}),?\s?(?P<shillings>\d{{1,2}}+)s\b\.?(?:,?\s?(?P<pence>\d{{1,2}}+)d\b\.?)?"
        ),
        _old_money,
    ),
    Rule(
        "digit",
        re.compile(r"(?P<shillings>\d{1,2}+)s\.(?:,?\s?(?P<pence>\d{1,2}+)d\b\.?)?(?!\w)"),
        _shillings,
    ),
    Rule("digit", re.compile(r"(?P<pounds>(?!))?(?P<shillings>(?!))?(?P<pence>\d{1,2}+)d\.(?!\w)"), _old_money),
    Rule("sign", re.compile(rf"(?P<sign>[$£€¥₹₩])\s?{_amount()}\s?{DASH}\s?(?P=sign)?{_amount('2')}"), _range),
    Rule("sign", re.compile(rf"(?P<sign>[$£€¥₹₩])\s?{_amount()}"), _money),
    Rule("digit", re.compile(rf"(?P<whole>{NUMBER})\s?(?:¢|c\.(?!\w))"), _cents),
)
