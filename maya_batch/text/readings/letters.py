"""What is said letter by letter: initials, acronyms, and words of letters and digits."""

import re
from functools import lru_cache

from maya_batch.text.readings.ways import unique

_VOWELS = frozenset("AEIOUY")
_SPELLED = re.compile(  # without IT and US, which are far more often shouted words
    "AI|API|ATM|BA|CEO|CIA|DIY|EU|FAQ|FBI|IBM|ID|IOU|IQ|IRS|ISP|IV|MA|MIT|OK|RAF|RIP|SOS|SUV"
    "|UAE|UFO|UK|UN|UPS|URL|USA|USB|USSR|VIP|YMCA|AM|DNA|CIO|EKG|ECG|UCLA|AD|NYU|EST|EDT|PIN"
)
_NOT_SPELLED = re.compile("BRR|DR|HMM?|MRS?|PFFT|PSST|SHH|ST|TSK|MT|SH|TH")
ACRONYM = re.compile(r"([A-Z]{2,5})(['’]?s)?(?![\w])")
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
