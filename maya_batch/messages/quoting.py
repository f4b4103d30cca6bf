"""Quotes a value that a person wrote, shortened for a message."""

_LONGEST = 50


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
