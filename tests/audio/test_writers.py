"""One table of writers, which has the formats that a manifest may name."""

from typing import get_args

import pytest

from maya_batch.audio.writers import FORMATS
from maya_batch.manifest.audio_formats import BITRATES, DEFAULT_BITRATES, FormatName


def test_each_format_of_a_manifest_has_a_writer_and_the_other_way_round() -> None:
    assert tuple(FORMATS) == get_args(FormatName)


def test_a_format_has_bitrates_and_one_of_them_by_default_or_neither() -> None:
    assert BITRATES.keys() == DEFAULT_BITRATES.keys() <= FORMATS.keys()
    assert all(DEFAULT_BITRATES[name] in BITRATES[name] for name in BITRATES)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_known_by_how_it_begins(name: str) -> None:
    magic = FORMATS[name].magic
    assert [other for other, row in FORMATS.items() if row.magic.startswith(magic)] == [name]
