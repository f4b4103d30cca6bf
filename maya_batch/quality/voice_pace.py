"""Learns a voice's pace, and how long it is quiet at the end, from the first takes of its first chunks.

Maya1 reads one description by a quarter faster than another. The quiet after the last word also shows a cut between
words.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

#: The fewest takes for a voice's pace: the median of 8 holds if 3 of them failed.
ENOUGH_FOR_PACE = 8

#: The fewest takes for a voice's ends: the shortest tenth of fewer is not known.
ENOUGH_FOR_QUIET = 20

#: The most takes of a voice that count. Of 40 takes that lacked a third, the pace of the first 8 takes
#: showed 27, that of the first 20 or 101 showed 31 (tests.measure.detection, 300 good takes, two novels, seed 5).
COUNTED = 20

#: The limit for ends lies below the shortest tenth by this factor times the distance from there to the median. In a
#: normal distribution, one end of 16,000 is below it; a voice whose ends vary much gets a low limit. The distance
#: counts as at least two of the steps that ends are measured in (`audio_checks`).
_FENCE, _NARROWEST = 2.0, 0.02


@dataclass(frozen=True)
class Limits:
    """A voice's limits for the length and the end of a take.

    Each is the voice's own number, 0 if the voice has too few takes for one (wide limits apply), and None until all
    takes that count are known.
    """

    pace: float | None = None
    """Frames divided by expected frames."""
    quiet: float | None = None
    """The fewest seconds of quiet at the end of a complete take."""


class VoiceProfiles:
    """The limits of each voice of a book. They depend on its chunks' first takes, not on the order in which these come.

    The first 20 takes in reading order that ended by themselves count; a voice with fewer has a pace from 8 takes on. A
    limit is None until no later take can be among these. Median and quantiles hold even if some of them failed.
    """

    def __init__(self, chunks: Iterable[tuple[str, str]]) -> None:
        """`chunks` are the (voice description, name) of all chunks in reading order."""
        names: dict[str, list[str]] = defaultdict(list)
        for voice, name in chunks:
            names[voice].append(name)
        self._ratios: dict[str, float | None] = {}
        self._quiets: dict[str, float | None] = {}
        self._settled: dict[str, Limits] = {}
        self._paces = {voice: _Sample(own, COUNTED, self._ratios) for voice, own in names.items()}
        self._ends = {voice: _Sample(own, COUNTED, self._quiets) for voice, own in names.items()}

    def learn_pace(self, name: str, ratio: float | None) -> None:
        """Learn the ratio of frames to expected frames of a chunk's first take; None if it did not end by itself.

        Raises:
            ValueError: the ratio is not a finite number of 0 or more.
        """
        if ratio is not None and not 0 <= ratio < float("inf"):
            raise ValueError(f"a take cannot have {ratio} times the expected frames")
        self._ratios[name] = ratio

    def learn_end(self, name: str, quiet: float | None) -> None:
        """Learn the seconds of quiet at the end of a chunk's first take; None if its end does not count.

        Raises:
            ValueError: it is not a finite number of 0 or more.
        """
        if quiet is not None and not 0 <= quiet < float("inf"):
            raise ValueError(f"a take cannot be quiet for {quiet} seconds")
        self._quiets[name] = quiet

    def of(self, voice: str) -> Limits:
        """The limits of the voice of this description, as far as they are known."""
        if voice in self._settled:
            return self._settled[voice]
        ratios, quiets = self._paces[voice].values(), self._ends[voice].values()
        limits = Limits(
            None if ratios is None else median(ratios) if len(ratios) >= ENOUGH_FOR_PACE else 0.0,
            None if quiets is None else _least(quiets) if len(quiets) >= ENOUGH_FOR_QUIET else 0.0,
        )
        if ratios is not None and quiets is not None:
            self._settled[voice] = limits  # asked for with each take
        return limits


class _Sample:
    """The first values of a voice in reading order."""

    def __init__(self, names: Iterable[str], most: int, known: Mapping[str, float | None]) -> None:
        """At most `most` values are used. `known` has those of the known takes; None does not count."""
        self._names, self._most, self._known = deque(names), most, known
        self._values: list[float] = []

    def values(self) -> list[float] | None:
        """The values, fewer than `most` if the voice has no more; None while one of them is not known yet."""
        while self._names and len(self._values) < self._most:
            if self._names[0] not in self._known:
                return None
            value = self._known[self._names.popleft()]
            if value is not None:
                self._values.append(value)
        return self._values


def _least(quiets: Sequence[float]) -> float:
    tenth = quantiles(quiets, n=10, method="inclusive")[0]
    return max(0.0, tenth - _FENCE * max(median(quiets) - tenth, _NARROWEST))
