"""The keys of an imported book.yaml: what the manifest would refuse is cut or left out."""

import pytest

from maya_batch.importing.blocks import Metadata
from maya_batch.importing.book_yaml import book_keys
from maya_batch.manifest.metadata import LONGEST_DESCRIPTION


@pytest.mark.parametrize(
    ("said", "date"),
    [
        ("1895", "1895"),
        ("1895-05", "1895-05"),
        ("1895-05-07", "1895-05-07"),
        ("1895-05-07T12:00:00Z", "1895-05-07"),
        (" 1895-05 ", "1895-05"),
        ("1895-02-30", "1895-02"),
        ("1895-13-01", "1895"),
        ("1895-05-075", "1895-05"),
        ("18950507", ""),
        ("0000", ""),
        ("May 1895", ""),
    ],
)
def test_a_date_is_cut_to_what_the_calendar_has(said: str, date: str) -> None:
    assert book_keys(Metadata(date=said), "a", "").get("date", "") == date


@pytest.mark.parametrize(
    ("said", "is_kept"),
    [
        ("978-0-306-40615-7", True),
        ("0\u2013306\u201340615\u20132", True),
        ("978-0-306-40615-8", False),
        ("urn:x", False),
    ],
)
def test_an_isbn_is_kept_if_its_check_digit_is_right(said: str, is_kept: bool) -> None:
    assert ("isbn" in book_keys(Metadata(isbn=said), "a", "")) == is_kept


def test_a_description_is_cut_to_what_the_manifest_takes() -> None:
    description = book_keys(Metadata(description="words " * 5000), "a", "")["description"]
    assert len(description) == LONGEST_DESCRIPTION
    assert description.endswith("wo")
