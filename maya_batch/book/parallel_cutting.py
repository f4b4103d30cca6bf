"""Cuts the chapters of a long book into pieces on several cores at once.

This is pure Python, which threads would not speed up, and a new interpreter takes longer to start than most books take
to be cut. So processes are forked, where that is safe: on Linux, and before the program has any threads.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Result = TypeVar("Result")

_WORTH_IT = 100_000
"""Characters from which it pays: they take about 0.2 s, and a fork with its answer about 0.03 s."""
_MOST = 8
"""More processes would wait for the first one, which reads all answers."""


def cut_chapters(cut: Callable[[int], Result], sizes: Sequence[int]) -> list[Result]:
    """What `cut` returns for each chapter, by its number from 0; `sizes` are the characters of the chapters.

    `cut` may run in a copy of this process: it changes nothing, and what it returns or raises can be pickled.
    """
    processes = _processes(sizes)
    shares = _shares(sizes, processes)
    helpers = [_Helper(cut, share) for share in shares[1:]]
    try:
        found = {number: cut(number) for number in shares[0]}
        for helper in helpers:
            found |= helper.answer()
    finally:
        for helper in helpers:
            helper.stop()
    return [found[number] for number in range(len(sizes))]


def _shares(sizes: Sequence[int], processes: int) -> list[list[int]]:
    """The chapters of each process: long ones first, each to the process that has the least to do."""
    shares, loads = [list[int]() for _ in range(processes)], [0] * processes
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        least = loads.index(min(loads))
        shares[least].append(number)
        loads[least] += sizes[number]
    return shares


def _processes(sizes: Sequence[int]) -> int:
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return max(1, min(len(os.sched_getaffinity(0)), _MOST, len(sizes), sum(sizes) // _WORTH_IT))


class _Helper(Generic[Result]):
    """A copy of this process that cuts some chapters."""

    def __init__(self, cut: Callable[[int], Result], share: Sequence[int]) -> None:
        self._cut, self._share = cut, share
        self._answers, answers = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_work, args=(cut, share, answers), daemon=True)
        self._process.start()
        answers.close()

    def answer(self) -> dict[int, Result]:
        """What it cut; it is cut here if the helper was killed.

        Raises:
            Exception: what `cut` raised.
        """
        try:
            found: dict[int, Result] | Exception = self._answers.recv()
        except (EOFError, OSError):
            return {number: self._cut(number) for number in self._share}
        if isinstance(found, Exception):
            raise found
        return found

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        self._answers.close()


def _work(cut: Callable[[int], object], share: Sequence[int], answers: "Connection") -> None:
    """What a helper does. Signals are for the first process, which ends it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    found: dict[int, object] | Exception
    try:
        found = {number: cut(number) for number in share}
    except Exception as error:
        found = error
    with suppress(OSError):  # the first process has ended
        answers.send(found)
