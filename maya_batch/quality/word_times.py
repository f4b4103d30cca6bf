"""When the sentences of a take begin, by the words that were heard in it."""

from collections.abc import Sequence

from maya_batch.quality import Transcript
from maya_batch.quality.normalization import fold
from maya_batch.quality.reading_choice import choose_readings
from maya_batch.quality.word_alignment import join_compounds, pair
from maya_batch.text.language import base_language


def heard_starts(sentences: Sequence[str], transcript: Transcript, language: str) -> list[float | None]:
    """Where each sentence of a take begins, in seconds from the start of the take; None where it is not known.

    It is known if its first word is heard, or the word before it and another one after that.
    """
    if not transcript.starts:
        return [None] * len(sentences)
    code, text = base_language(language), " ".join(sentences)
    expected, heard = choose_readings(fold(text, code), fold(transcript.text, code), [])
    expected, heard = join_compounds(expected, heard), join_compounds(heard, expected)
    places = {
        min(expected[i].places): min(heard[j].places)
        for i, j in reversed(pair([sound.word for sound in expected], [sound.word for sound in heard]))
    }
    after = {
        max(expected[i].places) + 1: max(heard[j].places) + 1
        for i, j in pair([sound.word for sound in expected], [sound.word for sound in heard])
    }
    found: list[float | None] = []
    at = 0
    for sentence in sentences:
        place = places.get(at, after.get(at, len(transcript.starts)))
        found.append(transcript.starts[place] / 1000 if place < len(transcript.starts) else None)
        at += len(sentence.split())
    return found
