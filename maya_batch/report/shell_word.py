"""Quotes one word of a command line for a shell."""

import shlex

_ESCAPED = {"'": r"\'", "\\": r"\\"}


def shell_word(word: str) -> str:
    """`word`, quoted if needed; with `$'…'` if it has unprintable characters or bytes that are not text."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escape, word)) + "'"


def _escape(character: str) -> str:
    if character.isprintable():
        return _ESCAPED.get(character, character)
    return "".join(rf"\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))
