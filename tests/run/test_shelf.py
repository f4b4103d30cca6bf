"""Several books in one run: what they share, and what happens to the others when one of them is in trouble."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState
from maya_batch.engine.api import CacheRounding, Engine
from maya_batch.errors import (
    EXIT_BUSY,
    EXIT_ENVIRONMENT,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
    GpuLostError,
    MachineError,
    StoppedError,
)
from maya_batch.interrupt import Interruption, Stop
from maya_batch.messages.logs import log_to_terminal
from maya_batch.run import reporting
from maya_batch.run.deadline import Deadline, deadline_of
from maya_batch.run.shelf import ShelfRun
from maya_batch.wording import bug
from tests.book.test_run_lock import another_run
from tests.support.fakes import Events, FakeEngine, FakeTranscriber, TinyBook, unexpected, write_model
from tests.support.shelves import Shelf, files

both = pytest.mark.parametrize("threaded", [True, False], ids=["in background", "inline"])

#: Three books of three chunks.
TEXTS = {
    "ash": {"One": ["The night was dark.", "The river was high."], "Two": ["The road was long."]},
    "birch": {"One": ["The wind was cold.", "The house was old."], "Two": ["The rain was gone."]},
    "cedar": {"One": ["The door was red.", "The fire was low."], "Two": ["The day was new."]},
}


@pytest.fixture
def shelf(tiny: TinyBook, fake_engine: FakeEngine) -> Shelf:
    """An empty one."""
    tiny.loaders.threaded = False
    return Shelf(tiny)


@pytest.fixture
def three(shelf: Shelf) -> Shelf:
    for name, text in TEXTS.items():
        shelf.add(name, text)
    return shelf


def loads(shelf: Shelf) -> list[str]:
    """From now on, the paths of all models that are loaded."""
    load, seen = shelf.tiny.loaders.engine, []

    def noting(name: str, path: Path, **more: Any) -> Engine:
        seen.append(path.name)
        return load(name, path, **more)

    shelf.tiny.loaders.engine = noting
    return seen


def states(run: ShelfRun) -> list[tuple[str, int | None]]:
    return [(book.state, book.exit_code) for book in run.result.books]


def report(book: Path) -> Any:
    return json.loads((book.with_suffix("") / "report.json").read_text(encoding="utf-8"))


@both
def test_the_next_book_fills_the_batch_and_all_files_are_those_of_books_alone(
    threaded: bool, three: Shelf, fake_engine: FakeEngine
) -> None:
    three.tiny.loaders.threaded = threaded
    seen = loads(three)
    result = three.run().run()
    assert [len(batch) for batch in fake_engine.batches] == [4, 4, 1]
    assert (seen, result.exit_code, result.chunks) == (["lm"], 0, 9)
    for book in three.books:
        assert files(book.with_suffix("")) == three.alone(book)
        assert (report(book)["exit_code"], report(book)["title"]) == (0, book.stem)


def test_no_more_books_are_open_than_fill_the_batch_and_they_end_one_after_the_other(
    shelf: Shelf, fake_engine: FakeEngine
) -> None:
    for number in range(12):
        shelf.add(f"book{number:02}", {"One": [f"The night was dark {number}.", "The river was high."]})
    run, most = shelf.run(), []

    def look(_: int) -> None:
        finished = [book.exit_code is not None for book in run.result.books]
        most.append(len(run._books.all))
        assert finished == sorted(finished, reverse=True)  # in the order given, as all are of one length

    fake_engine.before_batch = look
    run.run()
    assert max(most) <= 3
    assert run.result.exit_code == 0


def test_a_second_run_loads_nothing(three: Shelf) -> None:
    three.run().run()
    three.tiny.loaders.engine = three.tiny.loaders.codec = unexpected
    run = three.run()
    run.run()
    assert states(run) == [("whole", 0)] * 3
    assert run.result.chunks == 0


def test_a_bad_manifest_and_a_locked_book_are_left_out(
    three: Shelf, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    bad = three.tiny.folder / "bad.yaml"
    bad.write_text("title: Bad\nchapters: 7\n", encoding="utf-8")
    run = three.run([three.books[0], bad, three.books[1], three.books[2]])
    with another_run(three.books[1].with_suffix("") / ".maya"):
        run.run()
    assert [code for _, code in states(run)] == [0, EXIT_USAGE, EXIT_BUSY, 0]
    assert run.result.exit_code == EXIT_USAGE
    assert any(message.startswith(f"{bad}:2:") for message in caplog.messages)
    assert sum("is being rendered by" in message for message in caplog.messages) == 1
    assert not any("house" in text for text in fake_engine.texts)


def test_a_manifest_named_twice_is_rendered_once_and_two_books_of_one_folder_are_refused(
    three: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ash, birch, _ = three.books
    twin = three.add("twin", TEXTS["cedar"], output={"folder": "ash", "formats": ["wav"]})
    run = three.run([ash, birch, ash.parent / "." / "ash.yaml", twin])
    run.run()
    assert [code for _, code in states(run)] == [0, 0, EXIT_USAGE]
    assert sum("named twice" in message for message in caplog.messages) == 1
    [line] = [message for message in caplog.messages if "output folder" in message]
    assert line.startswith(f"{twin}: ")
    assert str(ash) in line


def test_a_copy_that_is_refused_in_a_folder_does_not_keep_out_the_book_that_has_it(
    three: Shelf, fake_engine: FakeEngine
) -> None:
    ash, *_ = three.books
    three.run([ash]).run()
    three.add("ash", {"One": ["The sky was grey."]})
    copy = three.add("copy", TEXTS["cedar"], output={"folder": "ash", "formats": ["wav"]})
    run = three.run([copy, ash])
    run.run()
    assert [code for _, code in states(run)] == [EXIT_USAGE, 0]
    assert fake_engine.texts[-1] == "The sky was grey."


def test_books_of_another_sampling_or_model_have_a_batch_of_their_own(shelf: Shelf, fake_engine: FakeEngine) -> None:
    write_model(shelf.tiny.folder / "lm2")
    own = {"model": "./lm", "codec": "./codec"}
    shelf.add("ash", TEXTS["ash"])
    shelf.add("birch", TEXTS["birch"], render=own | {"temperature": 0.7})
    shelf.add("cedar", TEXTS["cedar"], render=own | {"model": "./lm2"})
    shelf.add("dogwood", {"One": ["The moon was full."]})
    seen = loads(shelf)
    assert shelf.run().run().exit_code == 0
    assert [len(batch) for batch in fake_engine.batches] == [3, 3, 3, 1]
    assert seen == ["lm", "lm2", "lm"]  # the order given is kept


def test_chunks_of_the_same_key_belong_to_both_books(shelf: Shelf, fake_engine: FakeEngine) -> None:
    for name in ("ash", "birch"):
        shelf.add(name, TEXTS["ash"])
    assert shelf.run().run().exit_code == 0
    assert sorted(Counter(fake_engine.texts).values()) == [2, 2, 2]
    ash, birch = (files(book.with_suffix("")) for book in shelf.books)
    assert {name: content for name, content in ash.items() if name.endswith("npz")} == {
        name: content for name, content in birch.items() if name.endswith("npz")
    }
    assert len(ash) == len(birch) == 5


@both
def test_retries_run_beside_the_next_book_and_problems_decide_the_exit_code(
    threaded: bool, shelf: Shelf, fake_engine: FakeEngine
) -> None:
    shelf.tiny.loaders.threaded = threaded
    shelf.add("ash", {"One": ["Clumsy talk.", "Fine talk.", "The river was high."]})
    shelf.add("birch", {"One": ["Broken talk.", "The house was old."], "Two": ["The rain was gone."]})
    shelf.add("cedar", {"One": ["Clumsy words.", "The fire was low."]})
    run = shelf.run()
    run.run()
    assert states(run) == [("whole", 0), ("1 problem found", 3), ("whole", 0)]
    assert (run.result.exit_code, run.result.retries, run.result.chunks) == (3, 4, 8)
    for book in shelf.books:
        assert files(book.with_suffix("")) == shelf.alone(book)
    assert report(shelf.books[0])["retries"] == 1


def test_takes_that_were_not_examined_are_before_a_book_begins(
    three: Shelf, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was rendered without speech recognition, one that lacks a chapter, and a new one."""
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    ash, birch, cedar = three.books
    three.run([ash, birch]).run()
    three.books.clear()
    three.add("birch", TEXTS["birch"] | {"Three": ["The moon was full."]})
    transcriber = FakeTranscriber(three.tiny.loaders)
    transcriber.errors = {"The night was dark.": [0.5], "The wind was cold.": [0.5]}
    fake_engine.requests.clear()
    result = three.run([ash, birch, cedar], Machine()).run()
    assert result.exit_code == 0
    again = ["The night was dark.", "The wind was cold.", "The moon was full."]
    assert Counter(fake_engine.texts[6:]) == Counter([*again, *TEXTS["cedar"]["One"], *TEXTS["cedar"]["Two"]])
    assert len(transcriber.listened) == 6 + 6


