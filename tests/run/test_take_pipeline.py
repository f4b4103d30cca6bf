"""The three owners together: who touches what, and what happens when one of them is slow, fails or is stopped."""

import os
import re
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.book.take_store import Take, TakeStore
from maya_batch.checkpoint.token_layout import Codes
from maya_batch.errors import MachineError
from maya_batch.run.chapter_queue import ChapterQueue
from maya_batch.run.pipeline import MOST_WAITING, Inbox, Pipeline
from maya_batch.run.pipeline_messages import Decoded
from maya_batch.run.postprocess import TakeProcessor
from maya_batch.run.render import render_book
from maya_batch.run.result import RunResult
from maya_batch.run.take_inspector import InspectStage
from maya_batch.run.write_access import TakeOver
from maya_batch.wording import cannot_read_back
from tests.e2e.test_render_book import audio, take_files
from tests.support.fakes import Events, FakeCodec, FakeEngine, FakeTranscriber, TinyBook

pytestmark = pytest.mark.slow


def long_book(tiny: TinyBook, chunks: int, chapters: int = 8, bad: str = "Clumsy") -> None:
    """A book of short chunks; one of ten begins with the word `bad`."""
    lines = [f"{bad if number % 10 == 3 else 'Fine'} talk number {number}." for number in range(chunks)]
    size = chunks // chapters
    tiny.write({f"Part {at}": lines[at * size : (at + 1) * size] for at in range(chapters)})


def render(tiny: TinyBook, machine: Machine | None = None, progress: Events | None = None) -> RunResult:
    return render_book(
        tiny.plan(), machine or Machine(verify="off"), progress or Events(), report=False, loaders=tiny.loaders
    )


@pytest.fixture(autouse=True)
def threaded(tiny: TinyBook) -> None:
    tiny.loaders.threaded = True


class SlowCodec(FakeCodec):
    """Takes so many seconds for a clip."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        time.sleep(self.seconds)
        return super().decode(codes, seed)


def recorded(owner: type, seen: dict[str, set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all public methods of a class note the threads that call them while a pipeline is open."""
    for name, method in vars(owner).items():
        if callable(method) and not name.startswith("_"):

            def noting(*args: Any, _method: Callable[..., Any] = method, _name: str = name, **more: Any) -> Any:
                if any(thread.name.startswith("postprocess") for thread in threading.enumerate()):
                    seen[f"{owner.__name__}.{_name}"].add(threading.current_thread().name)
                return _method(*args, **more)

            monkeypatch.setattr(owner, name, noting)


