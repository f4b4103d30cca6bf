"""Chapters that are written several at a time: files, records and messages are those of one after the other."""

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maya_batch.audio.chapter_file import part_files
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.errors import MachineError
from maya_batch.interrupt import Interruption, Stop
from maya_batch.run.chapter_queue import WRITERS, ChapterQueue
from maya_batch.run.chapters import ChapterWork, Finished
from maya_batch.run.pipeline_messages import ChapterEnded, EngineMessage, Published
from maya_batch.run.render import render_book
from maya_batch.run.result import RunResult
from tests.e2e.test_render_book import audio
from tests.support.fakes import Events, FakeCodec, FakeEngine, TinyBook

CHAPTERS = WRITERS + 2
#: A peak too high for its loudness, of which a warning tells; MP3 files are measured and encoded again.
MASTER = {"lufs": -9, "true_peak": -3, "room_tone": True}

Check = Callable[[], None]
Write = Callable[[ChapterWork, Check, Callable[[Check], Finished]], Finished]


def book(tiny: TinyBook, **more: object) -> None:
    tiny.write({f"Part {at}": [f"Fine talk {at}.", f"Further talk {at}."] for at in range(1, CHAPTERS + 1)}, **more)


def render(tiny: TinyBook, threaded: bool, stop: Stop | None = None) -> tuple[RunResult, Events]:
    tiny.loaders.threaded = threaded
    events = Events()
    result = render_book(*(tiny.plan(), Machine(verify="off"), events), report=False, loaders=tiny.loaders, stop=stop)
    return result, events


@pytest.fixture(autouse=True)
def one_batch(fake_engine: FakeEngine) -> None:
    """All chapters become complete together."""
    fake_engine.batch_size = 2 * CHAPTERS


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Write], None]:
    """Have another function write chapters: it gets the work, its `check`, and what really writes, with a `check`."""
    real = ChapterWork.write

    def use(write: Write) -> None:
        def instead(work: ChapterWork, waveforms: WaveformCache, check: Check, *_: object) -> Finished:
            return write(work, check, lambda check: real(work, waveforms, check))

        monkeypatch.setattr(ChapterWork, "write", instead)

    return use


def records(tiny: TinyBook) -> dict[str, bytes]:
    return {name: (tiny.output / ".maya" / name).read_bytes() for name in ("chapters.json", "sound.json")}


def measured(tiny: TinyBook) -> set[str]:
    """The fingerprints of the chapters whose length is stored."""
    return set(json.loads(records(tiny)["chapters.json"]))


