"""Finds repeated speech in codes: the same codes again, some time later or in a loop."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from maya_batch.checkpoint.token_layout import Codes, levels
from maya_batch.text.emotion_tags import TAG

#: The share of level-1 codes that must agree. Repeated speech is sampled again, so some codes differ.
_ALIKE = 0.85

#: A stretch with fewer different codes than this share is silence or a held vowel, which resemble each other
#: everywhere. If it repeats itself without a break, the voice is stuck.
_VARIED = 0.25

_WORD = re.compile(r"[\w'’]+")


@dataclass(frozen=True)
class Loop:
    """A stretch of frames that resembles the one `lag` frames before it."""

    start: int
    """The first frame of the second stretch."""
    lag: int
    frames: int


def find_loop(codes: Codes, frames: int) -> Loop | None:
    """The stretch of `frames` frames in codes [n, 7] that most resembles an earlier one; None if none is repeated."""
    first = levels(codes)[0].astype(np.int32)
    count = len(first)
    if frames < 2 or count <= frames:
        return None
    # alike[lag - 1, at]: whether frame at + lag has the code of frame `at`; past the end, nothing is alike.
    later = sliding_window_view(np.concatenate((first, np.full(count, -1, dtype=np.int32))), count)
    alike = later[1 : count - frames + 1] == first
    sums = np.cumsum(alike, axis=1, dtype=np.int32)
    sums[:, frames:] -= sums[:, :-frames].copy()
    agreeing = sums[:, frames - 1 :]  # [lag - 1, start of the earlier stretch]
    rows, starts = np.nonzero(agreeing >= np.ceil(frames * _ALIKE))
    shares = agreeing[rows, starts]
    for at in np.argsort(-shares, kind="stable"):
        lag, start = int(rows[at]) + 1, int(starts[at])
        stuck = lag < frames and shares[at] == frames
        if stuck or len(np.unique(first[start : start + frames])) >= frames * _VARIED:
            return Loop(start + lag, lag, frames)
    return None


def repeated_words(text: str) -> tuple[int, int]:
    """The number of words of the longest run that the text itself repeats, and of all its words."""
    words = [word.lower() for word in _WORD.findall(TAG.sub(" ", text))]
    longest = 0
    before = [0] * (len(words) + 1)
    for i, word in enumerate(words):
        # runs[j + 1]: the number of words up to the i-th that equal those up to the j-th.
        runs = [0] * (len(words) + 1)
        for j in range(i):
            if words[j] == word:
                runs[j + 1] = before[j] + 1
        longest = max(longest, *runs)
        before = runs
    return longest, len(words)
