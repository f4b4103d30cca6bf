"""Who listens, and on which device."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from maya_batch.errors import MachineError
from maya_batch.manifest import Quality
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.hearing import Recognizer, SpokenTake
from maya_batch.quality.transcriber import Transcriber


class Loaded:
    """What was to be loaded, and on which devices that can be done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, speaks: str, *devices: str) -> None:
        self.devices, self.calls = devices, list[tuple[str, int]]()
        self.speaks = speaks
        monkeypatch.setattr("maya_batch.quality.recognizers.find_recognizer", lambda name: Path(name))
        monkeypatch.setattr("maya_batch.quality.whisper.load_recognizer", self.load)
        monkeypatch.setattr("maya_batch.quality.whisper.listen", self.listen)
        monkeypatch.setattr("maya_batch.quality.transcriber.os.sched_getaffinity", lambda pid: set(range(16)))

    def load(self, name: str, device: str, language: str, threads: int, workers: int | None) -> Recognizer:
        self.calls.append((device, threads))
        if device.partition(":")[0] not in self.devices:
            raise MachineError(f"recognizer {name}: no library for {device}")
        return Recognizer(name, device, workers=workers or 2)

    def listen(
        self, recognizer: Recognizer, takes: list[SpokenTake], *_: object
    ) -> list[tuple[Transcript, tuple[Problem, ...]]]:
        """A GPU's memory is full from now on."""
        if recognizer.model != "cpu":
            raise MachineError(f"recognizer {recognizer.name}: CUDA failed with error out of memory")
        return [(Transcript(recognizer.name, take.text, 0.0), ()) for take in takes]


def load(loaded: Loaded, device: str = "auto") -> Transcriber:
    transcriber = Transcriber("small.en", "en", Quality(), device)
    transcriber.load(loaded.speaks)
    return transcriber


def hear(transcriber: Transcriber) -> str:
    [(found, _)] = transcriber.transcribe([SpokenTake(np.zeros(24000, np.float32), "Fine talk.")], 24000)
    return found.text


def test_on_a_gpu_that_cannot_listen_the_cpu_does_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    loaded = Loaded(monkeypatch, "cuda:0", "cpu")
    load(loaded)
    assert loaded.calls == [("cuda:0", 14), ("cpu", 14)]
    assert caplog.messages == [
        "recognizer small.en: no library for cuda:0; transcribing on the CPU instead, which may be slower than "
        "generation",
        "transcribing all takes with small.en on cpu",
    ]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_was_asked_for_and_cannot_listen_is_an_error(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Loaded(monkeypatch, "cuda", "cpu")
    with pytest.raises(MachineError, match=f"no library for {device}"):
        load(loaded, device)
    assert loaded.calls == [(device, 14)]


@pytest.mark.parametrize(
    ("speaks", "device", "call"),
    [
        ("cpu", "auto", ("cpu", 1)),
        ("cuda:0", "auto", ("cuda:0", 14)),
        ("cuda:1", "auto", ("cuda:1", 14)),
        ("cuda", "cpu", ("cpu", 14)),
        ("cpu", "cuda:1", ("cuda:1", 1)),
    ],
)
def test_who_listens_has_the_cores_that_nobody_speaks_on(
    speaks: str, device: str, call: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Loaded(monkeypatch, speaks, "cpu", "cuda")
    load(loaded, device)
    assert loaded.calls == [call]


def test_a_recognizer_that_fails_on_the_cpu_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Loaded(monkeypatch, "cpu")
    with pytest.raises(MachineError, match="no library for cpu"):
        load(loaded)
    assert loaded.calls == [("cpu", 1)]


def test_a_gpu_whose_memory_is_full_gives_way_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    loaded = Loaded(monkeypatch, "cuda:0", "cpu", "cuda")
    transcriber = load(loaded)
    assert [hear(transcriber), hear(transcriber)] == ["Fine talk."] * 2
    assert loaded.calls == [("cuda:0", 14), ("cpu", 14)]
    assert caplog.messages == [
        "transcribing all takes with small.en on cuda:0",
        "recognizer small.en: CUDA failed with error out of memory; transcribing on the CPU instead, which may be "
        "slower than generation",
        "transcribing all takes with small.en on cpu",
    ]


def test_several_threads_give_way_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, full = Loaded(monkeypatch, "cuda:0", "cpu", "cuda"), Barrier(4, timeout=10)
    transcriber, listen = load(loaded), loaded.listen

    def at_a_time(recognizer: Recognizer, *given: Any) -> Any:
        if recognizer.model != "cpu":
            full.wait()
        return listen(recognizer, *given)

    monkeypatch.setattr("maya_batch.quality.whisper.listen", at_a_time)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: hear(transcriber), range(4))) == ["Fine talk."] * 4
    assert loaded.calls == [("cuda:0", 14), ("cpu", 14)]


def test_one_that_was_asked_for_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Loaded(monkeypatch, "cuda:0", "cpu", "cuda")
    transcriber = load(loaded, "cuda")
    with pytest.raises(MachineError, match="out of memory"):
        hear(transcriber)
