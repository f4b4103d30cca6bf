"""How much of the machine's memory waveforms may take."""

from maya_batch.engine.host_memory import usable_memory

_SHARE = 1 / 8
"""Of the memory that is free when the models are loaded. An hour of speech takes 346 MB."""


def waveform_bytes() -> int:
    """Bytes for the waveforms of all books of a run.

    A chapter is written when its last take has come, and the takes of several GPUs fill hours until then. What is not
    kept so long is decoded again.
    """
    return int(usable_memory() * _SHARE)
