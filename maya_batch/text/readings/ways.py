"""Ways to say a thing: lists of readings, the most likely first, and how they are joined."""

from collections.abc import Iterable, Iterator
from itertools import islice, product

LIMIT = 40
"""The most readings of one written thing; the less likely ones are dropped."""


def tidy(reading: str) -> str:
    """A reading in lower case with single spaces, without hyphens, commas and full stops."""
    return " ".join(reading.lower().replace("-", " ").replace(",", " ").replace(".", " ").split())


def unique(ways: Iterable[str]) -> list[str]:
    """The different ways that say something, at most LIMIT, in their order."""
    return list(islice(dict.fromkeys(way for way in map(tidy, ways) if way), LIMIT))


def joined(*parts: Iterable[str]) -> Iterator[str]:
    """Each way of the first part with each way of the next one, and so on; "" leaves a part out."""
    return (" ".join(way) for way in product(*parts))


def plural(reading: str) -> str:
    """The plural of a reading, by its last word: "nineties", "sixes"."""
    if reading.endswith("y") and reading[-2:-1] not in "aeiou":
        return f"{reading[:-1]}ies"
    return f"{reading}es" if reading.endswith(("x", "s", "ch", "sh")) else f"{reading}s"
