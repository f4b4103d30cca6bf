"""What happens to takes with problems: they are made again, chosen among, kept, left out, and accounted for."""

import html
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.leftovers import left_over
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.take_store import Take, TakeStore
from maya_batch.errors import MachineError
from maya_batch.run.generate import sequence_seed
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.result import RunResult
from maya_batch.run.summary import summarize
from tests.conftest import Said
from tests.e2e.test_render_book import audio, kinds, report_of, take_files
from tests.support.fakes import Events, FakeCodec, FakeEngine, FakeTranscriber, TinyBook, unexpected

RENDER = {"model": "./lm", "codec": "./codec"}


def render(tiny: TinyBook, machine: Machine | None = None, **more: Any) -> RunResult:
    return render_book(tiny.plan(), machine or Machine(verify="off"), Events(), **more, loaders=tiny.loaders)


def raising(error: Exception) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


def takes_of(tiny: TinyBook, ref: str) -> list[Take]:
    state = book_state(tiny.plan(), Machine())
    return next(state.store.all(state.key(chunk)) for chunk in state.plan.chunks() if chunk.ref == ref)


@pytest.fixture(params=[True, False], ids=["in_background", "inline"])
def in_background(request: pytest.FixtureRequest, tiny: TinyBook) -> bool:
    tiny.loaders.threaded = request.param
    return bool(request.param)


