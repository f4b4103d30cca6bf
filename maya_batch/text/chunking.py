"""Cuts passages into pieces of the length that the model speaks best, where a reader would pause.

Pieces partition the source: each character of a passage is in exactly one piece.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from maya_batch.messages.quoting import shorten
from maya_batch.text.break_points import Cuts, Words
from maya_batch.text.cut_rules import cut_rules
from maya_batch.text.passage import Change, Passage, TextProblem
from maya_batch.text.rules import TEXT_RULES
from maya_batch.text.sentences import sentence_starts

_STRETCH = 1.5
"""A sentence is split if it has more than this many times the words of a piece."""
_TAIL_WORDS = 3
"""A last piece of at most this many words joins the one before it: Maya1 is unreliable on very short texts."""
_TAIL_STRETCH = 1.25
"""The joined piece may have at most this many times the words of a piece."""
_QUOTED = 30
"""Characters of the text quoted in a problem."""


@dataclass(frozen=True)
class Piece:
    """A text that is spoken in one go."""

    paragraph: int
    """From 0, as in `Passage`."""
    voice: str | None
    """None: the chapter's voice."""
    start: int
    end: int
    """Span in the source, in characters; the pieces of a chapter partition the source."""
    text: str
    """Clean text of the span as it is spoken, stripped, before `speakable`."""
    words: int
    """Words as `count_words` counts them in the text as it is written."""
    scene_breaks_after: int = 0
    """Scene breaks between this piece and the next."""
    pause_before: float = 0.0
    """Seconds of silence that the text asks for at the chapter's start, before its first piece."""
    pause_after: float | None = None
    """Seconds of silence that the text asks for after this piece."""
    changes: tuple[Change, ...] = ()
    """What is spoken in another form than written."""


class _Unit(NamedTuple):
    """A span of a passage's text that is not cut further: a sentence or a part of one."""

    start: int
    end: int
    words: int


def chunk_script(
    source: str,
    passages: Sequence[Passage],
    *,
    words: int,
    fits: Callable[[str, str | None], bool],
    language: str,
    rules: int = TEXT_RULES,
) -> tuple[list[Piece], list[TextProblem]]:
    """Cut passages into pieces of up to `words` words, whose clean text `fits` the token budget of its voice.

    `language` is a code of sentencex, which treats unknown codes as English; `rules` is the version of the text rules.
    A sentence may have up to 1.5 times `words` before it is split. Returns the pieces, which partition `source`, and a
    problem for each word that does not fit by itself (its piece is returned, too).

    Raises:
        ValueError: `words` is less than 1, or the passages are not those of `source`.
    """
    if words < 1:
        raise ValueError(f"words must be at least 1, not {words}")
    if passages and passages[-1].end != len(source):
        raise ValueError("the passages do not partition the source")
    pieces: list[Piece] = []
    problems: list[TextProblem] = []
    for passage in passages:
        chunker = _Chunker(passage, words, fits, language, rules)
        pieces += chunker.pieces()
        problems += chunker.problems
    return pieces, problems


class _Chunker:
    """Cuts one passage."""

    def __init__(
        self, passage: Passage, words: int, fits: Callable[[str, str | None], bool], language: str, rules: int
    ) -> None:
        self.passage = passage
        self.text = passage.text
        self.words = words
        self.fits = fits
        self.language = language
        self.counted = Words(passage.text, cut_rules(rules))
        self.problems: list[TextProblem] = []

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces in order."""
        passage = self.passage
        units = self._packed()
        starts = [passage.start] + [passage.source_offset(unit.start) for unit in units[1:]]
        ends = [*starts[1:], passage.end]
        for unit, start, end in zip(units, starts, ends, strict=True):
            is_last = unit is units[-1]
            yield Piece(
                paragraph=passage.paragraph,
                voice=passage.voice,
                start=start,
                end=end,
                text=self._slice(unit.start, unit.end),
                words=unit.words,
                scene_breaks_after=passage.scene_breaks_after if is_last else 0,
                pause_before=passage.pause_before if unit is units[0] else 0.0,
                pause_after=passage.pause_after if is_last else None,
                changes=(
                    *(change for change in passage.changes if start <= change.start < end),
                    *map(passage.change, passage.said_in(unit.start, unit.end)),
                ),
            )

    def _packed(self) -> list[_Unit]:
        whole = _Unit(0, len(self.text), len(self.counted.starts))
        if self._suits(whole, 1):
            return [whole]
        packed: list[_Unit] = []
        for sentence in self._sentences():
            for unit in self._split(sentence):
                self._pack(packed, unit, 1)
        if packed[-1].words <= _TAIL_WORDS:
            tail = packed.pop()
            self._pack(packed, tail, _TAIL_STRETCH)
        return packed

    def _pack(self, packed: list[_Unit], unit: _Unit, stretch: float) -> None:
        """Append `unit`, joined to the last one if both suit together."""
        if packed:
            joined = _Unit(packed[-1].start, unit.end, packed[-1].words + unit.words)
            if self._suits(joined, stretch):
                packed[-1] = joined
                return
        packed.append(unit)

    def _suits(self, unit: _Unit, stretch: float) -> bool:
        short = unit.words <= self.words * stretch
        return short and self.fits(self._slice(unit.start, unit.end), self.passage.voice)

    def _slice(self, start: int, end: int) -> str:
        return self.passage.spoken(start, end)

    def _sentences(self) -> list[_Unit]:
        """Return the sentences, each with a word unless the passage has none."""
        cuts = sentence_starts(self.counted, self.language, self.words)
        units: list[_Unit] = []
        pending: int | None = None
        for start, end in zip(cuts, [*cuts[1:], len(self.text)], strict=True):
            count = self.counted.count(start, end)
            if count:
                units.append(_Unit(start if pending is None else pending, end, count))
                pending = None
            elif pending is None and units and "<" not in self.text[start:end]:
                units[-1] = _Unit(units[-1].start, end, units[-1].words)
            elif pending is None:
                pending = start  # a tag, or "...", that belongs to the sentence after it
        if pending is not None:
            last = units.pop() if units else _Unit(0, 0, 0)
            units.append(_Unit(last.start, len(self.text), last.words))
        return units

    def _split(self, sentence: _Unit) -> list[_Unit]:
        """Split a sentence until each part is short enough and fits; report parts that cannot be split."""
        if self._suits(sentence, _STRETCH):
            return [sentence]
        cuts = Cuts(self.counted, sentence.start, sentence.end)
        done: list[_Unit] = []
        # A stack, not recursion: the depth depends on the text.
        todo = [sentence]
        while todo:
            unit = todo.pop()
            if self._suits(unit, _STRETCH):
                done.append(unit)
            elif (cut := cuts.best(unit.start, unit.end)) is not None:
                words = self.counted.count(unit.start, cut)
                todo.append(_Unit(cut, unit.end, unit.words - words))
                todo.append(_Unit(unit.start, cut, words))
            else:
                done.append(unit)
                self._check_fits(unit)
        return done

    def _check_fits(self, unit: _Unit) -> None:
        text = self._slice(unit.start, unit.end)
        if not self.fits(text, self.passage.voice):
            what = f"{shorten(text, _QUOTED)} is too long for the model to speak, and there is no place to cut it"
            offset = self.passage.source_offset(unit.start)
            self.problems.append(TextProblem(offset, what, "add spaces, or write it in words"))
