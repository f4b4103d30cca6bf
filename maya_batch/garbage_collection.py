"""Python's search for garbage that is in cycles, which stops all threads while it looks at objects."""

import gc

_OBJECTS = 500_000
"""New objects between two searches. One over 100,000 takes 0.1 to 0.2 s, and Python's own setting is 700. A plan of
120,000 words has 110,000 objects that stay; a run makes 60 that stay for each take, and takes no more memory with this.
"""
_YOUNGER = 20
"""Searches among new objects between two among older ones, too."""


def collect_rarely() -> None:
    """Search rarely: nearly all objects of this program stay, or are freed without a search."""
    gc.set_threshold(_OBJECTS, _YOUNGER, _YOUNGER)
