"""Whether what a worker answers can be: a faulty machine may answer anything."""

from collections.abc import Mapping
from typing import get_args

import numpy as np

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Finish, Generation, Request
from maya_batch.run.cluster.messages import Beat


def wrong_beat(beat: object, held: Mapping[str, Request], layout: TokenLayout) -> str:
    """What is wrong with an answer of a worker that holds these requests, by key; empty if nothing is."""
    if not isinstance(beat, Beat):
        return f"it answered with a {type(beat).__name__}"
    keys: set[str] = set()
    for generation in beat.generations:
        if not isinstance(generation, Generation):
            return f"it answered with a {type(generation).__name__}"
        request = held.get(generation.key) if isinstance(generation.key, str) else None
        if request is None or generation.key in keys:
            return "it answered for a chunk that it was not given"
        keys.add(generation.key)
        if wrong := _wrong(generation, request, layout):
            return wrong
    return _wrong_waveforms(beat, layout)


def _wrong_waveforms(beat: Beat, layout: TokenLayout) -> str:
    frames = {generation.key: len(generation.codes) for generation in beat.generations}
    if not isinstance(beat.waveforms, Mapping):
        return f"it answered with a {type(beat.waveforms).__name__}"
    for key, waveform in beat.waveforms.items():
        if key not in frames:
            return "it decoded a chunk that it did not generate"
        if not isinstance(waveform, np.ndarray) or waveform.dtype != np.float32 or waveform.ndim != 1:
            return "its samples have another shape"
        if len(waveform) != max(frames[key] * layout.frame_samples - layout.clip_start_samples, 0):
            return f"it decoded {frames[key]} frames to {len(waveform)} samples"
    return ""


def _wrong(generation: Generation, request: Request, layout: TokenLayout) -> str:
    codes = generation.codes
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint16 or codes.ndim != 2 or codes.shape[1] != SLOTS:
        return "its codes have another shape"
    if generation.finish not in get_args(Finish) or not isinstance(generation.detail, str):
        return "its sequence ended in an unknown way"
    if len(codes) > request.max_frames or not (len(codes) or generation.finish == "broken"):
        return f"its sequence has {len(codes)} frames"
    if len(codes) and int(codes.max()) >= layout.codebook_size:
        return f"code {int(codes.max())} is outside a codebook of {layout.codebook_size}"
    return ""
