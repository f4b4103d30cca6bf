"""Takes are judged by their voice's limits: their length, and how long they are quiet at the end."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from maya_batch.book.chunk import Chunk
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.quality import Problem
from maya_batch.quality.audio_checks import check_end
from maya_batch.quality.code_checks import check_length
from maya_batch.quality.voice_pace import Limits, VoiceProfiles

log = logging.getLogger(__name__)

#: The kinds of problems that `check_length` finds.
_LENGTH = ("short", "long")


class VoiceCheck:
    """Knows each voice's limits as far as the book's first takes settle them, and judges takes by these.

    A take whose voice's limits are open is flagged of nothing by them, and judged when they are settled; one that was
    judged by the wide limits is judged again when its voice has its own. What was judged by these stays as it is.
    """

    def __init__(self, state: BookState) -> None:
        """The voices are learned from the takes that are stored."""
        self._state = state
        self._chunks: dict[str, list[Chunk]] = defaultdict(list)
        for chunk in state.plan.chunks():
            self._chunks[chunk.description].append(chunk)
        self._limits = VoiceProfiles((chunk.description, chunk.ref) for chunk in state.plan.chunks())
        self._caught_up: dict[str, Limits] = {}
        for chunk in state.plan.chunks():
            for first in state.takes(chunk)[:1]:
                self._learn(first, chunk)

    def settle(self, take: Take, chunk: Chunk) -> Take:
        """A take that was just examined, judged; its voice is learned from it if it is the chunk's first."""
        if all(take.attempt <= other.attempt for other in self._state.takes(chunk)):
            self._learn(take, chunk)
        return self._judged(take, chunk)

    def catch_up(self) -> list[tuple[Chunk, Take, Take]]:
        """Judge all examined takes that came before their voice's limits were settled: each as it was, and as it is.

        They are stored again, one after the other, so that the disk needs room for one more take only. A choice of one
        that has more against it than was known is given up.
        """
        judged = list(self._overdue())
        for chunk, before, take in judged:
            give_up_choice(self._state, chunk, before.problems, take)
            self._state.store.put([take])
            self._state.stored([take.key])
        return judged

    def _learn(self, first: Take, chunk: Chunk) -> None:
        ended = first.finish == "eos"
        self._limits.learn_pace(chunk.ref, len(first.codes) / chunk.expected_frames if ended else None)
        if first.examined or not ended:
            self._limits.learn_end(chunk.ref, first.quiet if ended else None)

    def _overdue(self) -> Iterator[tuple[Chunk, Take, Take]]:
        """Takes that can be judged now and were not before, as they are stored and as they are judged."""
        for voice, chunks in self._chunks.items():
            limits = self._limits.of(voice)
            if limits == self._caught_up.get(voice, Limits()):
                continue
            self._caught_up[voice] = limits
            for chunk in chunks:
                for take in self._state.takes(chunk):
                    judged = self._judged(take, chunk) if take.examined else take
                    if judged is not take:
                        yield chunk, take, judged

    def _judged(self, take: Take, chunk: Chunk) -> Take:
        """The take, with what its voice's limits show; itself where there is nothing to judge it by that is new."""
        if take.judged is None:
            return take
        limits, plan = self._limits.of(chunk.description), self._state.plan
        pace, quiet = _newer(take.judged.pace, limits.pace), _newer(take.judged.quiet, limits.quiet)
        if pace is None and quiet is None:
            return take
        # First those of the length, then that of the end, whichever is judged first.
        length = [problem for problem in take.problems if problem.kind in _LENGTH]
        others = [problem for problem in take.problems if problem.kind not in _LENGTH]
        if pace is not None:
            length = check_length(
                take.finish, len(take.codes), chunk.text, chunk.expected_frames, plan.layout, pace, plan.sound.quality
            )
        if quiet is not None and take.quiet is not None and all(problem.kind != "ending" for problem in others):
            others = [*check_end(take.quiet, quiet, plan.sound.quality), *others]
        judged = Limits(
            take.judged.pace if pace is None else pace,
            take.judged.quiet if quiet is None else quiet,
        )
        return replace(take, problems=(*length, *others), judged=judged)


def give_up_choice(state: BookState, chunk: Chunk, known: tuple[Problem, ...], take: Take) -> None:
    """Give up the choice of a take that has problems of other kinds than those known when it was made."""
    more = {problem.kind for problem in take.problems} - {problem.kind for problem in known}
    if more and state.store.chosen(take.key) == take.attempt:
        how = f"`--keep {take.attempt}` chooses it once more"
        log.warning("%s: what is found now was not known when take %d was chosen; %s", chunk.ref, take.attempt, how)
        state.store.unchoose(take.key)


def _newer(judged: float | None, limit: float | None) -> float | None:
    """What to judge by, there being a limit that the take was not judged by; None where there is none."""
    return limit if limit is not None and (judged is None or (judged == 0 and limit > 0)) else None
