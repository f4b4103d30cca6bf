"""How sums of money are said."""

from dataclasses import dataclass

from maya_batch.text.readings.numbers import cardinals, decimals, scaled, words
from maya_batch.text.readings.ways import joined, unique


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
    coins = [coin.many, coin.one] if whole != "1" or scale or part else [coin.one, coin.many]
    if scale:
        return unique(joined(scaled(whole or "0", part, scale, british), coins))
    if len(part) != 2 or not coin.cent:
        return unique(joined(decimals(whole, part, british) if part else cardinals(whole, british), coins))
    cents = words(int(part))
    small = [coin.cent, coin.cents] if part == "01" else [coin.cents, coin.cent]
    if int(whole or "0") == 0:
        ways = [*joined([cents], small), *joined(decimals(whole, part), coins)]
        return unique([*ways, *([f"half a {coin.one}"] if part == "50" else [])])
    coins = [coin.one, coin.many] if whole == "1" else [coin.many, coin.one]
    if part == "00":
        return unique(
            [
                *joined(cardinals(whole, british), coins),
                *joined(cardinals(whole, british), coins[:1], ["and"], ["zero", "no"], small),
            ]
        )
    amounts = cardinals(whole, british)[:3]
    late = f"oh {cents}" if part[0] == "0" else cents
    return unique(
        [
            *joined(amounts, coins[:1], ["and", ""], [cents], small[:1]),
            *joined(amounts, coins[:1], ["", "and"], [late]),
            *joined(amounts, [late]),
            *joined(decimals(whole, part, british)[:6], coins[:1]),
        ]
    )


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
