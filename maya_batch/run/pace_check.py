"""Judges takes by the limits of their voice: their length, and the silence at their end."""

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

#: The problem kinds of `check_length`.
_LENGTH = ("short", "long")


class VoiceCheck:
    """Learns each voice's limits from the book's first takes, and judges takes by them.

    While a voice's limits are open, they flag no take; its takes are judged when the limits are settled. A take judged
    by the wide default limits is judged again when its voice has limits; after that, its judgement stays.
    """

    def __init__(self, state: BookState) -> None:
        """Learns from the stored takes."""
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
        """Judge a take that was just examined; if it is the chunk's first take, its voice's limits learn from it."""
        if all(take.attempt <= other.attempt for other in self._state.takes(chunk)):
            self._learn(take, chunk)
        return self._judged(take, chunk)

    def catch_up(self) -> list[tuple[Chunk, Take, Take]]:
        """Judge all examined takes that came before their voice's limits were settled; each take before and after.

        Their evidence is kept, and is on the disk when the store is flushed. If a take that a person chose has new
        problems, the choice is removed.
        """
        judged = list(self._overdue())
        for chunk, before, take in judged:
            give_up_choice(self._state, chunk, before.problems, take)
            self._state.store.keep(take)
            self._state.stored([take.key])
        return judged

    def _learn(self, first: Take, chunk: Chunk) -> None:
        ended = first.finish == "eos"
        self._limits.learn_pace(chunk.ref, len(first.codes) / chunk.expected_frames if ended else None)
        if first.examined or not ended:
            self._limits.learn_end(chunk.ref, first.quiet if ended else None)

    def _overdue(self) -> Iterator[tuple[Chunk, Take, Take]]:
        """Takes that can be judged now and could not before: as they are stored, and as they are judged."""
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
        """The take with the problems that its voice's limits show; the same object if no limit is new."""
        if take.judged is None:
            return take
        limits, plan = self._limits.of(chunk.description), self._state.plan
        pace, quiet = _newer(take.judged.pace, limits.pace), _newer(take.judged.quiet, limits.quiet)
        if pace is None and quiet is None:
            return take
        # The order of problems is fixed (length, then ending), whichever limit is settled first.
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
    """Remove a person's choice of a take that has problems of other kinds than those known when it was chosen."""
    more = {problem.kind for problem in take.problems} - {problem.kind for problem in known}
    if more and state.store.chosen(take.key) == take.attempt:
        log.warning(
            "%s: take %d, which you chose, has new problems (%s) and is no longer chosen; to use it anyway, run "
            "`redo %s --keep %d`",
            *(chunk.ref, take.attempt, ", ".join(sorted(more)), chunk.ref, take.attempt),
        )
        state.store.unchoose(take.key)


def _newer(judged: float | None, limit: float | None) -> float | None:
    """The limit to judge by, if the take was not judged by it yet; else None."""
    return limit if limit is not None and (judged is None or (judged == 0 and limit > 0)) else None
