r"""Writes plain text as the source of a chapter: `[1] R&D, 3 < 4` as `\[1\] R&D, 3 \< 4`."""

import re
from html.entities import html5

_NO_SEMICOLON = "|".join(sorted((name for name in html5 if not name.endswith(";")), key=len, reverse=True))
# An ampersand stands for itself where no entity begins.
_MARKUP = re.compile(rf"[\\\[\]<>]|&(?=#|[A-Za-z][A-Za-z0-9]{{1,31}};|(?:{_NO_SEMICOLON})(?![A-Za-z0-9]))")


def escaped(text: str) -> str:
    """A plain text as the source that the parser reads back to it."""
    return _MARKUP.sub(r"\\\g<0>", text)
