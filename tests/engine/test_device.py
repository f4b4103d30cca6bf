"""The stream of a GPU's frames and clips."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.device import compute_stream
from maya_batch.run.loading import Loaders


class FakeStream:
    """A stream on a machine without a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("torch.cuda.Stream", FakeStream)
    compute_stream.cache_clear()
    yield
    compute_stream.cache_clear()


def test_each_gpu_has_one_stream_and_a_cpu_none(streams: None) -> None:
    first, second = torch.device("cuda", 0), torch.device("cuda", 1)
    assert compute_stream(torch.device("cpu")) is None
    assert compute_stream(first) is compute_stream(torch.device("cuda", 0))
    assert compute_stream(second) is not compute_stream(first)


def test_clips_are_decoded_on_the_stream_of_the_frames(streams: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another one each would wait for the kernels of the other."""
    gpu = torch.device("cuda", 1)
    loaded: list[Any] = []
    monkeypatch.setattr("maya_batch.engine.device.choose_device", lambda name: {"cuda:1": gpu}[name])
    monkeypatch.setattr("maya_batch.audio.snac_codec.load_codec", lambda *given: loaded.append(given))
    Loaders().codec(Path("codec"), TokenLayout(), "cuda:1")
    [(_, _, device, stream)] = loaded
    assert (device, stream) == (gpu, compute_stream(gpu))