def test_a_take_with_problems_is_made_again_with_the_next_seed_by_the_same_engine(
    in_background: bool, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write({"One": ["Fine talk.", "Clumsy talk.", "More talk."], "Two": ["The end."]})
    result = render(tiny)
    assert fake_engine.texts == ["Fine talk.", "Clumsy talk.", "More talk.", "The end.", "Clumsy talk."]
    first, second = takes_of(tiny, "1:2")
    assert (first.attempt, [problem.kind for problem in first.problems]) == (1, ["broken"])
    assert (second.attempt, second.problems, second.seed) == (2, (), sequence_seed(second.key, 2))
    assert (result.retries, result.chunks, result.problems, result.exit_code) == (1, 4, [], 0)
    assert sorted(audio(tiny)) == ["01-one.wav", "02-two.wav"]
    chunk = report_of(tiny)["chunks"][1]
    assert (chunk["ref"], chunk["attempt"], chunk["attempts"], chunk["problems"]) == ("1:2", 2, 2, [])


def test_a_second_attempt_joins_the_batch_and_waits_for_no_round(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write({"One": ["Clumsy talk."], "Two": [f"Number {at}." for at in range(8)]})
    events = Events()
    render_book(tiny.plan(), Machine(verify="off"), events, loaders=tiny.loaders)
    assert [batch.count("Clumsy talk.") for batch in fake_engine.batches] == [1, 1, 0]
    assert events.named("published") == ["01-one.wav", "02-two.wav"]


def test_no_chapter_is_put_together_while_one_of_its_takes_is_to_be_made_again(
    in_background: bool, tiny: TinyBook, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write({"One": ["Clumsy talk."], "Two": ["The end."]})
    events = Events()
    render_book(tiny.plan(), Machine(verify="off"), events, loaders=tiny.loaders)
    assert events.named("published") == ["02-two.wav", "01-one.wav"]
    assert sum(events.named("rendered")) == 2
    assert "broken" not in caplog.text  # a take that was made again is nobody's business in the morning


def test_attempts_end_and_raising_them_makes_nothing_anew_that_is_good(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write({"One": ["Fine talk.", "Broken talk."]})
    result = render(tiny)
    assert fake_engine.texts == ["Fine talk.", "Broken talk.", "Broken talk.", "Broken talk."]
    assert (kinds(result), result.exit_code, result.retries) == ([("1:2", "broken")], 3, 2)
    assert book_state(tiny.plan(), Machine()).complete(tiny.plan().chapters[0])  # and kept, with its problems
    fake_engine.batches.clear()
    assert render(tiny).exit_code == 3
    assert fake_engine.texts == []
    tiny.write({"One": ["Fine talk.", "Broken talk."]}, render={**RENDER, "attempts": 5})
    assert render(tiny).retries == 2
    assert fake_engine.texts == ["Broken talk."] * 2
    assert [take.attempt for take in takes_of(tiny, "1:2")] == [1, 2, 3, 4, 5]


def test_what_failed_is_left_out_where_the_book_wants_it(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    chapters = {"One": ["Fine talk.", "Broken talk.", "More talk."]}
    tiny.write(chapters)
    render(tiny)
    kept = audio(tiny)
    tiny.write(chapters, render={**RENDER, "failed": "omit"})
    result = render(tiny)
    assert (kinds(result), result.exit_code) == ([("1:2", "broken")], 3)  # left out, not hushed up
    left_out = audio(tiny)
    assert len(left_out["01-one.wav"]) < len(kept["01-one.wav"])
    characters = report_of(tiny)["characters"]
    assert (characters["waived"], characters["with_problems"]) == (len(tiny_source(tiny, "1:2")), 0)
    assert report_of(tiny)["chunks"][1]["omitted"]
    tiny.write(chapters)
    assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert audio(tiny) == kept


@pytest.mark.parametrize("master", [None, "store"])
def test_a_chapter_whose_chunks_are_all_left_out_is_a_short_silence(
    master: str | None, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(
        {"One": ["Broken talk."], "Two": ["Fine talk."]},
        render={**RENDER, "failed": "omit", "attempts": 1},
        pauses={"chapter_start": 0, "chapter_end": 0},
        output={"formats": ["wav", "mp3", "flac", "opus", "m4a", "m4b"]},
        **({} if master is None else {"master": master}),
    )
    result = render(tiny)
    assert (kinds(result), result.exit_code) == ([("1:1", "broken")], 3)
    assert {path.name for path in result.files} >= {f"01-one.{kind}" for kind in ("wav", "mp3", "flac", "opus", "m4a")}
    assert soundfile.info(tiny.output / "01-one.wav").duration == pytest.approx(0.1)


def tiny_source(tiny: TinyBook, ref: str) -> str:
    return next(chunk.source for chunk in tiny.plan().chunks() if chunk.ref == ref)


def test_a_take_that_was_stored_but_not_looked_at_is_examined_by_the_next_run(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": ["Hush now.", "Fine talk."]})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("maya_batch.run.postprocess.TakeProcessor._decode", killed)
        with pytest.raises(KeyboardInterrupt):
            render(tiny)
    assert [take.examined for take in takes_of(tiny, "1:1")] == [False]
    fake_engine.batches.clear()
    events = Events()
    result = render_book(tiny.plan(), Machine(verify="off"), events, loaders=tiny.loaders)
    assert fake_engine.texts == ["Hush now."] * 2  # only what the examination found wanting
    assert kinds(result) == [("1:1", "silent")]
    assert (result.chunks, result.examined) == (1, 1)
    assert events.named("begun") == [(2, 0)]  # of two chunks none was known to be spoken
    assert (events.named("expected"), events.named("examined"), events.named("rendered")) == ([1], [1], [1])
    assert all(take.examined for ref in ("1:1", "1:2") for take in takes_of(tiny, ref))


def test_a_deadline_between_rounds_leaves_the_rest_to_the_next_run(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": ["Clumsy talk.", "Fine talk."]})

    def stop_before_the_second_round(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    fake_engine.before_batch = stop_before_the_second_round
    with pytest.raises(KeyboardInterrupt):
        render(tiny)
    assert audio(tiny) == {}
    report = report_of(tiny)
    assert (report["exit_code"], report["characters"]["with_problems"]) == (4, len(tiny_source(tiny, "1:1")))
    fake_engine.before_batch = lambda done: None
    assert render(tiny).exit_code == 0
    assert list(audio(tiny)) == ["01-one.wav"]


@pytest.fixture
def transcriber(tiny: TinyBook, monkeypatch: pytest.MonkeyPatch) -> FakeTranscriber:
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    return FakeTranscriber(tiny.loaders)


def test_each_take_is_listened_to_and_of_several_the_one_best_understood_is_used(
    in_background: bool, tiny: TinyBook, fake_engine: FakeEngine, transcriber: FakeTranscriber
) -> None:
    tiny.write({"One": ["First words here.", "Other words here."]})
    transcriber.errors = {"Other words here.": [0.5, 0.3, 0.4]}
    result = render(tiny, Machine())
    assert sorted(transcriber.listened) == ["First words here.", *["Other words here."] * 3]
    assert kinds(result) == [("1:2", "missing")]
    assert [take.transcript.word_error for take in takes_of(tiny, "1:2") if take.transcript] == [0.5, 0.3, 0.4]
    chunks = report_of(tiny)["chunks"]
    assert [(chunk["attempt"], chunk["word_error"]) for chunk in chunks] == [(1, 0.0), (2, 0.3)]


def test_what_was_rendered_unheard_is_listened_to_later_without_the_model(
    tiny: TinyBook, fake_engine: FakeEngine, transcriber: FakeTranscriber
) -> None:
    tiny.write({"One": ["First words here.", "Other words here."]})
    render(tiny, Machine(verify="off"))
    assert report_of(tiny)["characters"]["unheard"] == report_of(tiny)["characters"]["total"]
    fake_engine.batches.clear()
    result = render(tiny, Machine())
    assert result.exit_code == 0
    assert (result.chunks, result.speech, result.x_realtime, result.examined) == (0, 0.0, None, 2)
    assert summarize(result)[0] == "2 takes of an earlier run examined"
    assert report_of(tiny)["speech_hours"] == 0
    assert (sorted(transcriber.listened), fake_engine.batches) == (["First words here.", "Other words here."], [])
    assert report_of(tiny)["characters"]["heard"] == report_of(tiny)["characters"]["total"]
    transcriber.listened.clear()
    render(tiny, Machine())
    assert transcriber.listened == []


def test_a_choice_does_not_hide_what_was_not_known_when_it_was_made(
    tiny: TinyBook, fake_engine: FakeEngine, transcriber: FakeTranscriber, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write({"One": ["First words here.", "Other words here."]})
    render(tiny)
    state = book_state(tiny.plan(), Machine())
    keys = [state.key(chunk) for chunk in state.plan.chunks()]
    render(tiny, redo_seeds={keys[1]: None})
    assert TakeStore(tiny.output / ".maya").chosen(keys[1]) == 2
    transcriber.errors = {"Other words here.": [0.5, 0.0, 0.0, 0.0]}
    assert render(tiny, Machine()).exit_code == 0
    assert "1:2: take 2, which you chose, has new problems (missing) and is no longer chosen" in caplog.text
    assert [(chunk["attempt"], chunk["problems"]) for chunk in report_of(tiny)["chunks"]] == [(1, []), (1, [])]


def test_of_suspects_only_takes_with_problems_are_listened_to(
    tiny: TinyBook, fake_engine: FakeEngine, transcriber: FakeTranscriber
) -> None:
    tiny.write({"One": ["Fine words here.", "Hush words here."]}, render={**RENDER, "attempts": 2})
    render(tiny, Machine(verify="suspects"))
    assert transcriber.listened == ["Hush words here."] * 2


def test_a_recognizer_that_was_asked_for_and_is_not_there_ends_the_run_before_the_model_is_loaded(
    tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": ["Fine words here."]})
    tiny.loaders.engine = unexpected
    with pytest.raises(MachineError, match="nowhere"):
        render(tiny, Machine(verify="all", recognizer=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("lacking", ["codec", "ffmpeg"])
def test_what_makes_files_of_takes_is_looked_for_before_the_model_is_loaded(
    lacking: str, tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": ["Fine words here."]}, output={"formats": ["wav"]})
    tiny.loaders.engine = unexpected
    if lacking == "codec":
        (tmp_path / "codec" / "pytorch_model.bin").unlink()
    else:
        monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", raising(RuntimeError("No ffmpeg exe")))
    with pytest.raises(MachineError, match=lacking):
        render(tiny)


def test_a_failure_while_listening_ends_the_run_and_loses_no_take(
    in_background: bool,
    tiny: TinyBook,
    fake_engine: FakeEngine,
    transcriber: FakeTranscriber,
) -> None:
    tiny.write({"One": ["Fine words here.", "Other words here."]})
    transcriber.failure = MachineError("the recognizer failed")
    with pytest.raises(MachineError, match="the recognizer failed"):
        render(tiny, Machine())
    transcriber.failure = None
    assert len(take_files(tiny)) == 2
    fake_engine.batches.clear()
    assert render(tiny, Machine()).exit_code == 0
    assert fake_engine.batches == []


@pytest.mark.parametrize("left", [0, 1])
def test_one_more_take_of_a_chunk_is_chosen_if_it_is_good(
    in_background: bool, left: int, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write({"One": ["Fine talk.", "Other talk."], "Two": ["The end."]})
    render(tiny)
    before = audio(tiny)
    state = book_state(tiny.plan(), Machine())
    key = state.key(next(chunk for chunk in state.plan.chunks() if chunk.ref == "1:2"))
    fake_engine.batches.clear()
    result = render(tiny, redo_seeds={key: 7 if left else None})
    assert fake_engine.texts == ["Other talk."]
    assert [take.seed for take in takes_of(tiny, "1:2")] == [
        sequence_seed(key, 1),
        7 if left else sequence_seed(key, 2),
    ]
    assert TakeStore(tiny.output / ".maya").chosen(key) == 2
    assert [path.name for path in result.files] == ["01-one.wav"]
    assert audio(tiny)["02-two.wav"] == before["02-two.wav"]
    assert audio(tiny)["01-one.wav"] != before["01-one.wav"]


def test_no_samples_stay_that_no_chapter_asks_for(
    in_background: bool,
    tiny: TinyBook,
    fake_engine: FakeEngine,
    transcriber: FakeTranscriber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[WaveformCache] = []

    class Watched(WaveformCache):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            kept.append(self)

    monkeypatch.setattr("maya_batch.run.book_run.WaveformCache", Watched)
    # Of one all takes fail, and the second is the best of them; one is silent, and left out.
    text = {"One": ["First words here.", "Other words here."], "Two": ["Hush now.", "Last words."]}
    tiny.write(text, render={**RENDER, "failed": "omit", "attempts": 1})
    render(tiny)
    render(tiny, Machine())  # listens to takes whose chapter is whole
    tiny.write({name: [f"More {line}" for line in lines] for name, lines in text.items()})
    transcriber.errors = {"More Other words here.": [0.5, 0.3, 0.4]}
    render(tiny, Machine())
    tiny.write({"One": ["First words here."], "Two": ["Hush now."]})
    render(tiny)
    keys = [book_state(tiny.plan(), Machine()).key(chunk) for chunk in tiny.plan().chunks()]
    render(tiny, redo_seeds={keys[1]: None})
    render(tiny, redo_seeds={keys[0]: None})
    assert [waveforms._memory.bytes for waveforms in kept] == [0] * 6


def test_lengths_of_files_that_are_gone_are_forgotten(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    for number in range(4):
        tiny.write({"One": ["First words here."], "Two": ["Other words."]}, author=f"Author {number}")
        render(tiny)
    assert len(json.loads((tiny.output / ".maya" / "chapters.json").read_text())) == 2


def test_a_report_is_written_anew_only_where_it_would_tell_something_else(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    def written() -> tuple[int, int]:
        return tuple((tiny.output / name).stat().st_mtime_ns for name in ("report.json", "report.html"))  # type: ignore[return-value]

    tiny.write({"One": ["First words here.", "Hush now."], "Two": ["Other words."]})
    render(tiny)
    first = written()
    assert render(tiny).report == tiny.output / "report.html"
    assert written() == first
    TakeStore(tiny.output / ".maya").choose(book_state(tiny.plan(), Machine()).key(list(tiny.plan().chunks())[1]), 1)
    render(tiny)
    second = written()
    assert second > first
    (tiny.output / "report.json").unlink()
    render(tiny)
    third = written()
    assert third > second
    tiny.write({"One": ["First words here.", "Hush now."]}, title="Another")
    render(tiny)
    assert written() > third
    assert report_of(tiny)["title"] == "Another"


def test_one_more_take_with_problems_is_kept_and_not_chosen(
    in_background: bool, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write({"One": ["Fine talk.", "Broken talk."]})
    render(tiny)
    before = audio(tiny)
    state = book_state(tiny.plan(), Machine())
    keys = [state.key(chunk) for chunk in state.plan.chunks()]
    render(tiny, redo_seeds={keys[1]: None})
    assert [take.attempt for take in takes_of(tiny, "1:2")] == [1, 2, 3, 4]
    assert TakeStore(tiny.output / ".maya").chosen(keys[1]) is None
    assert audio(tiny) == before


def test_reports_have_the_sound_of_takes_with_problems(
    tiny: TinyBook, fake_engine: FakeEngine, fake_codec: FakeCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": ["Fine talk.", "Broken talk."]})
    render(tiny)
    assert (tiny.output / "report.html").read_text(encoding="utf-8").count('src="data:audio') == 1
    decoded = fake_codec.decoded
    render(tiny)  # nothing is loaded, and the clip lies beside its take
    assert fake_codec.decoded == decoded
    assert (tiny.output / "report.html").read_text(encoding="utf-8").count('src="data:audio') == 1
    assert left_over(book_state(tiny.plan(), Machine())).takes == []


def test_a_report_that_cannot_be_written_is_an_error_of_the_machine(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write({"One": ["Fine talk."]})
    (tiny.output / ".report.json.part").mkdir(parents=True)
    with pytest.raises(MachineError, match=r"report.json: cannot be written"):
        render(tiny)
    assert list(audio(tiny)) == ["01-one.wav"]


def test_the_page_names_the_command_that_finds_these_takes(
    tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path
) -> None:
    tiny.write({"One": ["Fine talk.", "Broken talk."]})
    folder = tmp_path / "another place"
    render_book(tiny.plan(), Machine(verify="off"), Events(), folder, loaders=tiny.loaders)
    key = book_state(tiny.plan(), Machine(), folder).key(list(tiny.plan().chunks())[1])
    command = f"maya-batch redo {tiny.path} 1:2@{key[:4]} --output {shlex.quote(str(folder))}"
    assert command in html.unescape((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_names_what_a_person_has_allowed(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Callable[..., Said]
) -> None:
    tiny.write({"One": ["Fine <hum> talk.", "Broken talk."]}, language="de")
    assert cli("render", tiny.path, "--allow-unknown-tags", "--allow-language").code == 3
    redo = f"maya-batch redo {tiny.path} 1:2@"
    page = html.unescape((tiny.output / "report.html").read_text(encoding="utf-8"))
    assert page.partition(redo)[2][4:].startswith(" --allow-language --allow-unknown-tags")
