"""How the Python interpreter is set for this program: its search for garbage in cycles, and the memory of its calls."""

import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_OBJECTS = 500_000
"""New objects between two searches. One over 100,000 takes 0.1 to 0.2 s, and Python's own setting is 700. A plan of
120,000 words has 110,000 objects that stay; a run makes 60 that stay for each take, and takes no more memory with this.
"""
_YOUNGER = 20
"""Searches among new objects between two among older ones, too."""
_FRAME_SLOTS = 7200
"""8 bytes each. With what CPython adds, they need more than 64 KB, so it takes a block of 128 KB; what is left of it
holds the frames of about 250 calls within each other.
"""


def collect_rarely() -> None:
    """Search rarely: nearly all objects of this program stay, or are freed without a search. A search stops all
    threads.
    """
    gc.set_threshold(_OBJECTS, _YOUNGER, _YOUNGER)


def with_room_for_calls(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, called with one block of memory for the frames of all calls within it.

    CPython keeps frames in blocks of 16 KB. On each call that does not fit into the last one, it asks the system for
    another, and returns it when the call ends. The calls of a loop at such a place did so 17,000 times in a render of
    the demo book, and 3,500 times in a plan of 120,000 words.
    """

    def call(*arguments: Arguments.args, **more: Arguments.kwargs) -> Result:
        return function(*arguments, **more)

    # A frame so large that it does not fit into the block at hand gets one of its size; its slots are not written.
    call.__code__ = call.__code__.replace(co_stacksize=_FRAME_SLOTS)
    return call
