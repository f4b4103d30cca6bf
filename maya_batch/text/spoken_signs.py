"""Signs that are spoken as words, because the tokenizer would take `<...>` for a tag or a special token."""

WORDS_FOR = {"<": "less than", ">": "greater than"}
_NO_SPACE_AFTER = frozenset("([{“‘\"'")
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}”’\"'")


def words_for(sign: str, before: str, after: str) -> tuple[str, str]:
    """The space before, and the words for a sign of `WORDS_FOR` with the space after.

    `before` and `after` are the characters next to it.
    """
    lead = "" if before.isspace() or before in _NO_SPACE_AFTER else " "
    tail = "" if after.isspace() or after in _NO_SPACE_BEFORE else " "
    return lead, WORDS_FOR[sign] + tail
