"""The stream of a GPU's frames and clips."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Sampling
from maya_batch.engine.device import compute_stream
from maya_batch.engine.hf_engine import HfEngine
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
    gpu, current = torch.device("cuda", 1), list[object]()

    @contextmanager
    def on(stream: object) -> Iterator[None]:
        current.append(stream)
        yield
        current.pop()

    loaded = list[tuple[torch.device, object]]()

    def load(folder: Path, layout: TokenLayout, device: torch.device) -> None:
        loaded.append((device, current[-1]))

    monkeypatch.setattr("torch.cuda.stream", on)
    monkeypatch.setattr("maya_batch.engine.device.choose_device", lambda name: {"cuda:1": gpu}[name])
    monkeypatch.setattr("maya_batch.audio.snac_codec.load_codec", load)
    Loaders().codec(Path("codec"), TokenLayout(), "cuda:1")
    assert loaded == [(gpu, compute_stream(gpu))]
    assert not current


def test_frames_are_computed_on_it_by_the_thread_that_asks_for_them(
    streams: None, hf_engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, used = torch.device("cuda", 0), list[object]()
    monkeypatch.setattr("torch.cuda.set_stream", used.append)
    list(hf_engine.generate([], Sampling(), "framed"))
    assert used == []
    monkeypatch.setattr(HfEngine, "device", gpu)
    list(hf_engine.generate([], Sampling(), "framed"))
    assert used == [compute_stream(gpu)]
