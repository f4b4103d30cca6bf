"""One table of writers, which has the formats that a manifest may name."""

from typing import get_args

import pytest

from maya_batch.audio.writers import FORMATS
from maya_batch.manifest import Format
from maya_batch.manifest.audio_formats import CHOICES, OWN_RATE, FormatName


def test_each_format_of_a_manifest_has_a_writer_and_the_other_way_round() -> None:
    assert tuple(FORMATS) == tuple(CHOICES) == get_args(FormatName)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_bitrates_and_one_of_them_by_default_or_neither(name: str) -> None:
    choices = CHOICES[name]
    assert (choices.default in choices.bitrates_at(OWN_RATE)) if choices.bitrates else choices.default is None
    assert {*choices.low, *choices.high} <= {*choices.bitrates}


def test_a_bitrate_that_the_codecs_rate_has_no_room_for_implies_another_rate() -> None:
    assert Format.model_validate({"type": "mp3", "bitrate": "192k"}).sample_rate == 44100
    assert Format.model_validate({"type": "mp3", "bitrate": "160k"}).sample_rate is None
    assert Format.model_validate("m4b") == Format(type="m4b", bitrate="64k")
    assert Format.model_validate({"type": "m4a", "bitrate": "192k"}).sample_rate == 44100


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_known_by_how_it_begins(name: str) -> None:
    magic = FORMATS[name].magic
    assert [other for other, row in FORMATS.items() if row.magic.startswith(magic)] == [name]
