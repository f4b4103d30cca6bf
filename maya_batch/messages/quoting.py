"""Quotes values that a person wrote, shortened for a message."""

from collections.abc import Sequence

_LONGEST = 50
_MOST_QUOTED = 3


def shorten(text: str, longest: int = _LONGEST) -> str:
    """The start of a text, `longest` characters at most."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def quoted(value: object) -> str:
    """A string as its start in quotes; another value as its kind or its repr."""
    match value:
        case None:
            return "nothing"
        case str():
            return repr(shorten(value))
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case int() if value.bit_length() > _LONGEST:
            return "a huge number"
    return repr(value)


def quoted_names(names: Sequence[str]) -> str:
    """The first names, quoted, and how many more there are."""
    more = len(names) - _MOST_QUOTED
    return ", ".join(map(quoted, names[:_MOST_QUOTED])) + (f" and {more:,} more" if more > 0 else "")
