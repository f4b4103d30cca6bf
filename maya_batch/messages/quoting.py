"""A value that a person wrote, in a few words for a message."""

_LONGEST = 50


def quoted(value: object) -> str:
    """The value in quotes where it is a text, of which the beginning is enough; else what it is."""
    match value:
        case None:
            return "nothing"
        case str():
            return repr(value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…")
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case int() if value.bit_length() > _LONGEST:
            return "a huge number"
    return repr(value)
