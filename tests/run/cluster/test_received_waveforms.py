from pathlib import Path

import numpy as np
import pytest

from maya_batch.checkpoint.token_layout import Codes
from maya_batch.run.cluster.received_waveforms import ReceivedWaveforms, ReceivingCodec
from tests.support.fakes import FakeCodec

FOLDER = Path("codec")


def codes(value: int) -> Codes:
    return np.full((3, 7), value, np.uint16)


def test_what_a_worker_has_decoded_is_not_decoded_again() -> None:
    received, here = ReceivedWaveforms(), FakeCodec()
    codec, wave = ReceivingCodec(here, received, FOLDER), np.full(5, 0.5, np.float32)
    received.folder = FOLDER  # known only now: takes of an earlier run are decoded before the engine is loaded
    received.put(7, codes(1), wave)
    wave[:] = 0  # the memory of the answer is used again
    assert codec.decode(codes(1), 7).tolist() == [0.5] * 5
    assert here.decoded == 0
    assert np.array_equal(codec.decode(codes(1), 7), FakeCodec().decode(codes(1), 7))  # it was handed over once
    assert here.decoded == 1


def test_the_waveform_of_other_codes_is_not_taken() -> None:
    received, here = ReceivedWaveforms(), FakeCodec()
    received.folder = FOLDER
    received.put(7, codes(1), np.zeros(5, np.float32))
    codec = ReceivingCodec(here, received, FOLDER)
    assert np.array_equal(codec.start(codes(2), 7)(), FakeCodec().decode(codes(2), 7))
    assert here.decoded == 1


def test_what_another_codec_has_decoded_is_not_taken() -> None:
    received, here = ReceivedWaveforms(), FakeCodec()
    received.folder = FOLDER
    received.put(7, codes(1), np.zeros(5, np.float32))
    other = ReceivingCodec(here, received, FOLDER / "other")
    assert np.array_equal(other.decode(codes(1), 7), FakeCodec().decode(codes(1), 7))
    assert here.decoded == 1


def test_the_oldest_are_dropped_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.run.cluster.received_waveforms._KEPT", 100)
    received = ReceivedWaveforms()
    for seed in (1, 2, 3, 2):  # the second 2 takes the place of the first
        received.put(seed, codes(seed), np.full(10, seed, np.float32))
    assert received.pop(1, codes(1)) is None
    assert received.pop(2, codes(2)) is not None
    assert received.pop(3, codes(3)) is not None
    received.put(4, codes(4), np.zeros(25, np.float32))
    assert received.pop(4, codes(4)) is not None
