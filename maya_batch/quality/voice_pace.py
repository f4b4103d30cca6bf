"""What a whole take of a voice is like, learned from the first takes of its first chunks: how fast it is, how it ends.

Maya1 reads one description by a quarter faster than another. How long a voice is quiet after its last word shows a cut
between words, too.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

#: Takes of a voice from which its pace is known: of 8, a median stands against 3 that failed.
ENOUGH_FOR_PACE = 8

#: Takes of a voice from which its ends are known: fewer have no tenth part.
ENOUGH_FOR_QUIET = 20

#: Takes of a voice that count, where it has so many. Of 40 takes that lacked a third, the pace of the first 8 takes
#: showed 27, that of the first 20 or 101 showed 31 (tests.measure.detection, 300 good takes, two novels, seed 5).
COUNTED = 20

#: So many times the distance from the median down to the shortest tenth is an end below that tenth no accident: in a
#: normal distribution that is one of 16,000. Ends that vary much are so left alone. It counts as two of the steps that
#: they are measured in (sound.py) at least.
_FENCE, _NARROWEST = 2.0, 0.02


@dataclass(frozen=True)
class Limits:
    """What the length and the end of a take are judged by.

    Each is a voice's own number; 0 for the wide limits, where the voice has too few takes to have a number; and None as
    long as that is open.
    """

    pace: float | None = None
    """Frames by expected frames, 1 where the voice takes as long as expected."""
    quiet: float | None = None
    """The fewest seconds of quiet that a whole take ends with."""


class VoiceProfiles:
    """The limits of each voice of a book, a function of its chunks' first takes, whatever order they come in.

    The first 20 takes in reading order count that ended by themselves; a voice that has fewer has a pace from 8 on. A
    limit is open until no take that comes later can be among these. The median and the quantiles bear it that some of
    them failed.
    """

    def __init__(self, chunks: Iterable[tuple[str, str]]) -> None:
        """`chunks` are the names of all chunks in reading order, each with its voice's description before it."""
        names: dict[str, list[str]] = defaultdict(list)
        for voice, name in chunks:
            names[voice].append(name)
        self._ratios: dict[str, float | None] = {}
        self._quiets: dict[str, float | None] = {}
        self._settled: dict[str, Limits] = {}
        self._paces = {voice: _Sample(own, COUNTED, self._ratios) for voice, own in names.items()}
        self._ends = {voice: _Sample(own, COUNTED, self._quiets) for voice, own in names.items()}

    def learn_pace(self, name: str, ratio: float | None) -> None:
        """The first take of a chunk has this ratio of frames to expected frames; None if it did not end by itself.

        Raises:
            ValueError: the ratio is no number of 0 or more.
        """
        if ratio is not None and not 0 <= ratio < float("inf"):
            raise ValueError(f"a take cannot have {ratio} times the expected frames")
        self._ratios[name] = ratio

    def learn_end(self, name: str, quiet: float | None) -> None:
        """The first take of a chunk ends with so many seconds of quiet; None if it has no end that tells anything.

        Raises:
            ValueError: that is no number of 0 or more.
        """
        if quiet is not None and not 0 <= quiet < float("inf"):
            raise ValueError(f"a take cannot be quiet for {quiet} seconds")
        self._quiets[name] = quiet

    def of(self, voice: str) -> Limits:
        """The limits of the voice of this description, as far as they are settled."""
        if voice in self._settled:
            return self._settled[voice]
        ratios, quiets = self._paces[voice].values(), self._ends[voice].values()
        limits = Limits(
            None if ratios is None else median(ratios) if len(ratios) >= ENOUGH_FOR_PACE else 0.0,
            None if quiets is None else _least(quiets) if len(quiets) >= ENOUGH_FOR_QUIET else 0.0,
        )
        if ratios is not None and quiets is not None:
            self._settled[voice] = limits  # each take of a book asks for them
        return limits


class _Sample:
    """The first values of a voice in reading order, so many of them at most."""

    def __init__(self, names: Iterable[str], most: int, known: Mapping[str, float | None]) -> None:
        """`known` has a value, or None, for each chunk of which one is known."""
        self._names, self._most, self._known = deque(names), most, known
        self._values: list[float] = []

    def values(self) -> list[float] | None:
        """The values, fewer than `most` where the voice has no more; None as long as one of them is to come."""
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
