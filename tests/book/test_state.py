import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
from maya_batch.book.book_id import AUDIO_RULES, rules_of
from maya_batch.book.leftovers import LeftOvers, left_over
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.output_files import hidden_folder
from maya_batch.book.overview import Description, describe
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, asked_model_config, book_state
from maya_batch.book.take_store import TakeStore
from maya_batch.errors import UsageError
from maya_batch.run.render import render_book
from maya_batch.text.rules import TEXT_RULES
from tests.support.fakes import Events, FakeEngine, TinyBook, write_model

TEXT = {"One": ["The night was dark.", "The river was high."], "Two": ["The rain was gone."]}
CONFIG = ModelConfig("sha256:00", "bfloat16", "nf4", "framed")


@pytest.fixture
def rendered(tiny: TinyBook, fake_engine: FakeEngine) -> TinyBook:
    tiny.write(TEXT)
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    return tiny


def state_of(tiny: TinyBook) -> BookState:
    return book_state(tiny.plan(), Machine())


def described(tiny: TinyBook) -> Description:
    return describe(state_of(tiny), Machine(), takes=True)


def files(tiny: TinyBook) -> list[str]:
    return [line.file for line in described(tiny).chapters]


def stale(tiny: TinyBook) -> list[str]:
    return [path.name for path in state_of(tiny).output.stale_files()]


