"""How written things are said: one grammar for the word count, the transcript check, and the text for the model."""

from maya_batch.text.readings.grammar import Written, find_written

__all__ = ["Written", "find_written"]
