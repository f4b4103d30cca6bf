"""A plugin for CI: coverage counts what the fast tests run, because tracing makes many slow tests take twice as long.

`--cov` without it counts all tests.
"""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave slow tests out of the count; what their fixtures run is counted."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")