@pytest.mark.parametrize("master", ["none", MASTER], ids=["plain", "mastered"])
def test_chapters_that_end_in_another_order_are_the_same_and_told_in_the_same_order(
    master: object,
    tiny: TinyBook,
    writing: Callable[[Write], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    book(tiny, master=master)
    result, events = render(tiny, threaded=False)
    told = [path.name for path in result.files], events.named("published"), caplog.messages
    whole = audio(tiny), records(tiny)
    assert len(whole[0]) == CHAPTERS
    caplog.clear()
    tiny.output.rename(tiny.output.with_name("first"))
    together, ended = threading.Barrier(WRITERS), list[int]()

    def write(work: ChapterWork, check: Check, really: Callable[[Check], Finished]) -> Finished:
        number = work.chapter.number
        if number <= WRITERS:
            together.wait(30)  # so many at a time
            time.sleep(0.1 * (WRITERS - number))
        made = really(check)
        ended.append(number)
        return made

    writing(write)
    result, events = render(tiny, threaded=True)
    assert ended != sorted(ended)
    assert ([path.name for path in result.files], events.named("published"), caplog.messages) == told
    assert (audio(tiny), records(tiny)) == whole


@pytest.mark.parametrize("failing", [{3}, set(range(2, CHAPTERS + 1))], ids=["one", "all but the first"])
def test_an_error_of_a_chapter_is_one_line_and_the_next_run_completes(
    failing: set[int],
    tiny: TinyBook,
    writing: Callable[[Write], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    book(tiny)
    render(tiny, threaded=False)
    whole = audio(tiny)
    tiny.output.rename(tiny.output.with_name("first"))
    caplog.clear()

    def write(work: ChapterWork, check: Check, really: Callable[[Check], Finished]) -> Finished:
        number = work.chapter.number
        if number in failing:
            raise MachineError(f"{work.measured.name}: the disk is full")
        time.sleep(0.2)  # the others have failed
        return really(check)

    with monkeypatch.context():
        writing(write)
        with pytest.raises(MachineError, match=rf"^0{min(failing)}-part-{min(failing)}.wav: the disk is full$"):
            render(tiny, threaded=True)
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []
        assert audio(tiny).items() <= whole.items()
        assert "01-part-1.wav" in audio(tiny)
        assert part_files(tiny.output) == []
        monkeypatch.undo()
    assert render(tiny, threaded=True)[0].exit_code == 0
    assert audio(tiny) == whole


def test_a_stop_while_chapters_are_written_leaves_no_half_file_and_records_those_that_are_whole(
    tiny: TinyBook, writing: Callable[[Write], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    book(tiny)
    render(tiny, threaded=False)
    whole, lengths = audio(tiny), measured(tiny)
    tiny.output.rename(tiny.output.with_name("first"))
    stop, last_ended, half = Stop(), threading.Event(), list[int]()

    def write(work: ChapterWork, check: Check, really: Callable[[Check], Finished]) -> Finished:
        if work.chapter.number == WRITERS:
            made = really(check)
            last_ended.set()
            return made
        checks = 0

        def stopping() -> None:
            nonlocal checks
            checks += 1
            if checks == 2:  # one of two clips is written
                assert last_ended.wait(30)
                half.append(len(part_files(tiny.output)))
                stop.request()
                while True:
                    check()
                    time.sleep(0.01)

        return really(stopping)

    writing(write)
    with pytest.raises(Interruption):
        render(tiny, threaded=True, stop=stop)
    assert half[0] == WRITERS - 1
    assert list(audio(tiny)) == [f"0{WRITERS}-part-{WRITERS}.wav"]
    assert part_files(tiny.output) == []
    assert measured(tiny) < lengths
    monkeypatch.undo()
    assert render(tiny, threaded=True)[0].exit_code == 0
    assert audio(tiny) == whole


# --- the queue alone ---------------------------------------------------------------------------------------------


class Queued:
    """A queue over a book that has its takes and no files; what it sends is kept."""

    def __init__(self, tiny: TinyBook) -> None:
        book(tiny)
        render(tiny, threaded=False)
        for path in tiny.output.glob("*.wav"):
            path.unlink()
        self.state: BookState = book_state(tiny.plan(), Machine())
        self.waveforms, self.result = WaveformCache(FakeCodec), RunResult()
        self.works: list[ChapterWork] = []
        self.messages: list[EngineMessage] = []
        self.open: set[int] = set()
        self.queue = ChapterQueue(
            *(self.state, self.waveforms, self.result, lambda chapter: chapter.number not in self.open),
            *(self.works.append, self.messages.append),
        )

    @property
    def begun(self) -> list[int]:
        return [work.chapter.number for work in self.works]

    @property
    def published(self) -> list[Path]:
        return [message.path for message in self.messages if isinstance(message, Published)]

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.put(self.state.plan.chapters[number - 1])

    def end(self, at: int) -> None:
        work = self.works[at]
        self.queue.ended(ChapterEnded(work, work.write(self.waveforms, lambda: None), 1.0))


@pytest.fixture
def queued(tiny: TinyBook) -> Queued:
    return Queued(tiny)


def test_as_many_chapters_as_there_are_threads_are_begun_and_told_in_order(queued: Queued) -> None:
    queued.put(*range(1, CHAPTERS + 1))
    assert queued.begun == [1, 2, 3, 4]
    queued.end(2)
    assert (queued.begun, queued.published) == ([1, 2, 3, 4, 5], [])
    queued.end(0)
    assert queued.begun == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in queued.published] == ["01-part-1.wav"]
    queued.end(1)
    assert [path.name for path in queued.published] == ["01-part-1.wav", "02-part-2.wav", "03-part-3.wav"]
    assert queued.result.files == queued.published
    assert queued.result.stages["codec and audio"] == 3


def test_a_chapter_is_never_written_twice_at_a_time(queued: Queued) -> None:
    queued.put(1)
    queued.put(1)
    assert queued.begun == [1]
    first = queued.state.plan.chapters[0].chunks[0]
    take = queued.state.takes(first)[0]
    queued.state.store.put([take.__class__(**{**vars(take), "attempt": 2})])
    queued.state.store.choose(take.key, 2)
    queued.state.stored([take.key])
    queued.put(1)
    assert queued.begun == [1]
    queued.end(0)
    assert queued.begun == [1, 1]  # of other takes
    queued.end(1)
    assert queued.begun == [1, 1]
    assert queued.state.current(queued.state.plan.chapters[0])


def test_a_waiting_chapter_that_is_open_again_is_left_until_it_is_settled(queued: Queued) -> None:
    queued.put(*range(1, WRITERS + 2))
    queued.open.add(WRITERS + 1)
    queued.end(0)
    assert queued.begun == [1, 2, 3, 4]
    queued.open.clear()
    queued.put(WRITERS + 1)
    assert queued.begun == [1, 2, 3, 4, 5]


def test_waveforms_of_chapters_that_are_not_written_are_dropped(queued: Queued) -> None:
    chapter = queued.state.plan.chapters[0]
    queued.put(1)
    queued.end(0)
    take = queued.state.take(chapter.chunks[0])
    assert take is not None
    kept = queued.waveforms.prepare(take)
    queued.put(1)
    assert queued.begun == [1]
    assert queued.waveforms.prepare(take) is not kept


def test_the_first_error_in_order_is_raised_and_whole_chapters_after_it_are_recorded(queued: Queued) -> None:
    queued.put(1, 2, 3)
    queued.end(2)
    queued.queue.ended(ChapterEnded(queued.works[1], MachineError("two"), 0.0))
    with pytest.raises(MachineError, match=re.escape("one")):
        queued.queue.ended(ChapterEnded(queued.works[0], MachineError("one"), 0.0))
    assert [path.name for path in queued.published] == ["03-part-3.wav"]
