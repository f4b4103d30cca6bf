"""What a faulty worker may answer is refused."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import EngineStats, Generation, Request
from maya_batch.run.cluster.answers import wrong_beat, wrong_loaded
from maya_batch.run.cluster.messages import Beat, Note
from tests.support.fake_ray import LOADED

LAYOUT = TokenLayout()
SAMPLES = 10 * LAYOUT.frame_samples - LAYOUT.clip_start_samples
HELD = {key: Request(key, "A voice.", "Text.", 1, 10) for key in ("a", "b")}
GOOD = Generation("a", np.ones((10, 7), np.uint16), "cap")


def replace(answer: Any, **fields: Any) -> Any:
    """An answer with these fields, which may be of any type."""
    return dataclasses.replace(answer, **fields)


def garbled(**fields: Any) -> Any:
    return replace(GOOD, **fields)


def beat(*generations: Any) -> Beat:
    return Beat(generations, 1, 4, EngineStats(), 0, 0.0)


def with_waveforms(waveforms: Any) -> Any:
    return replace(beat(GOOD), waveforms=waveforms)


def decoded(key: str, samples: Any) -> Any:
    return with_waveforms({key: samples})


def test_what_an_engine_generates_is_right() -> None:
    nothing = Generation("b", np.zeros((0, 7), np.uint16), "broken", "frame 1")
    assert wrong_beat(decoded("a", np.zeros(SAMPLES, np.float32)), HELD, LAYOUT) == ""
    silent = replace(beat(nothing), waveforms={"b": np.zeros(0, np.float32)})
    assert wrong_beat(silent, HELD, LAYOUT) == ""
    assert wrong_beat(beat(), HELD, LAYOUT) == ""
    assert wrong_beat(beat(GOOD, nothing), HELD, LAYOUT) == ""


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (None, "it answered with a NoneType"),
        (beat("a"), "it answered with a str"),
        (beat(garbled(key="c")), "it answered for a chunk that it was not given"),
        (beat(garbled(key=["a"])), "it answered for a chunk that it was not given"),
        (beat(GOOD, GOOD), "it answered for a chunk that it was not given"),
        (beat(garbled(codes=[[1] * 7])), "its codes have another shape"),
        (beat(garbled(codes=np.ones((10, 6), np.uint16))), "its codes have another shape"),
        (beat(garbled(codes=np.ones((10, 7), np.int64))), "its codes have another shape"),
        (beat(garbled(codes=np.ones((11, 7), np.uint16))), "its sequence has 11 frames"),
        (beat(garbled(codes=np.ones((0, 7), np.uint16))), "its sequence has 0 frames"),
        (beat(garbled(finish="end")), "its sequence ended in an unknown way"),
        (beat(garbled(codes=np.full((10, 7), 4096, np.uint16))), "code 4096 is outside a codebook of 4096"),
        (decoded("b", np.zeros(9, np.float32)), "it decoded a chunk that it did not generate"),
        (decoded("a", [0.0]), "its samples have another shape"),
        (decoded("a", np.zeros(9)), "its samples have another shape"),
        (decoded("a", np.zeros((9, 1), np.float32)), "its samples have another shape"),
        (decoded("a", np.zeros(SAMPLES + 1, np.float32)), f"it decoded 10 frames to {SAMPLES + 1} samples"),
        (decoded("a", np.zeros(1, np.float32)), "it decoded 10 frames to 1 samples"),
        (with_waveforms([("a", np.zeros(SAMPLES, np.float32))]), "it answered with a list as waveforms"),
        (with_waveforms(None), "it answered with a NoneType as waveforms"),
        (replace(beat(), generations=None), "it answered with a NoneType as generations"),
        (replace(beat(), frames="many"), "it answered with a str as frames"),
        (replace(beat(), batch_size=None), "it answered with a NoneType as batch_size"),
        (replace(beat(), stats={}), "it answered with a dict as stats"),
        (replace(beat(), peak_memory=0.5), "it answered with a float as peak_memory"),
        (replace(beat(), idle=None), "it answered with a NoneType as idle"),
        (replace(beat(), failure=RuntimeError()), "it answered with a RuntimeError as failure"),
        (replace(beat(), notes=None), "it answered with a NoneType as notes"),
        (replace(beat(), notes=("a",)), "it answered with a note that is none"),
        (replace(beat(), notes=(replace(Note(30, ""), message=None),)), "it answered with a note that is none"),
    ],
)
def test_garbage_is_refused(answer: object, wrong: str) -> None:
    assert wrong_beat(answer, HELD, LAYOUT) == wrong


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (LOADED, ""),
        ("loaded", "it answered with a str"),
        (replace(LOADED, batch_size="4"), "it answered with a str as batch_size"),
        (replace(LOADED, notes=None), "it answered with a NoneType as notes"),
        (replace(LOADED, notes=("a",)), "it answered with a note that is none"),
    ],
)
def test_an_engine_that_is_none_is_refused(answer: object, wrong: str) -> None:
    assert wrong_loaded(answer) == wrong
