"""Where a clip of speech is quiet: at its edges, between its sentences, and where its speaker pauses for breath."""

import numpy as np

from maya_batch.audio.loudness_meter import Samples

STEP_SECONDS = 0.01
"""The length of the steps in which levels are measured."""
_SHORTEST = 8
"""Steps: the closure of a p, t or k is silent for up to 0.08 s, and a pause is longer."""
_LOUD_SHARE, _QUIET_DB = 0.9, -30.0
"""The speech level is this quantile of the levels of all steps with sound; a step so many dB below it is quiet."""
_SILENCE_DBFS = -60.0
"""A step below this has no sound."""


def quiet_stretches(samples: Samples, rate: int) -> list[tuple[int, int]]:
    """Start and end of each stretch of quiet, in samples: at the edges of any length, else of 0.08 s or more.

    `samples` [n] are at `rate` Hz. A clip without sound is quiet as a whole.
    """
    step = max(1, round(STEP_SECONDS * rate))
    steps = -(-len(samples) // step)
    squares = np.zeros(steps * step, dtype=np.float64)
    squares[: len(samples)] = np.square(samples, dtype=np.float64)
    levels = 10 * np.log10(squares.reshape(-1, step).mean(axis=1) + 1e-20)
    sounding = levels[levels >= _SILENCE_DBFS]
    if not len(sounding):
        return [(0, len(samples))]
    quiet = levels < np.quantile(sounding, _LOUD_SHARE) + _QUIET_DB
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return [
        (int(start) * step, min(int(end) * step, len(samples)))
        for start, end in edges
        if end - start >= _SHORTEST or start == 0 or end == steps
    ]
