"""Converts a short sound to another sampling rate."""

import math

import numpy as np
from numpy.typing import NDArray


def resampled(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """The samples [samples], within -1..1, at the sampling rate `wanted`; both rates in Hz.

    A curve between samples may be higher than they are: then all is made softer, so that nothing is clipped.
    """
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    made = resample_poly(samples, wanted // common, rate // common)
    within: NDArray[np.float32] = (made / max(1.0, float(np.abs(made).max(initial=0.0)))).astype(np.float32)
    return within
