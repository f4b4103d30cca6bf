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
_SPREAD_OF_SHORT = 0.1
_USUAL_PAUSE = 0.25
"""Seconds: pauses between sentences are longer, most others are shorter."""
_PAUSE_WEIGHT = 4.0
"""What a pause counts that is e times as long as the usual one, in squares of standard deviations."""
_HEARD_SPREAD = 0.3
"""Seconds: the standard deviation of where the recognizer hears a word begin."""
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


def expected_length(spoken: str) -> float:
    """How long a text is expected to be, in letters and above 0."""
    return max(1, sum(map(str.isalnum, spoken)))


def sentence_times(lengths: Sequence[float], clip: ClipPauses, heard: Sequence[float | None] = ()) -> list[Span]:
    """The span of each sentence, from its first sound to its last one; they are in order and do not overlap.

    `lengths`, each above 0, are how long the sentences are expected to be, in any unit. `heard` are the seconds at
    which they begin by the recognizer, where it is known.
    """
    sound = clip.end - clip.start - sum(end - start for start, end in clip.pauses)
    if not any(heard) or len(heard) != len(lengths):
        heard = ()
    if len(lengths) < 2 or sound <= 0:
        edges = [clip.start + (clip.end - clip.start) * share for share in _shares(lengths)]
        return list(pairwise(edges))
    expected = [sound * share for share in _shares(lengths)]
    edges = [clip.start]
    for place in _best(expected, _places(clip, expected, heard), heard):
        edges += place.pause
    edges.append(clip.end)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _shares(lengths: Sequence[float]) -> list[float]:
    """Where each sentence begins, and the last one ends, as a share of all."""
    whole = sum(lengths)
    return [each / whole for each in accumulate(lengths, initial=0.0)]


def _places(clip: ClipPauses, expected: Sequence[float], heard: Sequence[float | None]) -> list[_Place]:
    """The pauses of a clip, and where sentences are heard or expected to begin, by the sound before them."""
    places, at, sound = [], clip.start, 0.0
    for start, end in clip.pauses:
        sound += start - at
        at = end
        places.append(_Place(sound, (start, end), -_PAUSE_WEIGHT * math.log((end - start) / _USUAL_PAUSE)))
    pauses = list(places)
    for begin in expected[1:-1]:
        silence = sum(place.pause[1] - place.pause[0] for place in pauses if place.sound <= begin)
        moment = clip.start + begin + silence
        places.append(_Place(begin, (moment, moment), _NO_PAUSE))
    for heard_at in heard[1:]:
        if heard_at is not None and clip.start < heard_at < clip.end:
            silence = sum(max(0.0, min(heard_at, place.pause[1]) - place.pause[0]) for place in pauses)
            places.append(_Place(heard_at - clip.start - silence, (heard_at, heard_at), _NO_PAUSE))
    return sorted(places)


def _best(expected: Sequence[float], places: Sequence[_Place], heard: Sequence[float | None]) -> list[_Place]:
    """The places, one for each sentence after the first, that cost least."""
    sounds = [0.0, *(place.sound for place in places), expected[-1]]
    costs, chosen = {0: 0.0}, list[dict[int, int]]()
    for number, (begin, stop) in enumerate(pairwise(expected), 1):
        is_last = number == len(expected) - 1
        moment = heard[number] if heard and not is_last else None
        found, came = dict[int, float](), dict[int, int]()
        for place in [len(places) + 1] if is_last else range(1, len(places) + 1):
            own = 0.0 if is_last else places[place - 1].cost
            if moment is not None:
                own += ((places[place - 1].pause[1] - moment) / _HEARD_SPREAD) ** 2
            for before, cost in costs.items():
                spoken = sounds[place] - sounds[before]
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
