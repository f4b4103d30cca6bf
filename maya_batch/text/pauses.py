"""Pauses that a text asks for: `[pause 2s]`, `[pause 0.5 s]`, `[pause 500ms]`, `[pause 2 seconds]`."""

import re

from maya_batch.messages.quoting import shorten

LONGEST_PAUSE = 60.0
"""Seconds; the longest that a manifest's `pauses` may have, too."""
MOST_PAUSE = 600.0
"""Seconds that pauses in a row may come to."""
PAUSE_LIKE = re.compile(r"\[\s*+pause\b[^\[\]\\<]*\]", re.IGNORECASE)
"""What is meant as a pause, rightly written or not."""

_PAUSE = re.compile(
    r"\[\s*pause\s+(?P<number>\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})\s*"
    r"(?:(?P<thousandths>ms|milliseconds?)|s|secs?|seconds?)\s*\]",
    re.IGNORECASE | re.ASCII,
)
_QUOTED = 30
"""Characters of the source quoted in a problem."""


def pause_seconds(raw: str) -> float | None:
    """The seconds of `[pause 2s]`; None if it has no length that is valid."""
    found = _PAUSE.fullmatch(raw)
    if found is None:
        return None
    seconds = float(found["number"])
    if found["thousandths"]:
        seconds = round(seconds / 1000, 6)
    return seconds if 0 < seconds <= LONGEST_PAUSE else None


def pause_problem(raw: str) -> tuple[str, str]:
    """What is wrong with a pause, and how to fix it."""
    shown = shorten(raw, _QUOTED)
    if _PAUSE.fullmatch(raw):
        return f"{shown} is not more than 0 and at most {LONGEST_PAUSE:.0f} seconds", "write a length like [pause 2s]"
    return f"{shown} has no length in seconds", "write it like [pause 2s] or [pause 500ms]"
