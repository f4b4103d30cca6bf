"""Quoting one word of a command line for a shell."""

import shlex

_ESCAPED = {"'": r"\'", "\\": r"\\"}


def shell_word(word: str) -> str:
    """`word` in quotes where it needs them: in those of `$'…'` what cannot be printed, bytes that are no text too."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escape, word)) + "'"


def _escape(character: str) -> str:
    if character.isprintable():
        return _ESCAPED.get(character, character)
    return "".join(rf"\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))
