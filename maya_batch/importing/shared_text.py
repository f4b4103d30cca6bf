"""Finds the chapters of two versions of a book that have most of their sentences in common."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

#: Voices, pauses and tags; bounded like the ends of sentences.
_MARKUP = re.compile(r"\[[^\]\n]{1,99}\]|<[^>\n]{1,99}>|\\")
_MOST_PLACES = 100
"""A sentence of more chapters says nothing of which is which, and would make the search quadratic."""
#: The end of a sentence, with its closing quotes and brackets; bounded, since a line may be nothing but these.
_ENDS = re.compile(r"(?<=[.!?…])[^\w\s]{0,9}\s|\n")


def alike(new: Mapping[int, str], old: Mapping[int, str]) -> dict[int, int]:
    """The old text of each new one that shares more than half of the longer of both, the most alike first.

    Voices and tags that a person wrote into a text make it no other text.
    """
    sentences = {at: _sentences(text) for at, text in new.items()}
    before = {at: _sentences(text) for at, text in old.items()}
    where: defaultdict[str, list[int]] = defaultdict(list)
    for at, counted in before.items():
        for sentence in counted:
            where[sentence].append(at)
    found: list[tuple[float, int, int]] = []
    for at, counted in sentences.items():
        shared: Counter[int] = Counter()
        for sentence, times in counted.items():
            places = where.get(sentence, [])
            for other in places if len(places) <= _MOST_PLACES else ():
                shared[other] += len(sentence) * min(times, before[other][sentence])
        for other, characters in shared.items():
            share = characters / max(_length(counted), _length(before[other]))
            if share > 1 / 2:
                found.append((-share, at, other))
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for _, at, other in sorted(found):
        if at not in pairs and other not in used:
            pairs[at] = other
            used.add(other)
    return pairs


def _sentences(text: str) -> Counter[str]:
    plain = _MARKUP.sub("", text)
    return Counter(sentence for part in _ENDS.split(plain) if (sentence := " ".join(part.split())))


def _length(counted: Counter[str]) -> int:
    return sum(len(sentence) * times for sentence, times in counted.items())
