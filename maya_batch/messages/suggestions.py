"""Finds the known name closest to a misspelt one, and lists the known names."""

from collections.abc import Collection
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

#: With more known names there is no suggestion: a file may have tens of thousands of mistakes.
_MOST_NAMES = 200
#: How many of the closest names are compared by difflib, which is slow.
_MOST_CLOSE = 5
_ALIKE = 0.6
#: Enough for all keys of `render:`.
_MOST_SHOWN = 12


def closest(word: str, names: Collection[str]) -> str | None:
    """The name in `names` closest to `word`, ignoring case; None if none is close."""
    return None if len(names) > _MOST_NAMES else _closest(word.casefold(), tuple(sorted(names)))


def listed(names: Collection[str]) -> str:
    """The names for a message, the first dozen of them."""
    more = len(names) - _MOST_SHOWN
    return ", ".join(islice(names, _MOST_SHOWN)) + (f" and {more:,} more" if more > 0 else "")


@lru_cache(maxsize=1 << 10)
def _closest(folded: str, names: tuple[str, ...]) -> str | None:
    """As `closest`. Cached: a text full of markup asks for the same few names thousands of times."""
    from rapidfuzz.distance import Indel  # needed only where there is a mistake
    from rapidfuzz.process import extract

    by_fold = {name.casefold(): name for name in names}
    # Indel's similarity is never lower than difflib's, so the cutoff loses nothing.
    likeness = Indel.normalized_similarity
    alike = extract(folded, list(by_fold), scorer=likeness, score_cutoff=_ALIKE, limit=_MOST_CLOSE)
    close = get_close_matches(folded, [name for name, _, _ in alike], n=1, cutoff=_ALIKE)
    return by_fold[close[0]] if close else None
