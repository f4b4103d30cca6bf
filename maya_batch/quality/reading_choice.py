"""Chooses how the parts of a text and of its transcript are read: in the ways that agree best where they stand."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from maya_batch.quality.normalization import Part, Sound

#: The fewest equal words in a row, with one reading each, at which text and transcript are cut to be searched piece by
#: piece. A single equal word may stand there by accident.
_ANCHOR = 2

#: The most pairs of places that a search looks at, for each word of its piece. A good take needs about 10; beyond it
#: the most likely readings stay. It bounds the time for transcripts that have nothing in common with the text.
_BUDGET = 150

_Span = tuple[int, int]


def choose_readings(
    text: Sequence[Part], transcript: Sequence[Part], remarks: Sequence[_Span] = ()
) -> tuple[list[Sound], list[Sound]]:
    """The words of text and transcript, read with the fewest differences between them.

    `remarks` are the ranges of parts [start, end) of the transcript that are left out unless the text has words of
    them in their place, ascending. A part of which no word agrees is read in its most likely way. Ranges count parts.
    """
    expected: list[Sound] = []
    heard: list[Sound] = []
    for start, end, begin, finish in _pieces(text, transcript, remarks):
        some, others = text[start:end], transcript[begin:finish]
        inside = [(a - begin, b - begin) for a, b in remarks if begin <= a and b <= finish]
        ways = _search(_Lattice(some), _Lattice(others, inside)) if _is_open(some, others, inside) else None
        if ways is None:
            ways = [part.readings[0] for part in some], _without_remarks(some, others, inside)
        for sounds, parts, words in ((expected, some, ways[0]), (heard, others, ways[1])):
            sounds += [Sound(word, part.places) for part, way in zip(parts, words, strict=True) for word in way]
    return expected, heard


def _is_open(text: Sequence[Part], transcript: Sequence[Part], remarks: Sequence[_Span]) -> bool:
    """Whether there is anything to choose: other readings or remarks, and a difference."""
    if not remarks and all(len(part.readings) == 1 for part in (*text, *transcript)):
        return False
    return _words(text) != _words(transcript)


def _words(parts: Sequence[Part]) -> list[str]:
    return [word for part in parts for word in part.readings[0]]


def _without_remarks(
    text: Sequence[Part], transcript: Sequence[Part], remarks: Sequence[_Span]
) -> list[tuple[str, ...]]:
    """The most likely readings; of remarks only those of which the text has a word."""
    known = set(_words(text))
    ways = [part.readings[0] for part in transcript]
    for start, end in remarks:
        if known.isdisjoint(_words(transcript[start:end])):
            ways[start:end] = [()] * (end - start)
    return ways


def _pieces(
    text: Sequence[Part], transcript: Sequence[Part], remarks: Sequence[_Span]
) -> Iterator[tuple[int, int, int, int]]:
    """Ranges of parts [start, end) of the text and [begin, finish) of the transcript that belong together, in order."""
    optional = {at for start, end in remarks for at in range(start, end)}
    ours = [n for n, part in enumerate(text) for _ in part.readings[0]]
    theirs = [n for n, part in enumerate(transcript) for _ in part.readings[0]]
    start = begin = 0
    for op in Levenshtein.opcodes(_words(text), _words(transcript)):
        if op.tag != "equal":
            continue
        run: list[_Span] = []
        for n in range(op.src_end - op.src_start + 1):
            pair = (ours[op.src_start + n], theirs[op.dest_start + n]) if n < op.src_end - op.src_start else None
            if pair and text[pair[0]].is_plain and transcript[pair[1]].is_plain and pair[1] not in optional:
                run.append(pair)
                continue
            if len(run) >= _ANCHOR:
                (i, j), (last, final) = run[0], run[-1]
                yield start, i, begin, j
                yield i, last + 1, j, final + 1
                start, begin = last + 1, final + 1
            run = []
    yield start, len(text), begin, len(transcript)


@dataclass(frozen=True)
class _Edge:
    """A step to a node: over a word of a part, or without one over a remark."""

    word: str | None
    to: int
    part: int


@dataclass
class _Lattice:
    """All ways to read some parts, as paths from node 0 to node `end`; readings of a part share their first words."""

    parts: Sequence[Part]
    remarks: Sequence[_Span] = ()
    edges: list[list[_Edge]] = field(default_factory=lambda: [[]])
    end: int = 0

    def __post_init__(self) -> None:
        starts = [0]
        for number, part in enumerate(self.parts):
            starts.append(self._add(starts[-1], number, part))
        self.end = starts[-1]
        for start, end in self.remarks:
            self.edges[starts[start]].append(_Edge(None, starts[end], -1))

    def _node(self) -> int:
        self.edges.append([])
        return len(self.edges) - 1

    def _add(self, start: int, number: int, part: Part) -> int:
        end = self._node()
        inner: dict[tuple[str, ...], int] = {(): start}
        for reading in part.readings:
            for n, word in enumerate(reading[:-1], start=1):
                if reading[:n] not in inner:
                    inner[reading[:n]] = self._node()
                    self.edges[inner[reading[: n - 1]]].append(_Edge(word, inner[reading[:n]], number))
            self.edges[inner[reading[:-1]]].append(_Edge(reading[-1], end, number))
        return end


_Ways = list[tuple[str, ...]]
_Step = tuple[int, _Edge | None, _Edge | None]
"""From which pair of nodes, and over which edges."""


def _search(text: _Lattice, transcript: _Lattice) -> tuple[_Ways, _Ways] | None:
    """The ways to read each part with the fewest wrong, missing and extra words; None if the budget is spent.

    A breadth-first search over pairs of nodes: steps over equal words and over remarks cost nothing and come first.
    """
    width = len(transcript.edges)
    goal = text.end * width + transcript.end
    budget = _BUDGET * (len(text.parts) + len(transcript.parts))
    came: dict[int, _Step] = {}
    queue: deque[tuple[int, _Step]] = deque([(0, (0, None, None))])
    while queue:
        at, step = queue.popleft()
        if at in came:
            continue
        came[at] = step
        if at == goal:
            return _ways(text, transcript, came, goal)
        if len(came) > budget:
            return None
        i, j = divmod(at, width)
        ours, theirs = text.edges[i], transcript.edges[j]
        for other in theirs:
            to = i * width + other.to
            if other.word is None:
                queue.appendleft((to, (at, None, other)))
            elif to not in came:
                queue.append((to, (at, None, other)))
        for one in ours:
            row = one.to * width
            for other in theirs:
                if one.word == other.word:
                    queue.appendleft((row + other.to, (at, one, other)))
                elif other.word is not None and row + other.to not in came:
                    queue.append((row + other.to, (at, one, other)))
            if row + j not in came:
                queue.append((row + j, (at, one, None)))
    raise AssertionError("every pair of nodes leads to the last one")


def _ways(text: _Lattice, transcript: _Lattice, came: dict[int, _Step], goal: int) -> tuple[_Ways, _Ways]:
    """The readings along the path to the goal."""
    ours, theirs = _Path(text), _Path(transcript)
    at = goal
    while at:
        at, one, other = came[at]
        agree = one is not None and other is not None and one.word == other.word
        ours.add(one, agree)
        theirs.add(other, agree)
    return ours.ways(), theirs.ways()


class _Path:
    """The words along a path through a lattice, from its end."""

    def __init__(self, lattice: _Lattice) -> None:
        self._lattice = lattice
        self._words: list[list[str]] = [[] for _ in lattice.parts]
        self._agrees = [False] * len(lattice.parts)

    def add(self, edge: _Edge | None, agree: bool) -> None:
        if edge is not None and edge.word is not None:
            self._words[edge.part].insert(0, edge.word)
            self._agrees[edge.part] |= agree

    def ways(self) -> _Ways:
        """The readings; the most likely one of a part of which no word agrees, and none of a remark without any."""
        ways = [
            tuple(words) if agrees else part.readings[0]
            for part, words, agrees in zip(self._lattice.parts, self._words, self._agrees, strict=True)
        ]
        for start, end in self._lattice.remarks:
            if not any(self._agrees[start:end]):
                ways[start:end] = [()] * (end - start)
        return ways
