"""A worker without Ray: its methods are called on this thread."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import Decoder
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.checkpoint.token_layout import Codes
from maya_batch.engine.api import Generation, Request, Sampling
from maya_batch.run.cluster import worker
from maya_batch.run.cluster.messages import Beat, Call, CodecJob, EngineSettings, Job
from maya_batch.run.cluster.worker import EngineWorker
from tests.support import faulty_worker
from tests.support.fakes import FakeCodec, FakeEngine, write_codec, write_model
from tests.support.faulty_worker import FaultyEngine

SETTINGS = EngineSettings("auto", "cpu", "auto", "none", 4, "auto")
REQUESTS = [Request(str(n), "A voice.", f"Number {n}.", n, 10, noise_seed=100 + n) for n in range(12)]


class StartingCodec(FakeCodec):
    """Decodes when it is waited for, as a GPU's codec; fails at the clip of this number."""

    def __init__(self, fails: int = -1) -> None:
        super().__init__()
        self.started, self.fails = 0, fails

    def start(self, codes: Codes, seed: int) -> Callable[[], NDArray[np.float32]]:
        self.started += 1
        if self.started == self.fails:
            raise RuntimeError("CUDA out of memory")
        return lambda: self.decode(codes, seed)


def started(
    folder: Path, codec: Decoder | None, identity: str | None = None, load: Callable[..., Decoder] | None = None
) -> EngineWorker:
    """A worker that has loaded its engine, and this codec, if it is that of this identity."""
    model = Checkpoint(str(write_model(folder / "lm")), "model", folder / "lm")
    job = None
    if codec is not None:
        found = Checkpoint(str(write_codec(folder / "codec")), "codec", folder / "codec")
        job = CodecJob(load or (lambda *_: codec), found, identity or found.identity())
    made = EngineWorker(Job(faulty_worker.load, model, SETTINGS, job))
    made.notes = list(made.load().notes)  # type: ignore[attr-defined]
    return made


def spoken(made: EngineWorker) -> tuple[dict[str, Generation], dict[str, NDArray[np.float32]], list[Beat]]:
    """All generations and waveforms, by key, and the answers that had some."""
    call, beats = Call(1, Sampling(), "framed", "model"), list[Beat]()
    generations: dict[str, Generation] = {}
    waveforms: dict[str, NDArray[np.float32]] = {}
    asked = REQUESTS
    for _ in range(100):
        beat = made.exchange(call, asked)
        assert not beat.failure
        asked = []
        generations |= {generation.key: generation for generation in beat.generations}
        waveforms |= beat.waveforms
        beats += [beat] if beat.generations else []
        if len(generations) == len(REQUESTS):
            return generations, waveforms, beats
    raise AssertionError(f"{len(generations)} of {len(REQUESTS)}")


def notes(made: EngineWorker, beats: list[Beat]) -> list[str]:
    loaded: Any = made
    return [note.message for note in (*loaded.notes, *(note for beat in beats for note in beat.notes))]


@pytest.mark.parametrize("codec", [FakeCodec(), StartingCodec()])
def test_a_worker_decodes_what_it_generates(codec: FakeCodec, tmp_path: Path) -> None:
    made = started(tmp_path, codec)
    generations, waveforms, beats = spoken(made)
    assert waveforms.keys() == generations.keys()
    for key, generation in generations.items():
        assert np.array_equal(waveforms[key], FakeCodec().decode(generation.codes, 100 + int(key)))
    assert all(beat.waveforms.keys() == {made.key for made in beat.generations} for beat in beats)
    assert notes(made, beats) == []


def test_without_a_codec_only_codes_are_returned(tmp_path: Path) -> None:
    generations, waveforms, _ = spoken(started(tmp_path, None))
    assert (len(generations), waveforms) == (12, {})


def test_another_codec_on_this_machine_is_not_used(tmp_path: Path) -> None:
    made = started(tmp_path, FakeCodec(), identity="sha256:" + "0" * 64)
    _, waveforms, beats = spoken(made)
    assert waveforms == {}
    [said] = notes(made, beats)
    assert said.endswith("codec: it is another one on this machine; the driver decodes what it generates")


def test_after_a_failure_the_driver_decodes_the_rest(tmp_path: Path) -> None:
    made = started(tmp_path, StartingCodec(fails=5))
    generations, waveforms, beats = spoken(made)
    assert (len(generations), len(waveforms)) == (12, 4)
    assert notes(made, beats) == ["decoding failed (CUDA out of memory); the driver decodes what it generates"]


def test_an_answer_has_no_more_sound_than_rays_memory_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_MOST_BYTES", 2 * 2400 * 4)
    _, waveforms, beats = spoken(started(tmp_path, FakeCodec()))
    assert len(waveforms) == 12
    assert max(len(beat.generations) for beat in beats) == 2
    monkeypatch.setattr(worker, "_MOST_BYTES", 1)  # less than a clip has
    _, waveforms, beats = spoken(started(tmp_path / "other", FakeCodec()))
    assert [len(beat.generations) for beat in beats] == [1] * 12


def test_an_engine_that_fails_loses_nothing_that_had_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()

    class Slow(FakeCodec):
        def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
            assert held.wait(20)
            return super().decode(codes, seed)

    def fail(self: FaultyEngine, *given: Any) -> Iterator[list[Generation]]:
        yield from islice(FakeEngine.generate(self, *given), 2)
        raise RuntimeError("the GPU is gone")

    monkeypatch.setattr(FaultyEngine, "generate", fail)
    made = started(tmp_path, Slow())
    call, asked, told = Call(1, Sampling(), "framed", "model"), REQUESTS, list[str]()
    while True:
        beat = made.exchange(call, asked)
        asked = []
        told += [generation.key for generation in beat.generations]
        assert not beat.waveforms
        if beat.failure:
            break
    held.set()
    assert sorted(told, key=int) == [str(n) for n in range(8)]  # two batches of four


def test_what_a_call_that_was_left_still_decodes_is_not_of_the_next_one(tmp_path: Path) -> None:
    held = threading.Event()

    class Slow(FakeCodec):
        def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
            assert held.wait(20)
            return super().decode(codes, seed)

    made = started(tmp_path, Slow())
    left, following = (Call(number, Sampling(), "framed", "model") for number in (1, 2))
    assert not made.exchange(left, REQUESTS[:4]).generations
    again = [replace(request, noise_seed=900 + int(request.key)) for request in REQUESTS[:4]]
    generations, waveforms = dict[str, Generation](), dict[str, NDArray[np.float32]]()
    for _ in range(100):
        beat = made.exchange(following, again)
        again = []
        held.set()
        assert not generations.keys() & {generation.key for generation in beat.generations}
        generations |= {generation.key: generation for generation in beat.generations}
        waveforms |= beat.waveforms
        if len(generations) == 4:
            break
    assert {key: wave.tobytes() for key, wave in waveforms.items()} == {
        key: FakeCodec().decode(made.codes, 900 + int(key)).tobytes() for key, made in generations.items()
    }


def test_a_codec_that_fails_to_load_in_any_way_leaves_decoding_to_the_driver(tmp_path: Path) -> None:
    def fail(*_: Any) -> Decoder:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 MiB")

    made = started(tmp_path, FakeCodec(), load=fail)
    _, waveforms, beats = spoken(made)
    assert waveforms == {}
    [said] = notes(made, beats)
    assert said.startswith("CUDA out of memory")
    assert said.endswith("; the driver decodes what it generates")
