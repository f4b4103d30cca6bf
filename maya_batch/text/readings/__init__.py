"""How written things are said: one grammar for the word count, the transcript check, and the text for the model."""

from maya_batch.text.readings.grammar import find_written
from maya_batch.text.readings.written import Written

__all__ = ["Written", "find_written"]
