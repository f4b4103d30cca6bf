"""How long a voice is quiet after its last word, learned from its own takes: a cut between words is seen so, too."""

from collections import defaultdict, deque
from statistics import median, quantiles

#: Takes of a voice from which its ends are taken to be known: fewer have no tenth part.
ENOUGH = 20

#: The takes that count, the last ones: so a book of any length takes the same memory.
_REMEMBERED = 101

#: So many times the distance from the median down to the shortest tenth is an end below that tenth no accident: in a
#: normal distribution that is one of 16,000. Ends that vary much are so left alone. It counts as two of the steps that
#: they are measured in (sound.py) at least.
_FENCE, _NARROWEST = 2.0, 0.02


class Ends:
    """The last quiet seconds of each voice's takes. The quantiles bear it that some of them were cut off.

    Which takes are known when one is judged depends on the order they come in, so a run that was killed and went on
    may judge one on the very edge otherwise than a run that was not.
    """

    def __init__(self) -> None:
        self._quiet: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def add(self, description: str, quiet: float) -> None:
        """Count one more take of this voice, with so many seconds of quiet at its end.

        Raises:
            ValueError: that is no number of 0 or more.
        """
        if not 0 <= quiet < float("inf"):
            raise ValueError(f"a take cannot be quiet for {quiet} seconds")
        self._quiet[description].append(quiet)

    def least(self, description: str) -> float:
        """The fewest seconds of quiet that a whole take of this voice ends with; 0 as long as too few are known."""
        known = self._quiet.get(description, ())
        if len(known) < ENOUGH:
            return 0.0
        tenth = quantiles(known, n=10, method="inclusive")[0]
        return max(0.0, tenth - _FENCE * max(median(known) - tenth, _NARROWEST))