@pytest.mark.slow  # it goes on with books that were begun, as below
@pytest.mark.parametrize("how", ["signal", "deadline"])
@both
def test_a_run_that_is_stopped_stores_all_takes_and_goes_on(
    threaded: bool, how: str, three: Shelf, fake_engine: FakeEngine
) -> None:
    three.tiny.loaders.threaded = threaded
    three.add("dogwood", {"One": ["The moon was full."]})
    stop = Stop()
    if how == "signal":
        fake_engine.before_batch = lambda count: stop.request() if count == 1 else None
    run = three.run(stop=stop, deadline=LastChecks(4) if how == "deadline" else None)
    with pytest.raises((Interruption, StoppedError)):
        run.run()
    stored = sum(len(list(book.with_suffix("").rglob("*.npz"))) for book in three.books)
    assert stored == len(fake_engine.requests) == 4
    assert states(run)[1:] == [*[("stopped; finished takes are saved", 4)] * 2, ("not begun", None)]
    assert run.result.exit_code == 4
    assert report(three.books[1])["exit_code"] == 4
    assert not (three.books[3].with_suffix("")).exists()
    fake_engine.before_batch = lambda _: None
    assert three.run().run().exit_code == 0
    assert len(fake_engine.requests) == 10  # none twice
    for book in three.books:
        assert files(book.with_suffix("")) == three.alone(book)


