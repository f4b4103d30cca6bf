"""Values that a person wrote, in a message: quoted, shortened, and not too many."""

import pytest

from maya_batch.messages.quoting import quoted_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ""),
        (["a"], "'a'"),
        (["a", "it's", "c"], """'a', "it's", 'c'"""),
        (["a"] * 4, "'a', 'a', 'a' and 1 more"),
        (["a" * 60] * 2003, ", ".join([f"'{'a' * 49}…'"] * 3) + " and 2,000 more"),
    ],
)
def test_names_are_quoted_up_to_three(names: list[str], expected: str) -> None:
    assert quoted_names(names) == expected
