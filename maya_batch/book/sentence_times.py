"""When the sentences of one clip are spoken, by the pauses of the clip and the lengths of the sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

Span = tuple[float, float]
"""Start and end in seconds."""

_SPREAD = 0.25
"""The standard deviation of the logarithm of a sentence's length over its expected length; `_SPREAD_OF_SHORT` is what
is added to it for a sentence of a second, and less for longer ones."""
_SPREAD_OF_SHORT = 0.2
_USUAL_PAUSE = 0.25
"""Seconds: pauses between sentences are longer, most others are shorter."""
_PAUSE_WEIGHT = 2.0
"""What a pause counts that is e times as long as the usual one, in squares of standard deviations."""
_NO_PAUSE = 8.0
"""What a sentence costs that begins without a pause, in the same unit."""


@dataclass(frozen=True)
class ClipPauses:
    """Where a clip has sound."""

    start: float
    """Where its first sound begins, in seconds; `end` is where its last one ends."""
    end: float
    pauses: Sequence[Span] = ()
    """In between, in order."""


class _Place(NamedTuple):
    """Where a sentence may begin."""

    sound: float
    """Seconds of sound before it, without pauses."""
    pause: Span
    """Start and end are the same where there is none."""
    cost: float


def sentence_times(lengths: Sequence[float], clip: ClipPauses) -> list[Span]:
    """The span of each sentence, from its first sound to its last one; they are in order and do not overlap.

    `lengths`, each above 0, are how long the sentences are expected to be, in any unit.
    """
    sound = clip.end - clip.start - sum(end - start for start, end in clip.pauses)
    if len(lengths) < 2 or sound <= 0:
        edges = [clip.start + (clip.end - clip.start) * share for share in _shares(lengths)]
        return list(pairwise(edges))
    expected = [sound * share for share in _shares(lengths)]
    edges = [clip.start]
    for place in _best(expected, _places(clip, expected)):
        edges += place.pause
    edges.append(clip.end)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _shares(lengths: Sequence[float]) -> list[float]:
    """Where each sentence begins, and the last one ends, as a share of all."""
    whole = sum(lengths)
    return [each / whole for each in accumulate(lengths, initial=0.0)]


def _places(clip: ClipPauses, expected: Sequence[float]) -> list[_Place]:
    """The pauses of a clip, and where sentences are expected to begin, by the sound before them."""
    places, at, sound = [], clip.start, 0.0
    for start, end in clip.pauses:
        sound += start - at
        at = end
        places.append(_Place(sound, (start, end), -_PAUSE_WEIGHT * math.log((end - start) / _USUAL_PAUSE)))
    for begin in expected[1:-1]:
        before = [place for place in places if place.sound <= begin and place.cost < _NO_PAUSE]
        moment = clip.start + begin + sum(place.pause[1] - place.pause[0] for place in before)
        places.append(_Place(begin, (moment, moment), _NO_PAUSE))
    return sorted(places)


def _best(expected: Sequence[float], places: Sequence[_Place]) -> list[_Place]:
    """The places, one for each sentence after the first, that cost least."""
    ends = [0.0, *(place.sound for place in places), expected[-1]]
    costs, chosen = {0: 0.0}, list[dict[int, int]]()
    for number, (begin, stop) in enumerate(pairwise(expected), 1):
        is_last = number == len(expected) - 1
        found, came = dict[int, float](), dict[int, int]()
        for place in [len(places) + 1] if is_last else range(1, len(places) + 1):
            own = 0.0 if is_last else places[place - 1].cost
            for before, cost in costs.items():
                spoken = ends[place] - ends[before]
                if before < place and spoken > 0:
                    total = cost + own + _deviation(spoken, stop - begin)
                    if total < found.get(place, math.inf):
                        found[place], came[place] = total, before
        costs = found
        chosen.append(came)
    place, way = len(places) + 1, list[_Place]()
    for came in reversed(chosen):
        place = came[place]
        if place:
            way.append(places[place - 1])
    return way[::-1]


def _deviation(spoken: float, expected: float) -> float:
    """The square of how far a sentence's length is from what is expected, in standard deviations."""
    spread = _SPREAD + _SPREAD_OF_SHORT / (1 + expected)
    return (math.log(spoken / expected) / spread) ** 2
