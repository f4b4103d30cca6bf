"""When a run stops: at a time of day, after some minutes, or whichever comes first."""

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from maya_batch.errors import StoppedError, UsageError
from maya_batch.wording import stopped_by

_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class Deadline:
    """Points in time that end a run; None where none was given.

    A time of day is compared with the wall clock, and holds even if that clock is set meanwhile. Minutes are counted on
    the monotonic clock, which cannot be set.
    """

    until: datetime | None = None
    """Aware, or None."""
    after: float | None = None
    """Seconds on the monotonic clock."""

    def check(self) -> None:
        """Raise a StoppedError when the time is up."""
        if self.until is not None and time.time() >= self.until.timestamp():
            raise StoppedError(stopped_by(f"at {self.until:%H:%M}, as --until asks"))
        if self.after is not None and time.monotonic() >= self.after:
            raise StoppedError(stopped_by("after --max-minutes"))


def deadline_of(until: str | None, minutes: float | None, now: datetime | None = None) -> Deadline:
    """The deadline at `until` (the next such time of day, like 07:00) or `minutes` from now.

    Raises:
        UsageError: `until` is not a time of day, or `minutes` is negative or NaN.
    """
    if minutes is not None and not minutes >= 0:  # NaN would never be over
        raise UsageError(f"--max-minutes {minutes:g}: must be 0 or more")
    return Deadline(
        None if until is None else _next(until, now or datetime.now()),
        None if minutes is None else time.monotonic() + minutes * 60,
    )


def _next(until: str, now: datetime) -> datetime:
    """The next such time after `now` (local, naive). It is made aware last, so that clocks may change in between."""
    match = _TIME_OF_DAY.fullmatch(until)
    if match is None:
        raise UsageError(f"--until {until}: not a time of day; write it like 07:00")
    then = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    return (then if then > now else then + timedelta(days=1)).astimezone()
