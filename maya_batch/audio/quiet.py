"""Where a clip of speech has sound, and where its speaker pauses: between sentences, at commas, for breath."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Sounding:
    """Where a clip has sound, in samples."""

    start: int
    """Where its first sound begins; `end` is where its last one ends. All of a clip without sound."""
    end: int
    pauses: tuple[tuple[int, int], ...] = ()
    """Start and end of each pause between them, in order."""

    def shifted(self, samples: int) -> "Sounding":
        """The same so many samples later."""
        pauses = tuple((start + samples, end + samples) for start, end in self.pauses)
        return Sounding(self.start + samples, self.end + samples, pauses)


def sounding(samples: Samples, rate: int) -> Sounding:
    """Where a clip has sound and where it pauses; `samples` [n] are at `rate` Hz."""
    step = max(1, round(STEP_SECONDS * rate))
    whole = len(samples) // step * step
    body, rest = samples[:whole].reshape(-1, step), samples[whole:]
    squares = np.einsum("ij,ij->i", body, body).astype(np.float64)
    if len(rest):
        squares = np.append(squares, np.dot(rest, rest))
    levels = 10 * np.log10(squares / step + 1e-20)
    audible = levels[levels >= _SILENCE_DBFS]
    if not len(audible):
        return Sounding(0, len(samples))
    quiet = levels < np.quantile(audible, _LOUD_SHARE) + _QUIET_DB
    loud = np.flatnonzero(~quiet)
    start, end = int(loud[0]), int(loud[-1]) + 1
    edges = start + np.flatnonzero(np.diff(quiet[start:end].astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    pauses = tuple((int(low) * step, int(high) * step) for low, high in edges if high - low >= _SHORTEST)
    return Sounding(start * step, min(end * step, len(samples)), pauses)
