"""Maya1's emotion tags: their names, their form in a text, and the closest name to a misspelt one."""

import re
from collections.abc import Collection

from maya_batch.messages.suggestions import closest

MAYA1_TAGS: tuple[str, ...] = (
    "angry",
    "appalled",
    "chuckle",
    "cry",
    "curious",
    "disappointed",
    "excited",
    "exhale",
    "gasp",
    "giggle",
    "gulp",
    "laugh",
    "laugh_harder",
    "mischievous",
    "sarcastic",
    "scream",
    "sigh",
    "sing",
    "snort",
    "whisper",
)
"""The 20 tags in the constants published with maya-research/maya1, each a single token of its tokenizer.

Hosted services list 17 of them: not appalled, disappointed and mischievous.
"""

LAUGH_TAGS: frozenset[str] = frozenset({"chuckle", "cry", "giggle", "laugh", "laugh_harder", "scream", "sing"})
"""Tags that add a sound, seconds long, to the length that the words take.

Users measured 4 to 6 s for <laugh> and 1 to 2 s for <chuckle>; the others are here because they are similar.
"""

TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9_-]*/?>")
"""Anything in the form of a tag, known or not; never with whitespace inside."""

_LONGEST_NAME = 40


def nearest(name: str, names: Collection[str]) -> str | None:
    """Return the name in `names` that is closest to `name`, or None if none is close."""
    if len(name) > _LONGEST_NAME:
        return None
    return closest(re.sub(r"[\s_-]+", "_", name.strip()), names)
