import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from maya_batch.audio.chapter_file import read_comment
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.overview import describe
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.take_store import Take, TakeStore
from maya_batch.checkpoint.token_layout import TokenLayout, read_layout
from maya_batch.engine.api import Decoding, Generation, Hooks, Request, Sampling
from maya_batch.engine.prompts import Prompts
from maya_batch.errors import BusyError, MachineError, StoppedError, UsageError
from maya_batch.run.deadline import Deadline
from maya_batch.run.generate import generation_order, sequence_seed
from maya_batch.run.pipeline_messages import TakeRequest
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.result import RunResult
from maya_batch.run.summary import summarize
from maya_batch.run.write_access import TakeOver
from maya_batch.text.token_estimate import cap_tokens, expected_tokens
from maya_batch.wording import NOTHING_TO_DO, problems_recorded
from tests.support.fakes import (
    LAYOUT,
    LONGWINDED,
    Events,
    FakeCodec,
    FakeEngine,
    TinyBook,
    WholeCodec,
    unexpected,
    write_codec,
)

if TYPE_CHECKING:  # modules that need no PyTorch import this one
    from maya_batch.engine.hf_engine import HfEngine

TEXT = {"One": ["The night was dark.", "The river was high."], "Two": ["The rain was gone.", "The wind was strong."]}


def render(tiny: TinyBook, machine: Machine | None = None, progress: Events | None = None, **more: Any) -> RunResult:
    return render_book(tiny.plan(), machine or Machine(), progress or Events(), **more, loaders=tiny.loaders)


def kinds(result: RunResult) -> list[tuple[str, str]]:
    return [(chunk.ref, problem.kind) for chunk, problem in result.problems]


ONE_ATTEMPT = {"model": "./lm", "codec": "./codec", "attempts": 1}


def report_of(tiny: TinyBook) -> Any:
    return json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))


def take_files(tiny: TinyBook) -> dict[str, bytes]:
    return {path.parent.name + path.name: path.read_bytes() for path in tiny.output.rglob("*.npz")}


def audio(tiny: TinyBook) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tiny.output.glob("*.wav")}