class LastChecks(Deadline):
    """Is over after so many checks: at each book that begins, and before each batch."""

    def __init__(self, checks: int) -> None:
        object.__setattr__(self, "left", [0] * checks)

    def check(self) -> None:
        left: list[int] = self.left  # type: ignore[attr-defined]
        if not left:
            raise StoppedError("stopped after --max-minutes")
        left.pop()


def test_the_log_of_a_book_that_another_run_renders_gets_nothing_of_the_other_books(
    three: Shelf, fake_engine: FakeEngine
) -> None:
    log_to_terminal(quiet=True, verbose=False)
    birch = three.books[1]
    three.run([birch]).run()
    hidden = birch.with_suffix("") / ".maya"
    with another_run(hidden):
        run = three.run(keep_log=True)
        run.run()
    assert [code for _, code in states(run)] == [0, EXIT_BUSY, 0]
    said = (hidden / "render.log").read_text(encoding="utf-8")
    assert "ash" not in said
    assert "cedar" not in said
    assert not [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)]


def test_a_deadline_that_has_passed_begins_nothing_but_books_without_work_are_whole(three: Shelf) -> None:
    ash = three.books[0]
    three.run([ash]).run()
    three.tiny.loaders.engine = unexpected
    run = three.run(deadline=deadline_of(None, 0))
    with pytest.raises(StoppedError):
        run.run()
    assert [code for _, code in states(run)] == [0, 4, None]


@both
def test_what_breaks_the_machine_ends_the_run_and_all_takes_are_stored(
    threaded: bool, three: Shelf, fake_engine: FakeEngine
) -> None:
    three.tiny.loaders.threaded = threaded
    transcriber = FakeTranscriber(three.tiny.loaders)
    transcriber.failure = MachineError("the recognizer died")
    three.add("x", {"One": ["Endless talk."]})
    run = three.run([three.books[3], three.books[0]], machine=Machine(verify="suspects", recognizer="small.en"))
    with pytest.raises(MachineError, match="the recognizer died"):
        run.run()
    assert [code for _, code in states(run)] == [EXIT_ENVIRONMENT] * 2
    stored = sum(len(list(book.with_suffix("").rglob("*.npz"))) for book in three.books)
    assert stored == len(fake_engine.requests)
    assert report(three.books[0])["exit_reason"] == "the recognizer died"


