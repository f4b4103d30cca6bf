"""How fast a voice speaks, learned from its own takes: Maya1 reads one description by a quarter faster than another."""

from collections import defaultdict, deque
from statistics import median

#: Takes of a voice from which its pace is taken to be known: of 8, a median stands against 3 that failed.
ENOUGH = 8

#: The takes that count, the last ones: so a book of any length takes the same memory.
_REMEMBERED = 101


class Pace:
    """The running median, per voice description, of how long takes were by how long they were expected to be.

    To be fed with takes that ended by themselves; the median bears it that some of them have failed nevertheless.
    """

    def __init__(self) -> None:
        self._ratios: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def add(self, description: str, ratio: float) -> None:
        """Count one more take of this voice, of `ratio` = frames / expected frames.

        Raises:
            ValueError: the ratio is no number of 0 or more.
        """
        if not 0 <= ratio < float("inf"):
            raise ValueError(f"a take cannot have {ratio} times the expected frames")
        self._ratios[description].append(ratio)

    def ratio(self, description: str) -> float | None:
        """The voice's pace, 1 where it takes as long as expected; None as long as too few takes are known."""
        ratios = self._ratios.get(description, ())
        return median(ratios) if len(ratios) >= ENOUGH else None