def test_while_the_pipeline_is_open_state_store_and_result_belong_to_postprocess(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    FakeTranscriber(tiny.loaders)
    long_book(tiny, 80)
    render(tiny, Machine(verify="off"))  # so that takes of an earlier run are examined, too
    tiny.write({f"Part {at}": [f"More talk {at} {n}, of which some is Clumsy." for n in range(10)] for at in range(4)})
    seen: dict[str, set[str]] = defaultdict(set)
    for owner in (BookState, TakeStore, WaveformCache, InspectStage):
        recorded(owner, seen, monkeypatch)
    real = RunResult.__setattr__

    def noting(result: RunResult, name: str, value: object) -> None:
        if any(thread.name.startswith("postprocess") for thread in threading.enumerate()):
            seen[f"RunResult.{name}"].add(threading.current_thread().name)
        real(result, name, value)

    monkeypatch.setattr(RunResult, "__setattr__", noting)
    result = render(tiny, Machine())
    assert (result.exit_code, result.retries) == (0, 40)
    inspecting = seen.pop("InspectStage.handle")
    assert inspecting == {"inspect_0"}
    assert len(seen) > 12
    # What writes a chapter takes its waveforms, and what inspects a take waits for its own; they have a lock.
    waveforms = {name: seen.pop(name) for name in list(seen) if name.startswith("WaveformCache.")}
    assert {thread.split("_")[0] for thread in waveforms["WaveformCache.pop"]} == {"ffmpeg"}
    assert waveforms["WaveformCache.start"] == {"postprocess_0"}
    users = {thread.split("_")[0] for threads in waveforms.values() for thread in threads}
    assert users == {"postprocess", "inspect", "ffmpeg"}
    assert {name: threads for name, threads in seen.items() if threads != {"postprocess_0"}} == {}


def test_the_listener_is_called_on_the_thread_of_the_caller_alone(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    threads: set[str] = set()

    class Listener(Events):
        def __getattribute__(self, name: str) -> Any:
            threads.add(threading.current_thread().name)
            return super().__getattribute__(name)

    long_book(tiny, 80)
    listener = Listener()
    render(tiny, progress=listener)
    assert sum(listener.named("rendered")) == 80
    assert len(listener.named("published")) == 8
    assert threads == {"MainThread"}


@pytest.mark.parametrize(("batch", "clip"), [(0.0, 0.005), (0.02, 0.0)], ids=["slow codec", "slow engine"])
def test_an_engine_and_a_codec_of_very_different_speed_render_the_same_book(
    batch: float, clip: float, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_book(tiny, 400)
    fake_engine.before_batch = lambda _: time.sleep(batch)
    tiny.loaders.codec = lambda *_: SlowCodec(clip)
    most: list[int] = []
    send = Inbox.send

    def counted(inbox: Inbox[Any], message: object) -> None:
        send(inbox, message)
        most.append(inbox._owner.waiting)

    monkeypatch.setattr(Inbox, "send", counted)
    result = render(tiny)
    assert (result.chunks, result.retries, result.exit_code, len(result.files)) == (400, 40, 0, 8)
    # Of 110 batches of four. The engine waits while 64 are waiting; four takes of each come back, and are not held up.
    assert max(most) <= MOST_WAITING * 5 + 5
    assert max(most) > MOST_WAITING or clip == 0


def test_takes_that_are_heard_together_make_the_same_book(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    long_book(tiny, 80, bad="Good")
    send, arrived = Inbox.send, threading.Condition()
    decoded: list[Decoded] = []

    def noting(inbox: Inbox[Any], message: object) -> None:
        send(inbox, message)
        if isinstance(message, Decoded):
            with arrived:
                decoded.append(message)
                arrived.notify_all()

    monkeypatch.setattr(Inbox, "send", noting)
    texts = [chunk.text for chunk in tiny.plan().chunks()]
    made = []
    for batch, workers in ((1, 1), (8, 1), (4, 3)):
        transcriber, sizes, threads = FakeTranscriber(tiny.loaders), list[int](), set[str]()
        transcriber.batch, transcriber.workers = batch, workers
        transcriber.errors = {text: [0.5] for text in texts[::9]}
        real = transcriber.transcribe
        decoded.clear()

        def waiting_first(
            takes: Any, rate: int, real: Any = real, sizes: list[int] = sizes, threads: set[str] = threads
        ) -> Any:
            sizes.append(len(takes))
            threads.add(threading.current_thread().name)
            with arrived:  # three first calls hear twelve at most, so each thread is needed and finds a full batch
                assert arrived.wait_for(lambda: len(decoded) >= 40, timeout=60)
            return real(takes, rate)

        monkeypatch.setattr(transcriber, "transcribe", waiting_first)
        result = render(tiny, Machine())
        state = book_state(tiny.plan(), Machine())
        takes = [
            (chunk.ref, take.attempt, take.transcript, take.problems)
            for chunk in state.plan.chunks()
            for take in state.takes(chunk)
        ]
        made.append((result.exit_code, result.retries, sorted(transcriber.listened), takes, audio(tiny)))
        assert (max(sizes), len(threads)) == (batch, workers)
        assert sum(sizes) == 80 + result.retries
        shutil.rmtree(tiny.output)
    assert made[0] == made[1] == made[2]
    assert made[0][:2] == (0, 9)


def test_an_inspector_that_dies_ends_the_run_and_loses_no_take(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    long_book(tiny, 80)
    transcriber = FakeTranscriber(tiny.loaders)
    transcriber.failure = ValueError("the recognizer died")
    fake_engine.before_batch = lambda _: time.sleep(0.01)
    with pytest.raises(ValueError, match="the recognizer died"):
        render(tiny, Machine(verify="suspects"))
    generated = len(fake_engine.requests)
    assert 0 < generated < 80
    assert len(take_files(tiny)) == generated
    transcriber.failure = None
    assert render(tiny, Machine(verify="suspects")).exit_code == 0
    assert len(fake_engine.requests) == 88  # none twice, and the retries


@pytest.mark.parametrize("background", [True, False], ids=["in_background", "inline"])
def test_a_take_that_cannot_be_read_back_ends_the_run_instead_of_being_retried_for_ever(
    background: bool, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.loaders.threaded = background
    long_book(tiny, 8)
    put = TakeStore.put

    def damaging(store: TakeStore, takes: Sequence[Take]) -> None:
        put(store, takes)
        for path in tiny.output.rglob("*.npz"):
            path.write_bytes(path.read_bytes()[:-9])

    monkeypatch.setattr(TakeStore, "put", damaging)
    with pytest.raises(MachineError, match=re.escape(cannot_read_back("1:1", tiny.output))):
        render(tiny)
    assert len(fake_engine.requests) <= 12


def test_a_full_gpu_while_audio_is_decoded_is_not_taken_for_one_of_the_engine(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    class FullCodec(FakeCodec):
        def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    long_book(tiny, 8)
    tiny.loaders.codec = lambda *_: FullCodec()
    with pytest.raises(MachineError, match="the memory is full while audio is decoded") as caught:
        render(tiny)
    assert "OutOfMemory" not in {kind.__name__ for kind in type(caught.value).__mro__}
    assert len(take_files(tiny)) == len(fake_engine.requests)


@pytest.mark.parametrize("background", [True, False], ids=["in_background", "inline"])
@pytest.mark.parametrize("added", [[], ["Added talk."]], ids=["nothing waits", "a chunk waits"])
def test_takes_of_old_weights_are_left_alone_when_the_book_is_switched_to_new_ones(
    background: bool, added: list[str], tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examining them shows what needs the model; it is loaded only then, and changes the keys."""
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    tiny.loaders.threaded = background
    tiny.write({"One": ["First talk."], "Two": ["Fine talk."]})
    render(tiny)
    old = take_files(tiny)
    (tiny.folder / "lm" / "model.safetensors").write_bytes(b"other weights")
    tiny.write({"One": ["First talk."], "Two": ["Fine talk.", *added]})
    FakeTranscriber(tiny.loaders).errors = {"First talk.": [0.5]}
    switch = TakeOver(switch_config=True)
    events = Events()
    result = render_book(tiny.plan(), Machine(), events, report=False, loaders=tiny.loaders, take_over=switch)
    assert sum(events.named("rendered")) == 2 + len(added)
    assert (result.exit_code, result.incomplete) == (0, [])
    stored = take_files(tiny)
    assert old.keys() < stored.keys()
    # Where a chunk waits, the model is loaded first, and what is examined and retried is a take of the new weights.
    assert sorted(name[64:] for name in stored.keys() - old.keys()) == ["1.npz"] * (3 if added else 2) + [
        "2.npz"
    ] * len(added)


@pytest.mark.parametrize("background", [True, False], ids=["in_background", "inline"])
def test_what_follows_from_evidence_comes_after_it_is_on_the_disk(
    background: bool, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry, and a chapter's files; so a run that is killed goes on as if it was not."""
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    FakeTranscriber(tiny.loaders)
    tiny.loaders.threaded = background
    long_book(tiny, 40, chapters=2)
    begun: list[str] = []

    def all_examined(chunks: Sequence[Chunk]) -> bool:
        on_the_disk = book_state(tiny.plan(), Machine())
        return all(take.examined for chunk in chunks for take in on_the_disk.takes(chunk))

    retry, write = TakeProcessor._retry, ChapterQueue._begin_one

    def retried(self: TakeProcessor, chunk: Chunk) -> None:
        # The engine gets it inside, and no other thread is told of it yet where there are threads.
        with monkeypatch.context() as patch:
            patch.setattr(self, "_engine", lambda _: begun.append(f"{chunk.ref} {all_examined([chunk])}"))
            retry(self, chunk)
        retry(self, chunk)

    def written(self: ChapterQueue, chapter: Chapter) -> None:
        begun.append(f"{chapter.title} {all_examined(chapter.chunks)}")
        write(self, chapter)

    monkeypatch.setattr(TakeProcessor, "_retry", retried)
    monkeypatch.setattr(ChapterQueue, "_begin_one", written)
    result = render(tiny, Machine())
    assert (result.exit_code, result.retries) == (0, 4)
    assert len(begun) >= 6
    assert all(told.endswith(" True") for told in begun)
    assert all_examined(list(tiny.plan().chunks()))


@pytest.mark.parametrize("background", [True, False], ids=["in_background", "inline"])
def test_two_unexamined_takes_of_a_chunk_publish_its_chapter_once(
    background: bool, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a redo leaves them that was interrupted; both need a retry, of which there is one."""
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    tiny.loaders.threaded = background
    tiny.write({"One": ["First talk."], "Two": ["Fine talk."]})
    render(tiny)
    state = book_state(tiny.plan(), Machine())
    first = state.takes(next(iter(state.plan.chunks())))[0]
    state.store.put([replace(first, attempt=2, examined=False)])
    FakeTranscriber(tiny.loaders).errors = {"First talk.": [0.5, 0.5]}
    fake_engine.requests.clear()
    tiny.write({"One": ["First talk."], "Two": ["Fine talk.", "Added talk."]})
    events = Events()
    result = render(tiny, Machine(), events)
    assert result.exit_code == 0
    assert sorted(request.text for request in fake_engine.requests) == ["Added talk.", "First talk."]
    assert events.named("published").count("01-one.wav") == 1


def stopping_at(count: int, inbox: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have a run stopped when the owner of this inbox is about to handle its message number `count`."""
    owner: Any = {"postprocess": TakeProcessor, "inspect": InspectStage}[inbox]
    real, handled = owner.handle, list[int]()
    stopped = threading.Event()

    def handle(self: Any, message: Any) -> None:
        handled.append(1)
        if len(handled) == count:
            stopped.set()
            time.sleep(0.02)  # the engine's thread sees it meanwhile
        real(self, message)

    def check(pipeline: Pipeline) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt

    monkeypatch.setattr(owner, "handle", handle)
    monkeypatch.setattr(Pipeline, "check", check)
    return handled


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("inbox", ["postprocess", "inspect"])
def test_a_run_that_is_stopped_at_any_message_goes_on_to_the_same_files(
    inbox: str, every: int, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    long_book(tiny, 12, 2)
    fake_engine.batch_size = 2
    render(tiny)
    whole = audio(tiny)
    fake_engine.before_batch = lambda _: time.sleep(0.002)
    for count in range(1, 100, every):
        fake_engine.requests.clear()
        shutil.rmtree(tiny.output)
        with pytest.MonkeyPatch.context() as patch:
            handled = stopping_at(count, inbox, patch)
            with suppress(KeyboardInterrupt):
                render(tiny)
            if len(handled) < count:
                break  # it was never stopped
        stored = len(take_files(tiny))
        assert stored == len(fake_engine.requests)
        render(tiny)
        assert audio(tiny) == whole
        assert len(fake_engine.requests) == 13  # one retry, and nothing twice
    assert count > 12


def resident_mib() -> float:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.soak
@pytest.mark.parametrize(("batch", "clip"), [(0.0, 0.001), (0.02, 0.0)], ids=["slow codec", "slow engine"])
def test_20_000_takes_in_flat_memory(
    batch: float, clip: float, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is some 50 times as fast as the other; what the plan itself takes is not counted."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the disk's time is not what is tested
    fake_engine.batch_size = 8
    tiny.loaders.codec = lambda *_: SlowCodec(clip)
    long_book(tiny, 20_000, 400, bad="Fine")
    memory: list[float] = []

    def before_batch(_: int) -> None:
        time.sleep(batch)
        memory.append(resident_mib())
        for record in (fake_engine.requests, fake_engine.batches, fake_engine.decodings):
            record.clear()

    fake_engine.before_batch = before_batch
    result = render(tiny)
    assert (result.chunks, result.exit_code, len(result.files)) == (20_000, 0, 400)
    quarter = memory[len(memory) // 4]
    print(f"\nafter a quarter {quarter:.0f} MiB, most {max(memory):.0f} MiB, at the end {memory[-1]:.0f} MiB")
    assert max(memory) < quarter + 60
