"""A value that a person wrote, in a few words for a message."""

_LONGEST = 50


def shorten(text: str, longest: int = _LONGEST) -> str:
    """The beginning of a text, `longest` characters at most."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def quoted(value: object) -> str:
    """The value in quotes where it is a text, of which the beginning is enough; else what it is."""
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
