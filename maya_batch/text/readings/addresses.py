"""How e-mail and web addresses are said."""

import re

from maya_batch.text.readings.numbers import cardinals, digit_ways
from maya_batch.text.readings.ways import unique
from maya_batch.text.readings.written import Rule, Written, group

_ADDRESS = re.compile(
    r"""
    (?: https?://[^\s<>]{1,300} | www\.[^\s<>]{1,300}
      | [\w.+-]{1,64}+ @ [\w-]{1,63} (?:\.[\w-]{1,63}){1,5}
      | (?:[A-Za-z0-9][\w-]{0,62}\.){1,4} (?:com|org|net|edu|gov|io|ai|de|fr|uk|us|info|co)\b (?!\.\w)
        (?:/[^\s<>]{0,200})?
    ) (?<![.,;:!?)”’"'])
    """,
    re.VERBOSE,
)
_PART = re.compile(r"://|[^\W\d_]+|\d+|[^\w\s]|_")
_SIGNS = {
    **{"://": "colon slash slash", ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", ":": "colon"},
    **{"+": "plus", "~": "tilde", "?": "question mark", "=": "equals", "&": "and", "%": "percent", "#": "hash"},
}
_VOWELS = frozenset("aeiouy")


def address_ways(address: str) -> list[str]:
    """The ways to say an address: words whole or spelled, digits one by one or as numbers."""
    parts = _PART.findall(address.lower())
    ways = [
        " ".join(_said(part, spelled, numbers) for part in parts)
        for numbers in (False, True)
        for spelled in (0, 1, 2, 3)
    ]
    return unique([*ways, *(way.replace("dash", "hyphen") for way in ways)])


def _said(part: str, spelled: int, numbers: bool) -> str:
    if part.isdigit():
        return cardinals(part)[0] if numbers else digit_ways(part)[0]
    if not part.isalpha():
        return _SIGNS.get(part, "")
    no_word = not _VOWELS & set(part) or (spelled > 0 and len(part) <= 3 and part not in ("com", "org", "net"))
    if (no_word and spelled < 3) or (spelled == 2 and part not in ("com", "org", "net")):
        return " ".join(part)
    return part


def _address(found: re.Match[str], british: bool) -> list[Written]:
    return group(found, 0, address_ways(found[0]), "address")


RULES = (Rule("letter", _ADDRESS, _address), Rule("digit", _ADDRESS, _address))