@both
def test_a_bug_that_one_book_meets_leaves_it_out_and_is_told_with_its_traceback(
    threaded: bool,
    three: Shelf,
    fake_engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    three.tiny.loaders.threaded = threaded
    write, poisoned = reporting.write_book_report, three.books[1].stem

    def failing(state: BookState, *more: Any, **options: Any) -> Any:
        if state.plan.book.title == poisoned:
            raise OverflowError("integer division result too large for a float")
        return write(state, *more, **options)

    monkeypatch.setattr("maya_batch.run.render.write_book_report", failing)
    run = three.run()
    run.run()
    assert states(run) == [("whole", 0), ("failed", EXIT_UNEXPECTED), ("whole", 0)]
    assert run.result.exit_code == EXIT_UNEXPECTED
    first, *_, last = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert first.startswith("Traceback ")
    assert last == f"{poisoned}: {bug('integer division result too large for a float')}"


def test_a_lost_gpu_ends_the_run(three: Shelf, fake_engine: FakeEngine) -> None:
    def lose(count: int) -> None:
        if count == 1:
            raise RuntimeError("CUDA error: device-side assert triggered")

    fake_engine.before_batch = lose
    run = three.run()
    with pytest.raises(RuntimeError, match="CUDA error"):  # the guard around the command makes it a GpuLostError
        run.run()
    assert len(fake_engine.requests) == 4
    assert report(three.books[1])["exit_reason"].startswith("the GPU failed")
    assert GpuLostError.exit_code == report(three.books[1])["exit_code"]


def test_a_model_that_does_not_load_leaves_its_books_out_and_is_tried_once(
    three: Shelf, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(three.tiny.folder / "lm2")
    dogwood = three.add("dogwood", TEXTS["ash"], render={"model": "./lm2", "codec": "./codec"})
    load, tried = three.tiny.loaders.engine, []

    def broken(name: str, path: Path, **more: Any) -> Engine:
        tried.append(path.name)
        if path.name == "lm":
            raise MachineError("the model does not load; fetch it again")
        return load(name, path, **more)

    three.tiny.loaders.engine = broken
    run = three.run()
    run.run()
    assert [code for _, code in states(run)] == [5, 5, 5, 0]
    assert tried == ["lm", "lm2"]
    assert report(dogwood)["exit_code"] == 0
    assert report(three.books[1])["exit_code"] == 5


def test_a_codec_that_does_not_load_takes_no_other_book_into_its_batch(three: Shelf, fake_engine: FakeEngine) -> None:
    write_model(three.tiny.folder / "lm2")
    first = three.add("dogwood", TEXTS["ash"], render={"model": "./lm2", "codec": "./codec"})
    load, seen = three.tiny.loaders.codec, loads(three)

    def first_fails(*given: Any) -> Any:
        if len(seen) == 1:
            raise MachineError("the codec does not load")
        return load(*given)

    three.tiny.loaders.codec = first_fails
    run = three.run([first, *three.books[:3]])
    run.run()
    assert [code for _, code in states(run)] == [5, 0, 0, 0]
    assert seen == ["lm2", "lm"]


def test_a_book_with_another_model_config_is_left_out(three: Shelf, fake_engine: FakeEngine) -> None:
    three.run(three.books[:1]).run()
    run = three.run(machine=Machine(verify="off", dtype="bfloat16"))
    run.run()
    assert [code for _, code in states(run)] == [EXIT_USAGE, 0, 0]


def test_a_book_that_cannot_be_published_does_not_stop_the_others(three: Shelf) -> None:
    """Its M4B, or as here its report, is in the way of something else, which is found out at the end only."""
    broken = three.books[1]

    class Listener(Events):
        def published(self, path: Path, seconds: float) -> None:
            super().published(path, seconds)
            page = broken.with_suffix("") / "report.html"
            if path.parent.name == broken.stem and not page.exists():
                page.mkdir()

    run = three.run(progress=Listener())
    run.run()
    assert [code for _, code in states(run)] == [0, EXIT_ENVIRONMENT, 0]


def test_the_kv_cache_is_tried_once_and_holds_for_all_new_books(three: Shelf, fake_engine: FakeEngine) -> None:
    fake_engine.offers_int8_cache = True
    tried: list[int] = []

    def rounding(requests: Sequence[Any], generations: Sequence[Any]) -> CacheRounding:
        tried.append(len(generations))
        return CacheRounding(len(generations), 100, 0.0001, 0.999)

    fake_engine.cache_rounding = rounding  # type: ignore[method-assign]
    assert three.run().run().exit_code == 0
    assert tried == [3]
    assert len(fake_engine.requests) == 9  # the trial's takes are kept
    for book in three.books:
        state = three.state(book)
        trial = state.lock.trial(state.plan.sound.model)
        assert state.model_config is not None
        assert trial is not None
        assert (state.model_config.kv_cache, trial["takes"], report(book)["exit_code"]) == ("int8", 3, 0)


@pytest.mark.slow  # PyTorch tells which number format this machine chooses
def test_a_begun_book_and_a_new_one_share_no_batch(three: Shelf, fake_engine: FakeEngine) -> None:
    """The new one finds out its model config; what another book is pinned to is no evidence."""
    fake_engine.batch_size = 2
    with pytest.raises(StoppedError):
        three.run(three.books[:1], deadline=LastChecks(2)).run()
    fake_engine.batches.clear()
    fake_engine.batch_size = 4
    assert three.run().run().exit_code == 0
    assert [len(batch) for batch in fake_engine.batches] == [1, 4, 2]


def test_the_listener_hears_of_each_book_and_of_its_number(three: Shelf) -> None:
    heard: list[tuple[str, int, int, int, int]] = []

    class Listener(Events):
        def book_begun(self, title: str, number: int, books: int, chunks: int, waiting: int, unexamined: int) -> None:
            heard.append((title, number, books, chunks, waiting))

    listener = Listener()
    three.run(progress=listener).run()
    assert heard == [("ash", 1, 3, 3, 3), ("birch", 2, 3, 3, 3), ("cedar", 3, 3, 3, 3)]
    assert sum(listener.named("rendered")) == 9
    assert len(listener.named("published")) == 6
