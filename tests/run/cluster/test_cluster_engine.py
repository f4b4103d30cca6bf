"""The driver's side of a run with workers, with a stand-in for Ray."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from maya_batch.engine.api import EngineStats, Generation, Hooks, Request, Sampling
from maya_batch.errors import MachineError
from maya_batch.run.cluster.cluster_engine import ClusterEngine
from maya_batch.run.cluster.crew import Crew
from maya_batch.run.cluster.messages import Beat, Call
from maya_batch.run.cluster.patience import Patience
from maya_batch.run.cluster.received_waveforms import ReceivedWaveforms
from tests.support.fake_ray import CODES, JOB, LOADED, NEVER, FakeRay, RayError

SAMPLES = 10 * LOADED.layout.frame_samples - LOADED.layout.clip_start_samples


def request(number: int, text: str = "Yes.") -> Request:
    return Request(str(number), "A voice.", text, number, 10)


REQUESTS = [request(number) for number in range(30)]


def engine(ray: FakeRay, workers: int = 3, patience: Patience | None = None) -> ClusterEngine:
    crew = Crew(ray, JOB, {}, workers, patience or Patience(room=0.2))
    crew.load("sha256:a")
    return ClusterEngine(crew, ReceivedWaveforms())


def spoken(engine: ClusterEngine, requests: list[Request], **more: Any) -> list[Generation]:
    return [made for found in engine.generate(requests, Sampling(), "framed", Hooks(**more)) for made in found]


def keys(generations: list[Generation]) -> list[int]:
    return sorted(int(generation.key) for generation in generations)


def test_all_workers_generate() -> None:
    ticks: list[None] = []
    made = engine(FakeRay())
    assert (made.batch_size, made.name, made.kv_cache, made.layout) == (12, "hf", "model", LOADED.layout)
    assert keys(spoken(made, REQUESTS, tick=lambda: ticks.append(None))) == list(range(30))
    assert made.stats.workers == {"fake/1": 10, "fake/2": 10, "fake/3": 10}
    assert made.stats.steps == 3
    assert ticks


def test_waveforms_are_kept_for_the_codec_by_the_seed_of_their_noise() -> None:
    def speak(number: int, call: Call, held: list[Request]) -> Any:
        generations = [Generation(request.key, CODES[:10], "eos") for request in held]
        waveforms = {request.key: np.full(SAMPLES, int(request.key), np.float32) for request in held[::2]}
        return Beat(generations, 1, 4, EngineStats(), 0, 0.0, waveforms=waveforms)

    ray, received = FakeRay(speak), ReceivedWaveforms()
    crew = Crew(ray, JOB, {}, 1, Patience(room=0.2))
    crew.load("sha256:a")
    asked = [replace(request(number), noise_seed=100 + number) for number in range(4)]
    assert keys(spoken(ClusterEngine(crew, received), asked)) == [0, 1, 2, 3]
    waves = [received.pop(100 + number, CODES[:10]) for number in range(4)]
    assert [None if wave is None else set(wave.tolist()) for wave in waves] == [{0.0}, None, {2.0}, None]


def test_nothing_of_an_answer_is_kept_in_rays_memory() -> None:
    sent = list[Beat]()

    def speak(number: int, call: Call, held: list[Request]) -> Any:
        generations = [Generation(request.key, CODES[:10].copy(), "eos") for request in held]
        waveforms = {request.key: np.zeros(SAMPLES, np.float32) for request in held}
        sent.append(Beat(generations, 1, 4, EngineStats(), 0, 0.0, waveforms=waveforms))
        return sent[-1]

    received = ReceivedWaveforms()
    crew = Crew(FakeRay(speak), JOB, {}, 1, Patience(room=0.2))
    crew.load("sha256:a")
    made = spoken(ClusterEngine(crew, received), [replace(request(0), noise_seed=100)])
    [answer] = sent
    kept = received.pop(100, CODES[:10])
    assert kept is not None
    assert not np.shares_memory(kept, answer.waveforms["0"])
    assert not np.shares_memory(made[0].codes, answer.generations[0].codes)
    assert all(worker.last is not None and not worker.last.waveforms for worker in crew.workers)
    assert all(worker.last is not None and not worker.last.generations for worker in crew.workers)


def test_retries_and_later_requests_are_generated_too() -> None:
    coming, again = [[request(40)], [request(41)]], [[], [replace(request(0), seed=7)]]
    made = spoken(
        engine(FakeRay()),
        REQUESTS,
        retries=lambda: again.pop() if again else [],
        later=lambda: coming.pop() if coming else [],
    )
    assert keys(made) == sorted([*range(30), 0, 40, 41])


def test_later_requests_are_asked_for_when_none_waits() -> None:
    """Each call may open another book."""
    generated: list[int] = []
    coming = [[request(number)] for number in range(40, 60)]
    asked: list[int] = []

    def later() -> list[Request]:
        asked.append(len(generated))
        return coming.pop() if coming else []

    made = engine(FakeRay(lambda number, call, held: held[:1]))
    for found in made.generate(REQUESTS, Sampling(), "framed", Hooks(later=later)):
        generated += [int(generation.key) for generation in found]
    assert sorted(generated) == [*range(30), *range(40, 60)]
    assert min(asked) >= 30 - 3 * 5  # three workers hold a batch of four and a quarter of that each
    assert max(asked[:20]) > 40  # not all at once


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (RayError("gone"), "its process or its machine is gone"),
        (NEVER, "it hangs: no frame in 0 s"),
        ("garbage", "it answered with a str"),
    ],
)
def test_a_worker_that_is_lost_is_replaced(fault: object, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    ray = FakeRay(lambda number, call, held: fault if number == 2 else held)
    made = engine(ray, patience=Patience(frame=0.05))
    assert keys(spoken(made, REQUESTS)) == list(range(30))
    assert ray.killed == [2]
    assert len(ray.actors) == 4
    assert caplog.messages == [
        f"worker fake/2 is left out: {reason}; 5 chunks wait for another worker; a new one is started"
    ]
    assert "fake/2" not in made.stats.workers


def test_a_worker_that_loads_no_engine_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    ray = FakeRay(loaded=lambda number: "loaded" if number == 2 else LOADED)
    made = engine(ray)
    assert keys(spoken(made, REQUESTS)) == list(range(30))
    assert ray.killed == [2]
    assert caplog.messages == ["worker fake/2 is left out: it answered with a str; a new one is started"]


def test_a_worker_that_answers_without_frames_hangs() -> None:
    ray = FakeRay(lambda number, call, held: [] if number == 2 else held)
    made = engine(ray, patience=Patience(frame=0.05))
    for actor in ray.actors:
        actor._frames = 0 if actor.number == 2 else 1
    stuck = ray.actors[1]
    exchange = stuck._exchange

    def without_frames(call: Call, requests: list[Request]) -> Any:
        stuck._frames = 0
        return exchange(call, requests)

    stuck._exchange = without_frames  # type: ignore[method-assign]
    assert keys(spoken(made, REQUESTS)) == list(range(30))
    assert ray.killed == [2]


def test_a_chunk_that_kills_workers_is_set_aside_and_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    def speak(number: int, call: Call, held: list[Request]) -> Any:
        return RayError("gone") if any(request.key == "7" for request in held) else held[:1]

    ray, again = FakeRay(speak), [[replace(request(7), seed=8)]]
    made = engine(ray)
    generations = spoken(made, REQUESTS, retries=lambda: again.pop() if again and len(ray.killed) == 2 else [])
    assert keys(generations) == sorted([*range(30), 7])
    lost = [generation for generation in generations if generation.key == "7"]
    assert all((len(made.codes), made.finish) == (0, "broken") for made in lost)
    assert [generation.finish for generation in spoken(made, [replace(request(7), seed=9)])] == ["broken"]
    assert len(ray.killed) == 2
    assert "a chunk is set aside, 2 workers or more were lost while they generated it: 'Yes.'" in caplog.messages


def test_without_workers_it_ends_with_the_reason_of_the_last_one() -> None:
    made = engine(FakeRay(lambda *_: RayError("gone")))
    found: list[Generation] = []
    with pytest.raises(MachineError, match=r"^no worker is left; the last one was lost: fake/\d+: its process or its"):
        found += spoken(made, REQUESTS)
    assert not found


def test_an_engine_that_fails_is_lost_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    ray = FakeRay()
    made = engine(ray, 2)
    exchange, failing = ray.actors[0]._exchange, ray.actors[0]

    def fail(call: Call, requests: list[Request]) -> Any:
        answer = exchange(call, requests)
        answer.value = replace(answer.value, failure="the GPU failed")
        return answer

    failing._exchange = fail  # type: ignore[method-assign]
    assert keys(spoken(made, REQUESTS)) == list(range(30))
    assert "worker fake/1 is left out: the GPU failed; a new one is started" in caplog.messages


def test_a_call_that_was_left_changes_nothing_of_the_next_one() -> None:
    slow: dict[int, Any] = {1: NEVER}
    ray = FakeRay(lambda number, call, held: slow.get(call.number, held))
    made = engine(ray)
    first: Iterator[list[Generation]] = made.generate(REQUESTS, Sampling(), "framed", Hooks(stop))
    with pytest.raises(InterruptedError):
        list(first)
    assert keys(spoken(made, REQUESTS[:4])) == [0, 1, 2, 3]
    assert not ray.killed


def stop() -> None:
    raise InterruptedError


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(LOADED, identity="sha256:b"), "its checkpoint is sha256:b, not sha256:a"),
        (replace(LOADED, dtype="float16"), "it loads the model as hf float16 none, not hf float32 none"),
    ],
)
def test_a_worker_with_another_model_is_refused(other: object, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    ray = FakeRay(loaded=lambda number: other if number == 2 else LOADED)
    assert keys(spoken(engine(ray), REQUESTS)) == list(range(30))
    assert caplog.messages == [f"worker fake/2 is left out: {reason}"]
    assert len(ray.actors) == 3
    ray = FakeRay(loaded=lambda number: replace(LOADED, identity="sha256:b"))
    with pytest.raises(MachineError, match="worker fake/1: its checkpoint is sha256:b, not sha256:a"):
        engine(ray, 1)


def test_workers_without_room_are_waited_for_only_if_there_is_no_other(caplog: pytest.LogCaptureFixture) -> None:
    ray = FakeRay()
    start = ray._start

    def pending(job: object) -> Any:
        actor = start(job)
        if actor.number == 2:
            actor._host = lambda: type("Answer", (), {"value": NEVER})()  # type: ignore[method-assign]
        return actor

    ray._start = pending  # type: ignore[method-assign]
    made = engine(ray, 2)
    assert caplog.messages == ["1 worker of 2 without room on the cluster; the run begins with the others"]
    assert keys(spoken(made, REQUESTS)) == list(range(30))