def test_a_book_is_rendered_whole(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    events = Events()
    result = render(tiny, progress=events)
    assert sorted(fake_engine.texts) == sorted(text for chapter in TEXT.values() for text in chapter)
    assert (result.chunks, result.problems, result.incomplete) == (4, [], [])
    assert [path.name for path in result.files] == ["01-one.wav", "02-two.wav"]
    assert sorted(audio(tiny)) == ["01-one.wav", "02-two.wav"]
    expected = [chunk.expected_frames for chunk in tiny.plan().chunks()]
    assert result.speech == pytest.approx(fake_engine.layout.seconds(sum(expected)))
    assert events.named("begun") == [(4, 4)]
    assert sum(events.named("rendered")) == 4
    assert events.named("published") == ["01-one.wav", "02-two.wav"]
    assert summarize(result)[0].startswith("4 chunks rendered, 0.2 minutes of speech, ")


def test_a_row_is_asked_for_by_its_key_and_attempt_alone(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    state = book_state(tiny.plan(), Machine())
    for request in fake_engine.requests:
        assert request.seed == sequence_seed(request.key, 1)
    takes = {key: take for chunk in state.plan.chunks() if (take := state.take(chunk)) for key in [take.key]}
    assert {request.key for request in fake_engine.requests} == set(takes)
    for take in takes.values():
        assert (take.attempt, take.seed, take.engine) == (1, sequence_seed(take.key, 1), "hf float32 none")
    assert sequence_seed("a", 1) != sequence_seed("a", 2) != sequence_seed("b", 1)


def test_a_second_run_loads_nothing_and_touches_nothing(
    tiny: TinyBook, fake_engine: FakeEngine, fake_codec: FakeCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(TEXT)
    render(tiny)
    new = ("lock", "report.json", "report.html")
    before = {path: path.stat().st_mtime_ns for path in tiny.output.rglob("*") if path.name not in new}
    decoded = fake_codec.decoded

    tiny.loaders.engine = tiny.loaders.codec = unexpected
    events = Events()
    result = render(tiny, progress=events)
    assert (result.chunks, result.files, result.problems) == (0, [], [])
    assert summarize(result) == [NOTHING_TO_DO]
    assert events.heard == [("begun", (4, 0))]
    assert fake_codec.decoded == decoded
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert report_of(tiny)["exit_reason"] == "the whole book is rendered"


def test_an_edited_paragraph_renders_its_own_chunk_and_its_own_chapter(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    fake_engine.batches.clear()
    before = audio(tiny)
    tiny.write(TEXT | {"Two": ["The rain was gone.", "The wind was weak."]})
    result = render(tiny)
    assert fake_engine.texts == ["The wind was weak."]
    assert [path.name for path in result.files] == ["02-two.wav"]
    after = audio(tiny)
    assert after["01-one.wav"] == before["01-one.wav"]
    assert after["02-two.wav"] != before["02-two.wav"]


def test_a_line_at_the_top_renders_one_chunk(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    fake_engine.batches.clear()
    tiny.write(TEXT | {"One": ["It was late.", *TEXT["One"]]})
    render(tiny)
    assert fake_engine.texts == ["It was late."]


def test_pauses_and_formats_take_no_model(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    fake_engine.batches.clear()
    before = audio(tiny)
    tiny.write(TEXT, pauses={"paragraph": 1}, output={"formats": ["wav", "mp3"]})
    result = assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert [path.name for path in result.files] == ["01-one.wav", "01-one.mp3", "02-two.wav", "02-two.mp3"]
    assert all(audio(tiny)[name] != before[name] for name in before)
    assert fake_engine.batches == []
    assert render(tiny).files == []


def test_another_codec_puts_all_chapters_together_anew(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    fake_engine.batches.clear()
    (write_codec(tiny.folder / "other") / "pytorch_model.bin").write_bytes(b"other weights")
    result = render_book(tiny.plan(codec=str(tiny.folder / "other")), Machine(), Events(), loaders=tiny.loaders)
    assert [path.name for path in result.files] == ["01-one.wav", "02-two.wav"]
    assert fake_engine.batches == []


def test_a_book_that_was_not_begun_cannot_be_put_together(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    with pytest.raises(UsageError, match="nothing is rendered with"):
        assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert not tiny.output.exists()


def test_putting_together_names_the_chapters_that_are_not_whole(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    tiny.write({"One": [*TEXT["One"], "Not yet."], "Two": TEXT["Two"]}, title="Other")
    result = assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert [chapter.title for chapter in result.incomplete] == ["One"]
    assert [path.name for path in result.files] == ["02-two.wav"]


def test_what_went_wrong_is_on_record_and_stays_there(
    tiny: TinyBook, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write({"One": ["Endless talk.", "Broken talk.", "Hush now.", "Fine."]})
    caplog.set_level(logging.WARNING)
    result = render(tiny)
    expected = [("1:1", "cap"), ("1:2", "broken"), ("1:3", "silent")]
    assert kinds(result) == expected
    cap, broken, silent = (problem.detail for _, problem in result.problems)
    frames = next(tiny.plan().chunks()).max_frames
    seconds = fake_engine.layout.seconds(frames)
    assert cap.startswith(f"no end within {frames} frames, {seconds:.1f} s")
    assert broken == "breaks off after 3 frames, 0.3 s: invalid frame (frame 3, slot 2: token 5 is not of this slot)"
    assert silent.startswith("the whole take is silent (")
    assert any(message.startswith("1:1 cap: no end within") for message in caplog.messages)
    assert any(message.startswith("1:2 broken: breaks off after 3 frames") for message in caplog.messages)
    assert "01-one.wav" in audio(tiny)  # nothing is left out because of a problem
    fake_engine.batches.clear()
    assert kinds(render(tiny)) == expected
    assert fake_engine.batches == []
    described = describe(book_state(tiny.plan(), Machine()), Machine(), takes=True)
    assert [line.split(":")[1] for line in described.chapters[0].problems] == ["1 cap", "2 broken", "3 silent"]
    assert any(problems_recorded("3 problems") in line for line in summarize(result))


def test_a_take_that_breaks_off_in_what_is_dropped_of_its_start_is_kept_without_sound(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    layout = LAYOUT | {"clip_start_samples": 3 * 2048}
    (tiny.folder / "lm" / "maya_tokens.json").write_text(json.dumps(layout))
    fake_engine.layout = read_layout(tiny.folder / "lm")
    tiny.loaders.codec = lambda *_: WholeCodec(fake_engine.layout)
    tiny.write({"One": ["Broken talk.", "Fine."]})
    result = render(tiny)
    assert kinds(result) == [("1:1", "broken"), ("1:1", "silent")]
    assert "01-one.wav" in audio(tiny)
    assert (tiny.output / "report.html").is_file()


def allow_for_longwinded_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.book.chapters.cap_tokens", lambda *args: cap_tokens(*args) + 7 * LONGWINDED)
    monkeypatch.setattr("maya_batch.book.chapters.expected_tokens", lambda *args: 7 * LONGWINDED)


def test_a_higher_cap_renders_the_cut_off_chunks_again_and_no_others(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": ["Longwinded talk.", "Endless talk.", "Fine."]}, render=ONE_ATTEMPT)
    low = next(tiny.plan().chunks()).max_frames
    assert low < LONGWINDED
    assert kinds(render(tiny)) == [("1:1", "cap"), ("1:2", "cap")]
    before = take_files(tiny)
    fake_engine.batches.clear()
    fake_engine.requests.clear()
    allow_for_longwinded_texts(monkeypatch)
    assert kinds(render(tiny)) == [("1:2", "cap")]
    assert sorted(fake_engine.texts) == ["Endless talk.", "Longwinded talk."]
    assert all(request.seed == sequence_seed(request.key, 2) for request in fake_engine.requests)
    assert before.items() <= take_files(tiny).items()  # the first attempts are kept
    fake_engine.batches.clear()
    monkeypatch.setattr("maya_batch.book.chapters.cap_tokens", cap_tokens)
    render(tiny)
    assert fake_engine.batches == []  # a lower cap asks for nothing


def test_a_take_that_is_damaged_is_rendered_again_and_gives_the_same_book(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(TEXT)
    render(tiny)
    takes, files = take_files(tiny), audio(tiny)
    damaged = sorted(tiny.output.rglob("*.npz"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    fake_engine.batches.clear()
    render(tiny)
    assert len(fake_engine.texts) == 1
    assert take_files(tiny).keys() == takes.keys()
    assert audio(tiny) == files


def test_a_cut_off_take_that_a_person_chose_over_a_whole_one_is_left_alone(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": ["Longwinded talk."]}, render=ONE_ATTEMPT)
    render(tiny)
    allow_for_longwinded_texts(monkeypatch)
    assert kinds(render(tiny)) == []
    fake_engine.batches.clear()
    (tiny.output / ".maya" / "choices.yaml").write_text(f"{fake_engine.requests[0].key}: 1\n")
    assert kinds(render(tiny)) == []  # what a person chose is no problem any more
    assert fake_engine.batches == []
    assert report_of(tiny)["characters"]["waived"] == len("Longwinded talk.")


class Stop(BaseException):
    pass


BOOK = {
    f"Part {part}": [f"This is line {line} {'of the song ' * (line % 3)}{part}." for line in range(7)]
    for part in range(9)
}
PARTS = {title: lines for title, lines in BOOK.items() if title < "Part 4"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Stop])
def test_a_run_that_is_stopped_goes_on_with_the_very_batches_that_were_left(
    stop: type[BaseException], tiny: TinyBook, fake_engine: FakeEngine, tmp_path: Path
) -> None:
    fake_engine.batch_size = 2
    tiny.write(PARTS)
    result = render_book(tiny.plan(), Machine(), Events(), tmp_path / "whole", loaders=tiny.loaders)
    assert result.chunks == 28
    whole, batches = {p.name: p.read_bytes() for p in (tmp_path / "whole").glob("*.wav")}, fake_engine.batches[:]
    assert len(batches) == 14

    fake_engine.batches.clear()
    stops = {3, 4, 7, 11}

    def stop_sometimes(done: int) -> None:
        if done in stops:
            stops.remove(done)
            raise stop

    fake_engine.before_batch = stop_sometimes
    for done in sorted(stops):
        with pytest.raises(stop):
            render(tiny)
        assert sum(map(len, fake_engine.batches)) == len(take_files(tiny))
        assert len(fake_engine.batches) == done
    render(tiny)
    assert fake_engine.batches == batches
    assert audio(tiny) == whole


def test_chunks_are_spoken_in_reading_order_and_the_last_rows_by_length(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    fake_engine.batch_size = 40
    tiny.write(BOOK)
    chunks = list(tiny.plan().chunks())
    render(tiny)
    assert fake_engine.texts[:-10] == [chunk.text for chunk in chunks[:-10]]
    last = sorted(chunks[-10:], key=lambda chunk: -chunk.expected_frames)
    assert fake_engine.texts[-10:] == [chunk.text for chunk in last]
    assert last != chunks[-10:]


def test_a_chapter_is_published_as_soon_as_its_last_chunk_is_in(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    fake_engine.batch_size = 1
    tiny.write({"Short": ["Yes."], "Long": ["The night was dark and long.", "No."]})
    events = Events()
    render(tiny, progress=events)
    assert fake_engine.texts == ["Yes.", "The night was dark and long.", "No."]
    assert [value for kind, value in events.heard if kind != "begun"] == [1, "01-short.wav", 1, 1, "02-long.wav"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Stop])
def test_what_has_ended_before_a_stop_is_stored_and_no_chapter_begun(
    stop: type[BaseException],
    tiny: TinyBook,
    fake_engine: FakeEngine,
    fake_codec: FakeCodec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny.write({"Only": ["One.", "Two.", "Three."]})
    fake_engine.batch_size = 1
    storing = Event()
    put = TakeStore.put

    def slow_put(store: TakeStore, takes: Sequence[Take]) -> None:
        storing.wait(5)
        put(store, takes)

    def stop_at_the_last(done: int) -> None:
        if done == 2:
            storing.set()
            raise stop

    fake_engine.before_batch = stop_at_the_last
    monkeypatch.setattr(TakeStore, "put", slow_put)
    tiny.loaders.threaded = True
    with pytest.raises(stop):
        render(tiny)
    assert len(take_files(tiny)) == 2
    assert audio(tiny) == {}


@pytest.mark.parametrize("in_background", [True, False])
def test_a_take_that_cannot_be_stored_ends_the_run_while_it_speaks(
    in_background: bool, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.loaders.threaded = in_background
    tiny.write(BOOK)
    fake_engine.batch_size = 1
    takes = tiny.output / ".maya" / "takes"
    takes.mkdir(parents=True)
    for prefix in range(256):
        (takes / f"{prefix:02x}").write_text("in the way")
    fake_engine.before_batch = lambda done: time.sleep(0.05)
    with pytest.raises(MachineError, match="a take cannot be stored"):
        render(tiny)
    assert len(fake_engine.batches) < 63


def test_a_chapter_that_was_stored_but_not_published_is_published_by_the_next_run(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(TEXT)
    render(tiny)
    before = audio(tiny)
    (tiny.output / "01-one.wav").unlink()
    (tiny.output / "02-two.wav").write_bytes(before["02-two.wav"][:-2])
    fake_engine.batches.clear()
    assert [path.name for path in render(tiny).files] == ["01-one.wav", "02-two.wav"]
    assert audio(tiny) == before
    assert fake_engine.batches == []


def model_config(tiny: TinyBook) -> ModelConfig:
    found = book_state(tiny.plan(), Machine()).model_config
    assert found is not None
    return found


def test_a_book_stays_with_the_recipe_it_was_begun_with(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny, Machine(dtype="float16", quantization="nf4", decoding="free"))
    assert model_config(tiny) == ModelConfig(model_config(tiny).model, "float16", "nf4", "free")
    tiny.write(TEXT | {"Three": ["It was late."]})
    fake_engine.batches.clear()
    fake_engine.decodings.clear()
    render(tiny)  # nothing said of any of it
    assert fake_engine.texts == ["It was late."]
    assert (fake_engine.dtype, fake_engine.quantization, fake_engine.decodings) == ("float16", "nf4", ["free"])


@pytest.mark.parametrize(
    "asked", [{"dtype": "float16"}, {"quantization": "nf4"}, {"decoding": "free"}], ids=lambda asked: next(iter(asked))
)
def test_another_model_config_is_refused_and_renders_the_book_again_where_it_is_switched(
    asked: dict[str, str], tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(TEXT)
    render(tiny)
    before, first = audio(tiny), model_config(tiny)
    with pytest.raises(UsageError, match=r"is rendered with \./lm,float32,none,framed, but .*--switch-m"):
        render(tiny, Machine.model_validate(asked))
    assert (len(fake_engine.texts), model_config(tiny)) == (4, first)
    switch = TakeOver(switch_config=True)
    render(tiny, Machine.model_validate(asked), take_over=switch)
    assert (len(fake_engine.texts), model_config(tiny)) == (8, replace(first, **asked))
    render(tiny)  # it stays so
    render(tiny, Machine.model_validate({name: getattr(first, name) for name in asked}), take_over=switch)
    assert (len(fake_engine.texts), model_config(tiny), audio(tiny)) == (8, first, before)
    assert len(take_files(tiny)) == 8


def test_a_machine_that_cannot_load_what_the_book_is_rendered_with_says_how_to_go_on(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(TEXT)
    render(tiny, Machine(quantization="nf4"))
    tiny.write(TEXT | {"Three": ["It was late."]})

    def load(*_: object, **asked: object) -> FakeEngine:
        if asked["quantization"] == "nf4":
            raise MachineError("nf4 needs a GPU")
        fake_engine.quantization = "none"
        return fake_engine

    tiny.loaders.engine = load
    with pytest.raises(MachineError, match=r"needs a GPU; this book is rendered with float32,nf4.*--switch-model-co"):
        render(tiny)
    assert model_config(tiny).quantization == "nf4"
    render(tiny, Machine(quantization="none"), take_over=TakeOver(switch_config=True))
    assert model_config(tiny).quantization == "none"


def test_a_machine_that_asks_for_what_the_book_has_changes_nothing(
    tiny: TinyBook, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write(TEXT)
    render(tiny)
    render(tiny, Machine(dtype="float32", quantization="none", decoding="framed", device="cpu", batch_size=1))
    assert len(fake_engine.texts) == 4
    assert caplog.messages == []


@pytest.mark.parametrize(("mass", "decoding"), [(0.95, "framed"), (0.9, "framed"), (0.5, "free")])
def test_a_model_that_does_not_keep_to_its_slots_is_decoded_freely(
    mass: float, decoding: str, tiny: TinyBook, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    fake_engine.mass = mass
    tiny.write(TEXT)
    render(tiny)
    assert set(fake_engine.decodings) == {decoding}
    assert model_config(tiny).decoding == decoding
    warning = "only 50 % of the time (90 % expected); falling back to unconstrained decoding"
    assert [warning in message for message in caplog.messages] == ([True] if decoding == "free" else [])


def test_a_model_that_has_changed_is_refused_before_it_is_loaded(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    before = take_files(tiny)
    (tiny.folder / "lm" / "model.safetensors").write_bytes(b"other weights")
    tiny.write(TEXT | {"Three": ["It was late."]})
    with pytest.raises(MachineError, match="has changed since this book was started"):
        render(tiny)
    assert take_files(tiny) == before
    assert len(fake_engine.texts) == 4


def test_a_tag_the_checkpoint_does_not_know_is_refused_before_anything_is_spoken(
    tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write({"One": ["Yes.", "Stop <laugh> it."]})
    fake_engine.known_tags = ("sigh",)
    with pytest.raises(UsageError, match="chunk 1:2: this checkpoint has no token for <laugh>"):
        render(tiny)
    assert fake_engine.batches == []
    render(tiny, check_tags=False)
    assert sorted(fake_engine.texts) == ["Stop <laugh> it.", "Yes."]


def test_a_model_whose_layout_is_not_the_planned_one_is_refused(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    plan = tiny.plan()
    fake_engine.layout = TokenLayout()
    with pytest.raises(MachineError, match="the token layout changed"):
        render_book(plan, Machine(), Events(), loaders=tiny.loaders)


def test_a_codec_that_does_not_load_is_told_before_anything_is_spoken(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> FakeCodec:
        raise MachineError("the codec does not load")

    tiny.loaders.codec = broken
    tiny.write(TEXT)
    with pytest.raises(MachineError, match="the codec does not load"):
        render(tiny)
    assert fake_engine.batches == []


def test_a_run_inside_another_is_refused(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)

    def second(done: int) -> None:
        fake_engine.before_batch = lambda done: None
        with pytest.raises(BusyError):
            render(tiny)

    fake_engine.before_batch = second
    assert render(tiny).chunks == 4


def test_a_chapters_file_says_of_what_it_was_made(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    state = book_state(tiny.plan(), Machine())
    for chapter in state.plan.chapters:
        assert read_comment(tiny.output / f"{chapter.stem}.wav") == state.file_fingerprint(
            chapter, state.plan.book.output.formats[0]
        )


class SmallGpu:
    """Stands for an engine's rows on a card that holds only so many together; the others are never begun."""

    def __init__(self, engine: "HfEngine", rows: int) -> None:
        self.engine, self.rows = engine, rows
        self.tried: list[int] = []

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        hooks: Hooks,
    ) -> Iterator[list[Generation]]:
        """Rows one by one; the first `rows` end before the memory is full."""
        together = min(self.engine.batch_size, len(requests))
        self.tried.append(together)
        spoken = requests if together <= self.rows else requests[: self.rows]
        for request in spoken:
            yield [Generation(request.key, TokenLayout().frames([]), "eos")]
        if together > self.rows:
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")


@pytest.fixture
def small_engine() -> "HfEngine":
    config = LlamaConfig(
        vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
    )

    from maya_batch.engine.hf_engine import HfEngine

    return HfEngine(
        LlamaForCausalLM(config),
        Prompts(PreTrainedTokenizerBase.__new__(PreTrainedTokenizerBase), TokenLayout(), 8192, 16),
        dtype="bfloat16",
        quantization="none",
        batch_size=16,
    )


def small_gpu(
    engine: "HfEngine", rows: int, monkeypatch: pytest.MonkeyPatch, decoding: Decoding = "framed"
) -> SmallGpu:
    gpu = SmallGpu(engine, rows)
    name = {"framed": "_generate_constrained", "free": "_generate_unconstrained"}[decoding]
    monkeypatch.setattr(engine, name, gpu.generate)
    return gpu


REQUESTS = [Request(str(number), "A voice.", "Yes.", number, 100) for number in range(20)]


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_rows_the_gpu_does_not_hold_are_halved_and_their_number_kept(
    decoding: Decoding, small_engine: "HfEngine", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gpu = small_gpu(small_engine, 5, monkeypatch, decoding)
    generated = list(small_engine.generate(REQUESTS, Sampling(), decoding))
    assert gpu.tried == [16, 8, 4]
    assert [row.key for rows in generated for row in rows] == [request.key for request in REQUESTS]
    assert small_engine.batch_size == 4
    assert caplog.messages == [
        "GPU memory is full with a batch size of 16; continuing with 8",
        "GPU memory is full with a batch size of 8; continuing with 4",
    ]
    list(small_engine.generate(REQUESTS[:6], Sampling(), decoding))
    assert gpu.tried[3:] == [4]


def test_the_last_rows_are_halved_by_their_number(small_engine: "HfEngine", monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = small_gpu(small_engine, 1, monkeypatch)
    generated = list(small_engine.generate(REQUESTS[:6], Sampling(), "framed"))
    assert gpu.tried == [6, 3, 1]
    assert [row.key for rows in generated for row in rows] == [request.key for request in REQUESTS[:6]]


def test_one_row_the_gpu_does_not_hold_is_an_error(small_engine: "HfEngine", monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = small_gpu(small_engine, 0, monkeypatch)
    with pytest.raises(MachineError) as caught:
        list(small_engine.generate(REQUESTS, Sampling(), "framed"))
    assert gpu.tried == [16, 8, 4, 2, 1]
    assert str(caught.value) == (
        "GPU memory is too small for one sequence of 100 frames (CUDA out of memory); "
        "use --quantization nf4, a lower render.chunk_words, or a GPU with more memory"
    )


@pytest.mark.parametrize(("chunks", "rows", "sorted_"), [(12, 4, 1), (12, 8, 2), (12, 400, 3), (2, 1, 1)])
def test_the_last_quarter_of_what_runs_together_begins_with_the_longest(
    tiny: TinyBook, chunks: int, rows: int, sorted_: int
) -> None:
    tiny.write({"One": [f"A {'very ' * number}short text." for number in range(1, chunks + 1)]})
    plan = [TakeRequest(chunk, chunk.ref, 1) for chunk in tiny.plan().chunks()]
    assert len(plan) == chunks
    order = generation_order(plan, rows)
    assert order[: chunks - sorted_] == plan[: chunks - sorted_]
    assert order[chunks - sorted_ :] == plan[: chunks - sorted_ - 1 : -1]


def test_a_deadline_ends_the_run_with_all_stored_that_has_ended(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(PARTS)
    fake_engine.batch_size = 2
    render(tiny)
    whole = audio(tiny)
    shutil.rmtree(tiny.output)
    fake_engine.batches.clear()

    clock = 0.0
    monkeypatch.setattr("maya_batch.run.deadline.time.monotonic", lambda: clock)

    def an_hour_later(_: int) -> None:
        nonlocal clock
        clock += 3600

    fake_engine.before_batch = an_hour_later
    with pytest.raises(StoppedError, match="after --max-minutes"):
        render_book(tiny.plan(), Machine(), Events(), deadline=Deadline(after=3.5 * 3600), loaders=tiny.loaders)
    assert len(fake_engine.batches) == 3
    assert len(take_files(tiny)) == 6
    fake_engine.before_batch = lambda _: None
    render(tiny)
    assert audio(tiny) == whole


def test_no_model_is_loaded_for_a_deadline_that_has_passed(tiny: TinyBook, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write(TEXT)
    tiny.loaders.engine = unexpected
    with pytest.raises(StoppedError):
        render_book(tiny.plan(), Machine(), Events(), deadline=Deadline(after=0.0), loaders=tiny.loaders)


def test_a_book_that_is_whole_has_no_need_of_time(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    assert (
        render_book(tiny.plan(), Machine(), Events(), deadline=Deadline(after=0.0), loaders=tiny.loaders).incomplete
        == []
    )


def test_a_book_that_is_judged_otherwise_is_not_rendered_again(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.write(TEXT)
    render(tiny)
    takes = take_files(tiny)
    fake_engine.batches.clear()
    lax = {"model": "./lm", "codec": "./codec", "quality": {"shortest": 0.1, "pause_seconds": 9}}
    tiny.write(TEXT, render=lax)
    assert kinds(render(tiny)) == []
    assert (fake_engine.batches, take_files(tiny)) == ([], takes)


def test_a_voice_is_known_from_the_takes_of_an_earlier_run(
    tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = [f"The old man number {number} waited by the water for a very long time." for number in range(9)]
    monkeypatch.setattr("maya_batch.book.chapters.expected_tokens", lambda *args: round(expected_tokens(*args) * 0.7))
    tiny.write({"One": slowly})
    assert kinds(render(tiny)) == []  # by what is foreseen below, this was a fast voice
    monkeypatch.setattr("maya_batch.book.chapters.expected_tokens", expected_tokens)
    tiny.write({"One": [*slowly, "The old woman waited by the fire for a very long time as well."]})
    assert kinds(render(tiny)) == [("1:10", "long")]
