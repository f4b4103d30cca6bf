"""How times of day are said."""

from maya_batch.text.readings.numbers import words
from maya_batch.text.readings.ways import unique


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
