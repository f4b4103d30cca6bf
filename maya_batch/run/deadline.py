"""When a run is to stop: at a time of day, after so many minutes, or whichever comes first."""

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from maya_batch.errors import StoppedError, UsageError

_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")

_GOES_ON = ", as asked: stopped; what is stored stays, and the same command goes on from there"


@dataclass(frozen=True)
class Deadline:
    """Points in time that end a run; None for those that were not asked for.

    A time of day is looked for on the wall clock, so that it is what people read there even where that clock was set
    meanwhile; minutes are counted on one that nobody sets.
    """

    until: datetime | None = None
    """Aware, or None."""
    after: float | None = None
    """Of the monotonic clock, in seconds."""

    def check(self) -> None:
        """Do nothing as long as there is time.

        Raises:
            StoppedError: the time is up.
        """
        if self.until is not None and time.time() >= self.until.timestamp():
            raise StoppedError(f"it is {self.until:%H:%M}{_GOES_ON}")
        if self.after is not None and time.monotonic() >= self.after:
            raise StoppedError(f"the minutes are over{_GOES_ON}")


def deadline_of(until: str | None, minutes: float | None, now: datetime | None = None) -> Deadline:
    """The deadline that `until` (a time of day like 07:00, the next one there is) and `minutes` from now ask for.

    Raises:
        UsageError: `until` is no time of day, or `minutes` no number from 0 on.
    """
    if minutes is not None and not minutes >= 0:  # NaN is no such number either, and would never be over
        raise UsageError(f"--max-minutes {minutes:g}: not a number of minutes from 0 on")
    return Deadline(
        None if until is None else _next(until, now or datetime.now()),
        None if minutes is None else time.monotonic() + minutes * 60,
    )


def _next(until: str, now: datetime) -> datetime:
    """The next such time after `now`, which is local and naive; made aware last, so that clocks may change between."""
    match = _TIME_OF_DAY.fullmatch(until)
    if match is None:
        raise UsageError(f"--until {until}: not a time of day; write it like 07:00")
    then = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    return (then if then > now else then + timedelta(days=1)).astimezone()
