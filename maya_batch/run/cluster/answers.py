"""Whether what a worker answers can be: a faulty machine may answer anything."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Finish, Generation, Request
from maya_batch.run.cluster.messages import Beat, Loaded, Note


def wrong_beat(beat: object, held: Mapping[str, Request], layout: TokenLayout) -> str:
    """What is wrong with an answer of a worker that holds these requests, by key; empty if nothing is."""
    if not isinstance(beat, Beat):
        return f"it answered with a {type(beat).__name__}"
    if wrong := _wrong_fields(beat) or _wrong_notes(beat.notes):
        return wrong
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


def wrong_loaded(answer: object) -> str:
    """What is wrong with what a worker answers when its engine is loaded; empty if nothing is."""
    if not isinstance(answer, Loaded):
        return f"it answered with a {type(answer).__name__}"
    return _wrong_fields(answer) or _wrong_notes(answer.notes)


def _wrong_fields(answer: Beat | Loaded) -> str:
    for name, wanted in _fields(type(answer)).items():
        if not isinstance(value := getattr(answer, name), wanted):
            return f"it answered with a {type(value).__name__} as {name}"
    return ""


def _fields(kind: type[Beat | Loaded]) -> dict[str, type]:
    """The fields of an answer, with their types but for what is in a collection."""
    hints = {name: get_origin(hint) or hint for name, hint in get_type_hints(kind).items()}
    return {name: str if hint is Literal else hint for name, hint in hints.items()}


def _wrong_notes(notes: Sequence[object]) -> str:
    for note in notes:
        if not (isinstance(note, Note) and isinstance(note.level, int) and isinstance(note.message, str)):
            return "it answered with a note that is none"
    return ""


def _wrong_waveforms(beat: Beat, layout: TokenLayout) -> str:
    frames = {generation.key: len(generation.codes) for generation in beat.generations}
    for key, waveform in beat.waveforms.items():
        if key not in frames:
            return "it decoded a chunk that it did not generate"
        if not isinstance(waveform, np.ndarray) or waveform.dtype != np.float32 or waveform.ndim != 1:
            return "its samples have another shape"
        if len(waveform) != layout.samples(frames[key]):
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
