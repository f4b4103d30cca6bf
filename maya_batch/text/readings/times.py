"""How times of day are said."""

import re

from maya_batch.text.readings.numbers import cardinals, words
from maya_batch.text.readings.ways import joined, unique
from maya_batch.text.readings.written import Rule, Written, group


def time_ways(hour: int, minute: int, second: int | None = None) -> list[str]:
    """The ways to say a time of the clock: "six forty five", "a quarter to seven", "eighteen hundred hours"."""
    said, late = words(hour), words(minute)
    if second is not None:
        return _with_seconds(hour, minute, second)
    hours = [said] + ([words(hour - 12)] if hour > 12 else ["twelve", "midnight"] if hour == 0 else [])
    following = words((hour % 12) + 1)
    if minute == 0:
        ways = [way for each in hours for way in ((f"{each} o'clock", each) if each != "midnight" else (each,))]
        return unique(
            [*ways, f"{said} hundred", f"{said} hundred hours", *([f"oh {said} hundred"] if hour < 10 else [])]
        )
    if minute < 10:
        ways = [f"{each} oh {late}" for each in hours] + [f"{each} o {late}" for each in hours]
        ways.append(f"{said} {late}")
    else:
        ways = [f"{each} {late}" for each in hours]
    past, to = hours[-1] if hour else "twelve", words(60 - minute)
    if minute in (15, 45):
        near, joint = (past, ("past", "after")) if minute == 15 else (following, ("to", "of", "before", "till"))
        ways += [f"{article}quarter {how} {near}" for article in ("a ", "") for how in joint]
    if minute == 30:
        ways += [f"half past {past}", f"half after {past}", f"half {past}"]
    if minute <= 30:
        minutes = "minute" if minute == 1 else "minutes"
        ways += [
            f"{late} past {past}",
            f"{late} {minutes} past {past}",
            f"{late} after {past}",
            f"{late} {minutes} after {past}",
        ]
    else:
        minutes = "minute" if minute == 59 else "minutes"
        ways += [
            f"{to} to {following}",
            f"{to} {minutes} to {following}",
            f"{to} of {following}",
            f"{to} {minutes} before {following}",
        ]
    return unique(ways)


def _with_seconds(hour: int, minute: int, second: int) -> list[str]:
    parts = [(hour, "hour"), (minute, "minute"), (second, "second")]
    named = [f"{words(count)} {name}{'' if count == 1 else 's'}" for count, name in parts]
    bare = [words(hour), *(f"oh {words(count)}" if count < 10 else words(count) for count in (minute, second))]
    return unique(
        [
            " ".join(bare),
            f"{named[0]} {named[1]} and {named[2]}",
            " ".join(named),
            f"{bare[0]} {bare[1]} and {named[2]}",
        ]
    )


def _time(found: re.Match[str], british: bool) -> list[Written]:
    hour, minute = int(found["hour"]), int(found["minute"])
    second = int(found["second"]) if found["second"] else None
    if hour > 24 or minute > 59 or (second or 0) > 59:
        ways = joined(cardinals(str(hour), british), ["to", ""], cardinals(str(minute), british))
        return group(found, 0, ways, "ratio") if second is None else []
    return [*group(found, 0, time_ways(hour, minute, second), "time"), *half_of_day(found)]


def _hour(found: re.Match[str], british: bool) -> list[Written]:
    return [*group(found, "hour", [words(int(found["hour"]))], "time"), *half_of_day(found)]


def _zone(found: re.Match[str], british: bool) -> list[Written]:
    letters = re.sub(r"\W", "", found[0]).lower()
    return group(found, 0, [" ".join(letters), letters], "acronym")


def half_of_day(found: re.Match[str]) -> list[Written]:
    """The a.m. or p.m. after a match, if it follows."""
    half = _HALF.match(found.string, found.end())
    return group(half, "half", [f"{half['letter'].lower()} m", f"{half['letter'].lower()}m"], "time") if half else []


ZONES = frozenset(("gmt", "est", "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt"))
_HALF = re.compile(r"\s?(?P<half>(?P<letter>[ap])(?:\.\s?m\b\.?|m\b\.?))", re.IGNORECASE)
_BEFORE_HALF = r"(?=\s?[apAP](?:\.\s?[mM]\b|[mM]\b))"
RULES = (
    Rule("digit", re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?!\d)"), _time),
    Rule("digit", re.compile(rf"(?P<hour>\d{{1,2}})\.(?P<minute>\d{{2}})(?P<second>(?!))?{_BEFORE_HALF}"), _time),
    Rule("digit", re.compile(rf"(?P<hour>\d{{1,2}}){_BEFORE_HALF}"), _hour),
    Rule("letter", re.compile(r"(?<=[\dmM.]\s)(?:[gG]\.?[mM]\.?[tT]\b\.?|[ecmpECMP]\.?[sdSD]\.?[tT]\b\.?)"), _zone),
)
