"""How many examples a property is tried with."""

from hypothesis import settings

#: By the profile `thorough` of `tests/conftest.py`, whatever the profile that is loaded.
_OF_THOROUGH_PROFILE = 100


def examples(count: int) -> int:
    """Of `count` examples, as many as the loaded profile tries of a hundred.

    `tests/conftest.py` loads the profile before test modules are imported.
    """
    return max(1, count * settings().max_examples // _OF_THOROUGH_PROFILE)
