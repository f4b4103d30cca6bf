"""What is said letter by letter: initials, acronyms, and words of letters and digits."""

import re
from functools import lru_cache

from maya_batch.text.readings.numbers import words
from maya_batch.text.readings.ways import unique
from maya_batch.text.readings.written import Rule, Written, group

_VOWELS = frozenset("AEIOUY")
_SPELLED = re.compile(  # without IT and US, which are far more often shouted words
    "AI|API|ATM|BA|CEO|CIA|DIY|EU|FAQ|FBI|IBM|ID|IOU|IQ|IRS|ISP|IV|MA|MIT|OK|RAF|RIP|SOS|SUV"
    "|UAE|UFO|UK|UN|UPS|URL|USA|USB|USSR|VIP|YMCA|AM|DNA|CIO|EKG|ECG|UCLA|AD|NYU|EST|EDT|PIN"
)
_NOT_SPELLED = re.compile("BRR|DR|HMM?|MRS?|PFFT|PSST|SHH|ST|TSK|MT|SH|TH")
_ACRONYM = re.compile(r"(?<![^\W_])([A-Z]{2,5})(['’]?s)?(?![\w])")
_SAID = {"OK": ["okay"], "TV": ["television"], "USA": ["united states of america"], "US": ["united states"]}


@lru_cache(maxsize=1 << 12)
def acronym_ways(capitals: str, tail: str = "") -> tuple[str, ...]:
    """The ways to say a word in capitals that is spelled, `tail` being "" or "s"; none if it is a word."""
    if _VOWELS & set(capitals):
        if _SPELLED.fullmatch(capitals) is None:
            return ()
    elif _NOT_SPELLED.fullmatch(capitals):
        return ()
    spelled = " ".join(capitals.lower())
    said = _SAID.get(capitals, [])
    return tuple(unique(f"{way}{tail}" for way in [spelled, f"{capitals.lower()}", *said]))


def _acronym(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, acronym_ways(found[1], "s" if found[2] else ""), "acronym")


def _era(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, [" ".join(found[0].lower()), found[0]], "abbreviation")


def _quarter(found: re.Match[str], british: bool) -> list[Written]:
    count, rank = words(int(found[1])), words(int(found[1]), "en", "ordinal")
    return group(found, 0, [f"q {count}", f"{rank} quarter", f"{rank} quarter of", f"the {rank} quarter of"], "acronym")


def _by(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, ["by", "times", "x"], "sign")


RULES = (
    Rule("letter", re.compile(r"(?<=\d)(?:BCE?|CE|AD)\b"), _era),
    Rule("letter", re.compile(r"\bQ([1-4])\b"), _quarter),
    Rule("letter", re.compile(r"(?<=\d)x(?=\d)|(?<=\d\s)x(?=\s\d)"), _by),
    Rule("letter", _ACRONYM, _acronym),
)
