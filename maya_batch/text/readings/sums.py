"""The rules for sums of money."""

import re

from maya_batch.text.readings import money
from maya_batch.text.readings.figures import NUM
from maya_batch.text.readings.ways import joined
from maya_batch.text.readings.written import Rule, Written, group

_SCALE = r"thousand|hundred|million|billion|trillion"
_DASH = r"\s?[-‐‑‒–—−]\s?"


def _old_money(found: re.Match[str], british: bool) -> list[Written]:
    pounds = (found["pounds"] or "").replace(",", "")
    return group(
        found, 0, money.old_money_ways(pounds, found["shillings"] or "", found["pence"] or "", british), "money"
    )


def _money(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, _ways(found, british, ""), "money")


def _range(found: re.Match[str], british: bool) -> list[Written]:
    low, high = _ways(found, british, ""), _ways(found, british, "2")
    bare = [way.removesuffix(" dollars").removesuffix(" pounds") for way in low[:2]]
    return group(found, 0, [*joined(low[:4], ["to", ""], high[:4]), *joined(bare, ["to"], high[:4])], "money")


def _ways(found: re.Match[str], british: bool, which: str) -> list[str]:
    scale = (found[f"scale{which}"] or "").strip().lower()
    scale = money.SCALES.get(scale, scale)
    whole = (found[f"whole{which}"] or "").replace(",", "")
    return money.money_ways(found["sign"], whole, found[f"part{which}"] or "", scale, british)


def _cents(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, money.money_ways("¢", found["whole"].replace(",", ""), "", "", british), "money")


def _amount(which: str = "") -> str:
    return (
        rf"(?P<whole{which}>{NUM})?(?:\.(?P<part{which}>\d{{1,9}}+))?(?<=\d)"
        rf"(?P<scale{which}>\s(?:{_SCALE})\b|(?:k|mn|m|bn|b|tn|K|M|B)\b)?"
    )


RULES = (
    Rule(
        "sign",
        re.compile(rf"£\s?(?P<pounds>{NUM}),?\s?(?P<shillings>\d{{1,2}}+)s\b\.?(?:,?\s?(?P<pence>\d{{1,2}}+)d\b\.?)?"),
        _old_money,
    ),
    Rule(
        "digit",
        re.compile(r"(?P<pounds>(?!))?(?P<shillings>\d{1,2}+)s\.(?:,?\s?(?P<pence>\d{1,2}+)d\b\.?)?(?!\w)"),
        _old_money,
    ),
    Rule("digit", re.compile(r"(?P<pounds>(?!))?(?P<shillings>(?!))?(?P<pence>\d{1,2}+)d\.(?!\w)"), _old_money),
    Rule("sign", re.compile(rf"(?P<sign>[$£€¥₹₩])\s?{_amount()}{_DASH}(?P=sign)?{_amount('2')}"), _range),
    Rule("sign", re.compile(rf"(?P<sign>[$£€¥₹₩])\s?{_amount()}"), _money),
    Rule("digit", re.compile(rf"(?P<whole>{NUM})\s?(?:¢|c\.(?!\w))"), _cents),
)
