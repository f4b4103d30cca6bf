"""Maya1's emotion tags: which there are, how one looks in a text, and what a misspelt one may have meant."""

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
"""Tags that are a sound of their own, seconds long, which no count of words foresees.

Users measured 4 to 6 s for <laugh> and 1 to 2 s for <chuckle>; the rest are here by kinship.
"""

TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9_-]*/?>")
"""Anything of a tag's form, known or not; there is never whitespace inside."""


_LONGEST_NAME = 40


def nearest(name: str, names: Collection[str]) -> str | None:
    """Return the one of `names` that `name` most likely stands for, or None if none is close."""
    if len(name) > _LONGEST_NAME:
        return None
    return closest(re.sub(r"[\s_-]+", "_", name.strip()), names)
