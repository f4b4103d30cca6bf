"""The memory of calls within each other: no call asks the system for some and returns it when it ends."""

import resource
from collections.abc import Callable

import pytest

from maya_batch.interpreter import with_room_for_calls

CALLS, DEPTHS = 400, 300


def _called() -> int:
    """A frame larger than one of `_loop`, so that at some depth the block ends between the two."""
    a = b = c = d = e = f = g = h = 1
    return a + b + c + d + e + f + g + h


def _loop(depth: int) -> None:
    """Calls a function many times, at this depth of calls."""
    if depth:
        _loop(depth - 1)
    else:
        for _ in range(CALLS):
            _called()


def faults(loop: Callable[[int], None], depth: int) -> int:
    """How many pages of memory the process gets meanwhile."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    loop(depth)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_calls_at_no_depth_get_memory_each_time() -> None:
    loop = with_room_for_calls(_loop)
    loop(DEPTHS)  # other memory is there from now on
    assert max(faults(loop, depth) for depth in range(DEPTHS)) < CALLS // 4


def test_arguments_results_and_errors_are_those_of_the_function() -> None:
    def divided(number: int, *, by: int) -> float:
        return number / by

    assert with_room_for_calls(divided)(7, by=2) == 3.5
    with pytest.raises(ZeroDivisionError):
        with_room_for_calls(divided)(7, by=0)