def test_a_book_that_was_not_begun(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    state = state_of(tiny)
    assert state.model_config is None
    assert state.codec is None
    assert all(state.needs_take(chunk) for chunk in state.plan.chunks())
    assert (left_over(state), list(state.problems())) == (LeftOvers([], [], 0, []), [])
    with pytest.raises(ValueError, match="no model config"):
        state.key(next(state.plan.chunks()))
    assert files(tiny) == ["missing", "missing"]
    assert not tiny.output.exists()


@pytest.mark.parametrize("edge", ["[pause 2s] {}", "{} [pause 2s]"])
def test_a_pause_at_a_chapters_edge_makes_its_file_longer_and_renders_nothing(edge: str, rendered: TinyBook) -> None:
    (file,) = rendered.output.glob("01-*.wav")
    before = soundfile.info(file).duration
    first, *rest = TEXT["One"]
    text = [edge.format("\n\n".join([first, *rest]))]
    rendered.write(TEXT | {"One": text})
    assert files(rendered) == ["outdated", "current"]
    assert not any(state_of(rendered).needs_take(chunk) for chunk in rendered.plan().chunks())
    render_book(rendered.plan(), Machine(), Events(), loaders=rendered.loaders)
    assert soundfile.info(file).duration == pytest.approx(before + 2, abs=0.05)
    assert files(rendered) == ["current", "current"]


def test_looking_hashes_nothing(rendered: TinyBook, monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(checkpoint: object) -> str:
        raise AssertionError("a checkpoint was hashed")

    monkeypatch.setattr("maya_batch.checkpoint.locate.Checkpoint.identity", hashed)
    assert files(rendered) == ["current", "current"]


def test_a_whole_book_in_figures(rendered: TinyBook) -> None:
    book = described(rendered)
    plan = rendered.plan()
    frames = [sum(chunk.expected_frames for chunk in chapter.chunks) for chapter in plan.chapters]
    assert (book.title, book.model, book.folder) == ("Tiny", str(rendered.folder / "lm"), str(rendered.output))
    assert (book.chunks, book.rendered, book.words) == (3, 3, 12)
    assert [(line.number, line.title, line.chunks, line.rendered, line.words) for line in book.chapters] == [
        (1, "One", 2, 2, 8),
        (2, "Two", 1, 1, 4),
    ]
    assert [line.tokens for line in book.chapters] == [7 * count for count in frames]
    assert book.tokens == 7 * sum(frames)
    assert book.minutes == round(sum(plan.seconds(chapter) for chapter in plan.chapters) / 60, 1)
    assert (book.stale_files, book.unused_takes, book.notes) == ([], 0, [])
    assert book.free_bytes > 0
    assert "3 of 3 chunks rendered" in str(book)


@pytest.mark.parametrize(("formats", "bytes_a_second"), [(["wav"], 48000), (["wav", "mp3"], 48000 + 8000)])
def test_the_disk_a_book_takes_is_that_of_its_formats(formats: list[str], bytes_a_second: int, tiny: TinyBook) -> None:
    tiny.write(TEXT, output={"formats": formats})
    plan = tiny.plan()
    seconds = sum(plan.seconds(chapter) for chapter in plan.chapters)
    takes = sum(14 * chunk.expected_frames + 900 for chunk in plan.chunks())
    assert described(tiny).disk_bytes == pytest.approx(seconds * bytes_a_second + takes, abs=1)


def test_a_removed_file_is_missing_a_changed_or_foreign_one_outdated(rendered: TinyBook) -> None:
    one, two = rendered.output / "01-one.wav", rendered.output / "02-two.wav"
    assert files(rendered) == ["current", "current"]
    whole = one.read_bytes()
    one.unlink()
    assert files(rendered) == ["missing", "current"]
    one.write_bytes(whole[:-2])
    assert files(rendered) == ["outdated", "current"]
    shutil.copy(two, one)
    assert files(rendered) == ["outdated", "current"]
    one.write_bytes(whole)
    assert files(rendered) == ["current", "current"]


PAUSES = {"sentence": 0.1, "paragraph": 0.1, "chapter_start": 0, "chapter_end": 0.1}
"""Those that the book has."""
CHAPTERS = {"One": TEXT["One"], "Two": ["The rain was gone.", "The wind was strong."]}


@pytest.mark.parametrize(
    ("change", "file"),
    [
        ({"pauses": PAUSES | {"paragraph": 1}}, "outdated"),
        ({"pauses": PAUSES | {"chapter_start": 1}}, "outdated"),
        ({"pauses": PAUSES | {"chapter_end": 1}}, "outdated"),
        ({"title": "Other"}, "outdated"),
        ({"author": "Somebody"}, "outdated"),
        ({"output": {"formats": ["wav", "mp3"]}}, "missing"),
    ],
    ids=["paragraph", "chapter_start", "chapter_end", "title", "author", "formats"],
)
def test_a_change_of_what_a_file_is_made_of_shows(
    change: dict[str, object], file: str, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(CHAPTERS)
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    rendered = tiny
    rendered.write(CHAPTERS, **change)
    assert files(rendered) == [file, file]
    assert described(rendered).rendered == 4


def test_a_persons_choice_of_a_take_makes_its_chapter_outdated(rendered: TinyBook) -> None:
    state = state_of(rendered)
    take = state.take(next(state.plan.chunks()))
    assert take is not None
    store = TakeStore(hidden_folder(rendered.output))
    store.put([type(take)(**{**vars(take), "attempt": 2})])
    assert files(rendered) == ["current", "current"]  # the older of equals stays in use
    (hidden_folder(rendered.output) / "choices.yaml").write_text(f"{take.key}: 2\n")
    assert files(rendered) == ["outdated", "current"]


def test_a_chapter_with_a_new_paragraph_is_incomplete(rendered: TinyBook) -> None:
    rendered.write({"One": [*TEXT["One"], "It was late."], "Two": TEXT["Two"]})
    assert files(rendered) == ["incomplete", "current"]
    assert described(rendered).rendered == 3


def test_a_take_that_was_damaged_is_missing(rendered: TinyBook) -> None:
    for path in rendered.output.rglob("*.npz"):
        path.write_bytes(b"")
    assert files(rendered) == ["missing", "missing"]
    assert described(rendered).rendered == 0


def test_files_of_renamed_and_removed_chapters_are_left_over(rendered: TinyBook) -> None:
    assert stale(rendered) == []
    rendered.write({"Uno": TEXT["One"]})
    assert stale(rendered) == ["01-one.wav", "02-two.wav"]
    rendered.write({"Two": TEXT["Two"], "One": TEXT["One"]})
    assert stale(rendered) == ["01-one.wav", "02-two.wav"]
    assert files(rendered) == ["missing", "missing"]
    rendered.write(TEXT, output={"formats": ["mp3"]})
    assert stale(rendered) == ["01-one.wav", "02-two.wav"]


def test_files_that_are_not_ours_are_never_left_over(rendered: TinyBook, tmp_path: Path) -> None:
    pcm = [bytes(48000)]
    tags = TrackTags(title="x", album="", artist="", track=1, tracks=1, comment="a comment of mine")
    write_chapter(pcm, [Target(rendered.output / "mine.wav", "wav")], tags)
    ours = rendered.output / "01-one.wav"
    (rendered.output / "cut.wav").write_bytes(ours.read_bytes()[:-2])
    (rendered.output / "empty.mp3").write_bytes(b"")
    (rendered.output / "folder.wav").mkdir()
    (rendered.output / "link.wav").symlink_to(ours)
    (rendered.output / "notes.txt").write_bytes(ours.read_bytes())
    (rendered.output / "sub").mkdir()
    shutil.copy(ours, rendered.output / "sub" / "09-nine.wav")
    assert stale(rendered) == []
    shutil.copy(ours, rendered.output / "09-nine.wav")
    assert stale(rendered) == ["09-nine.wav"]


def test_takes_of_no_chunk_any_more_are_unused(rendered: TinyBook) -> None:
    assert left_over(state_of(rendered)).takes == []
    old = state_of(rendered)
    gone = old.key(list(old.plan.chunks())[2])
    rendered.write({"One": TEXT["One"], "Two": ["The rain was back."]})
    assert [path.parent.name for path in left_over(state_of(rendered)).takes] == [gone]
    assert described(rendered).unused_takes == 1
    assert "1 unused take" in str(described(rendered))
    rendered.write(TEXT)
    assert left_over(state_of(rendered)).takes == []


def test_a_book_rendered_with_another_model_says_with_which(rendered: TinyBook) -> None:
    other = write_model(rendered.folder / "other")
    (other / "model.safetensors").write_bytes(b"other weights")
    state = book_state(rendered.plan(model=str(other)), Machine())
    assert state.model_config is None
    assert left_over(state).takes == []
    assert describe(state, Machine(), takes=True).notes == [
        "shown as rendered with ./other, which `render` refuses without --switch-model-config; "
        f"the book's model is --model {rendered.folder / 'lm'}",
    ]


def test_a_copy_of_the_model_is_the_same_model(rendered: TinyBook, fake_engine: FakeEngine) -> None:
    other = str(write_model(rendered.folder / "other"))
    spoken = len(fake_engine.texts)
    assert render_book(rendered.plan(model=other), Machine(), Events(), loaders=rendered.loaders).exit_code == 0
    assert len(fake_engine.texts) == spoken
    assert described(rendered).rendered == 3


def test_the_state_of_another_output_folder_is_its_own(rendered: TinyBook, tmp_path: Path) -> None:
    elsewhere = book_state(rendered.plan(), Machine(), tmp_path / "elsewhere")
    assert elsewhere.model_config is None
    assert describe(elsewhere, Machine(), takes=True).rendered == 0


def test_what_the_machine_asks_for_comes_before_the_recipe() -> None:
    assert asked_model_config(None, Machine(dtype="float16")) is None
    assert asked_model_config(CONFIG, Machine()) == CONFIG
    assert asked_model_config(CONFIG, Machine(dtype="float16")) == ModelConfig("sha256:00", "float16", "nf4", "framed")
    assert asked_model_config(CONFIG, Machine(quantization="none")) == ModelConfig(
        "sha256:00", "bfloat16", "none", "framed"
    )
    assert asked_model_config(CONFIG, Machine(decoding="free")) == ModelConfig("sha256:00", "bfloat16", "nf4", "free")
    in_8_bits = replace(CONFIG, kv_cache="int8")
    assert asked_model_config(CONFIG, Machine(kv_cache="int8")) == in_8_bits
    assert asked_model_config(in_8_bits, Machine()) == in_8_bits
    assert asked_model_config(in_8_bits, Machine(kv_cache="model")) == CONFIG


def test_another_recipe_has_other_takes(rendered: TinyBook) -> None:
    state = book_state(rendered.plan(), Machine(dtype="float16"))
    assert all(state.needs_take(chunk) for chunk in state.plan.chunks())


@pytest.mark.parametrize("below", ["", "audio"])
def test_a_file_in_the_place_of_the_output_folder_is_named(below: str, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    with pytest.raises(UsageError, match=r"book\.yaml is not a folder; move it, or name another --output"):
        book_state(tiny.plan(), Machine(), tiny.path / below)
    assert rules_of(tiny.path) == (TEXT_RULES, AUDIO_RULES)  # which is asked for before
