"""How much markup a manuscript may have, so that it is read in bounded time and memory."""

import re
from itertools import islice

from maya_batch.errors import UsageError

#: A tag takes about 120 bytes of memory and 7 to 12 µs, an attribute 220 bytes and 7 µs. A novel of 120,000 words has
#: about 0.1 million tags; War and Peace has 1.2 million if each of its words is an element.
_MOST_TAGS, _MOST_ATTRIBUTES, _MOST_REFERENCES = 1_250_000, 750_000, 3_000_000
_MOST_CHARACTERS = 64_000_000
#: Browsers read `<a b c>` as two attributes without values: each word may be one.
_MOST_WORDS = 4_000_000
_WORD = re.compile(r"[^\s/]+")
#: The parser of HTML compares each attribute of a tag with all before it, which takes 3 ns.
_MOST_COMPARISONS = 1_000_000_000
_MANY_ATTRIBUTES = 1_000
#: A tag as browsers see it: signs inside quotes do not end it.
_TAG = re.compile(r"""<[A-Za-z](?:[^>="']++|=\s*+(?:"[^"]*+"|'[^']*+')?+|["'])*+""")


class MarkupBounds:
    """What is left of the bounds. The files of a book share one."""

    def __init__(self) -> None:
        self._left = {"<": _MOST_TAGS, "=": _MOST_ATTRIBUTES, "&": _MOST_REFERENCES}

    def take(self, text: str, file: str) -> None:
        """Count a file before it is parsed. `file` is for the message of the UsageError if it has too much."""
        if len(text) > _MOST_CHARACTERS:
            raise UsageError(f"{file}: the file has more than {_MOST_CHARACTERS:,} characters")
        counts = {sign: text.count(sign) for sign in self._left}
        if any(counts[sign] > left for sign, left in self._left.items()):
            raise UsageError(
                f"{file}: the manuscript has more than {_MOST_TAGS:,} tags, {_MOST_ATTRIBUTES:,} attributes "
                f"or {_MOST_REFERENCES:,} entities"
            )
        for sign, count in counts.items():
            self._left[sign] -= count


def refuse_many_words(text: str, file: str) -> None:
    """Raise a UsageError if a text that is not well-formed may have too many attributes, also without values."""
    comparisons = 0
    for found in _TAG.finditer(text):
        if found.end() - found.start() > 2 * _MANY_ATTRIBUTES:
            comparisons += len(_WORD.findall(found.group())) ** 2
            if comparisons > _MOST_COMPARISONS:
                raise UsageError(f"{file}: the file is not well-formed, and tags in it have too many attributes")
    if len(text) <= 2 * _MOST_WORDS:
        return
    words = sum(1 for _ in islice(_WORD.finditer(text), _MOST_WORDS + 1))
    if words > _MOST_WORDS:
        raise UsageError(f"{file}: the file is not well-formed, and has more than {_MOST_WORDS:,} words")
