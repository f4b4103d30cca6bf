import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from maya_batch.book.chunk import Chunk
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.plan import Plan, make_plan, plan_manuscript, speech_plan
from maya_batch.book.settings import Sound
from maya_batch.checkpoint.hf_config import CONTEXT
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.errors import ManifestError, UsageError
from maya_batch.manifest import Render
from maya_batch.text.token_estimate import cap_tokens
from tests.support.fakes import LAYOUT, TinyBook, write_model

CONFIG = ModelConfig("sha256:00", "float32", "none", "framed")
TEXT = {"One": ["The night was dark.", "The river was high."], "Two": ["In the morning the rain was gone."]}


def keys(plan: Plan, model_config: ModelConfig = CONFIG) -> dict[str, str]:
    """Reference to key."""
    return {chunk.ref: chunk.key(model_config, plan.sound) for chunk in plan.chunks()}


def texts(plan: Plan) -> list[str]:
    return [chunk.text for chunk in plan.chunks()]


def by_text(plan: Plan) -> dict[str, str]:
    return {chunk.text: chunk.key(CONFIG, plan.sound) for chunk in plan.chunks()}


def test_each_paragraph_is_a_chunk_of_its_own(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    plan = tiny.plan()
    assert [(chunk.ref, chunk.text, chunk.words) for chunk in plan.chunks()] == [
        ("1:1", "The night was dark.", 4),
        ("1:2", "The river was high.", 4),
        ("2:1", "In the morning the rain was gone.", 7),
    ]
    assert [chapter.stem for chapter in plan.chapters] == ["01-one", "02-two"]
    assert {chunk.description for chunk in plan.chunks()} == {"A calm voice."}
    assert [chunk.pause for chunk in plan.chunks()] == [0.1, 0.0, 0.0]
    assert plan.layout.codebook_size == LAYOUT["codebook_size"]


def test_a_hundred_chapters_are_named_so_that_they_sort(tiny: TinyBook) -> None:
    tiny.write({f"Part {number}": ["Yes."] for number in range(1, 101)})
    stems = [chapter.stem for chapter in tiny.plan().chapters]
    assert stems == sorted(stems)
    assert stems[0] == "001-part-1"
    assert stems[-1] == "100-part-100"


SHAPING: dict[str, Callable[[Chunk, ModelConfig, Sound], tuple[Chunk, ModelConfig, Sound]]] = {
    "model": lambda c, r, s: (c, replace(r, model="sha256:01"), s),
    "dtype": lambda c, r, s: (c, replace(r, dtype="float16"), s),
    "quantization": lambda c, r, s: (c, replace(r, quantization="nf4"), s),
    "decoding": lambda c, r, s: (c, replace(r, decoding="free"), s),
    "description": lambda c, r, s: (replace(c, description="A voice."), r, s),
    "text": lambda c, r, s: (replace(c, text="The night was dark!"), r, s),
    "temperature": lambda c, r, s: (c, r, s.model_copy(update={"temperature": 0.5})),
    "top_p": lambda c, r, s: (c, r, s.model_copy(update={"top_p": 0.8})),
    "repetition_penalty": lambda c, r, s: (c, r, s.model_copy(update={"repetition_penalty": 1.2})),
    "seed": lambda c, r, s: (replace(c, seed=1), r, s),
    "occurrence": lambda c, r, s: (replace(c, occurrence=2), r, s),
}


def test_whatever_shapes_the_codes_is_in_the_key(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    plan = tiny.plan()
    chunk = next(plan.chunks())
    found = {chunk.key(CONFIG, plan.sound)}
    for change in SHAPING.values():
        changed, model_config, sound = change(chunk, CONFIG, plan.sound)
        found.add(changed.key(model_config, sound))
    assert len(found) == 1 + len(SHAPING)
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in found)


def test_where_a_chunk_stands_and_how_long_it_may_be_is_not_in_the_key(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    plan = tiny.plan()
    chunk = next(plan.chunks())
    moved = replace(chunk, chapter=9, index=9, source="<>", expected_frames=1, max_frames=9999, pause=3.0, words=0)
    assert moved.key(CONFIG, plan.sound) == chunk.key(CONFIG, plan.sound)
    other = plan.sound.model_copy(
        update={"model": "x/y", "codec": "x/y", "chunk_words": 9, "max_tokens": 99, "seed": 5}
    )
    assert chunk.key(CONFIG, other) == chunk.key(CONFIG, plan.sound)


@pytest.mark.parametrize(
    "change",
    [
        {"pauses": {"paragraph": 2.0}},
        {"output": {"formats": ["mp3"], "folder": "elsewhere"}},
        {"title": "Another title", "author": "Somebody"},
        {"voices": {"anna": "A calm voice.", "tom": "Not heard", "new": "Neither"}},
        {"render": {"model": "./lm", "codec": "org/other"}},
        {"render": {"model": "./lm", "codec": "./codec", "chunk_words": 50, "max_tokens": 3000}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_does_not_shape_the_codes_leaves_all_keys_as_they_are(change: dict[str, object], tiny: TinyBook) -> None:
    tiny.write(TEXT)
    before = keys(tiny.plan())
    tiny.write(TEXT, **change)
    assert keys(tiny.plan()) == before


@pytest.mark.parametrize(
    "change",
    [
        {"voices": {"anna": "A loud voice", "tom": "Another voice"}},
        {"voices": {"anna": {"description": "A calm voice", "seed": 4}}},
        {"render": {"model": "./lm", "codec": "./codec", "seed": 4}},
        {"render": {"model": "./lm", "codec": "./codec", "temperature": 0.5}},
    ],
    ids=["description", "voice seed", "seed", "temperature"],
)
def test_what_shapes_the_whole_book_changes_all_keys(change: dict[str, object], tiny: TinyBook) -> None:
    tiny.write(TEXT)
    before = keys(tiny.plan())
    tiny.write(TEXT, **change)
    after = keys(tiny.plan())
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_a_line_at_the_top_gives_one_new_key(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    before = by_text(tiny.plan())
    tiny.write({"Zero": ["A new beginning."], **TEXT | {"One": ["A first line.", *TEXT["One"]]}})
    after = by_text(tiny.plan())
    assert {text for text in after if after[text] not in before.values()} == {"A new beginning.", "A first line."}
    assert {text: after[text] for text in before} == before


def test_an_edited_sentence_gives_one_new_key(tiny: TinyBook) -> None:
    tiny.write(TEXT)
    before = keys(tiny.plan())
    tiny.write(TEXT | {"One": [TEXT["One"][0], "The river was low."]})
    after = keys(tiny.plan())
    assert [ref for ref in after if after[ref] != before[ref]] == ["1:2"]


def test_equal_chunks_have_keys_of_their_own_counted_over_the_book(tiny: TinyBook) -> None:
    tiny.write({"One": ["Yes.", "No.", "Yes."], "Two": ["Yes."]})
    plan = tiny.plan()
    assert [chunk.occurrence for chunk in plan.chunks()] == [1, 1, 2, 3]
    assert len(set(keys(plan).values())) == 4
    before = keys(plan)
    tiny.write({"One": ["No.", "Yes."], "Two": ["Yes."]})
    after = keys(tiny.plan())
    assert [after["1:1"], after["1:2"], after["2:1"]] == [before["1:2"], before["1:1"], before["1:3"]]


def test_equal_texts_of_other_voices_are_not_equal_chunks(tiny: TinyBook) -> None:
    tiny.write({"One": ["Yes.", "[tom] Yes."]})
    plan = tiny.plan()
    assert texts(plan) == ["Yes.", "Yes."]
    assert [chunk.description for chunk in plan.chunks()] == ["A calm voice.", "Another voice."]
    assert [chunk.occurrence for chunk in plan.chunks()] == [1, 1]


def test_the_seed_of_a_voice_comes_before_that_of_the_book(tiny: TinyBook) -> None:
    voices = {"anna": {"description": "A calm voice", "seed": 0}, "tom": "Another voice"}
    render = {"model": "./lm", "codec": "./codec", "seed": 5}
    tiny.write({"One": ["Yes.", "[tom] No."]}, voices=voices, render=render)
    assert [chunk.seed for chunk in tiny.plan().chunks()] == [0, 5]
    assert [chunk.seed for chunk in tiny.plan(seed=6).chunks()] == [0, 6]


LONG = [
    "The night was dark and the river was high, and an old man stood by the water; he had a lamp in his hand, "
    "and he had waited there for a long time <sigh> in the cold, and no boat came, and no man called. " * 3,
    "“Who goes there?” he said. [tom] Nobody. [anna] It was 1984, and Mr. Smith owed $1,250.75!",
    "* * *",
    "Yes…",
]


def test_the_sources_of_a_chapters_chunks_are_its_text(tiny: TinyBook) -> None:
    tiny.write({"One": LONG, "Two": ["  Odd   spaces. "]})
    plan = tiny.plan()
    assert plan.manuscript.chapters[0].text == "\n\n".join(LONG)
    for text, chapter in zip(plan.manuscript.chapters, plan.chapters, strict=True):
        assert "".join(chunk.source for chunk in chapter.chunks) == text.text
    assert [chunk.index for chunk in plan.chapters[0].chunks] == list(range(1, len(plan.chapters[0].chunks) + 1))


@pytest.mark.parametrize("most", [1000, 2000, 3500])
def test_no_chunk_may_take_more_tokens_than_allowed(most: int, tiny: TinyBook) -> None:
    tiny.write({"One": LONG}, render={"model": "./lm", "codec": "./codec", "max_tokens": most})
    chunks = list(tiny.plan().chunks())
    for chunk in chunks:
        assert chunk.max_frames * SLOTS <= most
        assert chunk.max_frames * SLOTS >= cap_tokens(chunk.text, chunk.description, "en")
        assert 0 < chunk.expected_frames <= chunk.max_frames
    assert "".join(chunk.source for chunk in chunks) == "\n\n".join(LONG)


@pytest.mark.parametrize("positions", [1500, 2500])
def test_the_prompt_and_all_its_speech_fit_the_models_context(positions: int, tiny: TinyBook) -> None:
    (tiny.folder / "lm" / "config.json").write_text(json.dumps({"max_position_embeddings": positions}))
    tiny.write({"One": LONG}, voices={"anna": "A calm voice, " * (positions // 50), "tom": "Another voice"})
    for chunk in tiny.plan().chunks():
        prompt = len(f'<description="{chunk.description}"> {chunk.text}'.encode()) + 6
        assert prompt + chunk.max_frames * SLOTS + 1 <= positions


def test_a_model_that_is_not_there_is_planned_as_maya1(tiny: TinyBook, hub: Path) -> None:
    tiny.write({"One": LONG}, render={})
    plan = tiny.plan()
    assert plan.layout == TokenLayout()
    assert plan.sound == Sound()
    assert max(chunk.max_frames for chunk in plan.chunks()) * SLOTS <= CONTEXT


def test_a_word_no_budget_holds_is_told_with_its_place(tiny: TinyBook) -> None:
    tiny.write({"One": ["Yes."]}, render={"model": "./lm", "codec": "./codec", "max_tokens": 56})
    with pytest.raises(ManifestError, match=r"book.yaml:\d+:\d+: Yes. is too long for the model to speak"):
        tiny.plan()


def test_everything_that_is_wrong_is_told_at_once_with_its_place(tiny: TinyBook) -> None:
    (tiny.folder / "two.txt").write_text("It is late.\n\n[nobody] Yes <cough> no.\n")
    tiny.path.write_text(
        "title: T\n"
        "voices: {anna: A voice}\n"
        "voise: anna\n"
        "render: {model: ./lm, temperature: 9}\n"
        "chapters:\n"
        "  - title: One\n"
        "    text: |\n"
        "      Hello <laugf> there.\n"
        "  - title: Two\n"
        "    file: two.txt\n"
        "  - title: Three\n"
        "    file: three.txt\n"
    )
    with pytest.raises(ManifestError) as caught:
        tiny.plan()
    places = [f"{Path(finding.file).name}:{finding.line}:{finding.column}" for finding in caught.value.findings]
    assert places == [
        "book.yaml:3:1",
        "book.yaml:4:36",
        "book.yaml:8:13",
        "book.yaml:12:11",
        "two.txt:3:1",
        "two.txt:3:14",
    ]
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert "<laugh>" in lines[2]


def test_tags_the_model_may_not_know_can_be_allowed(tiny: TinyBook) -> None:
    tiny.write({"One": ["Oh <cough> no.", "Stop <laugh> it."]})
    with pytest.raises(ManifestError, match="cough"):
        tiny.plan()
    plan = make_plan(tiny.path, Render(), allow_unknown_tags=True)
    assert len(plan.warnings) == 1
    assert "<cough>" in plan.warnings[0]
    assert plan.warnings[0].endswith("(allowed)")
    assert texts(plan) == ["Oh <cough> no.", "Stop <laugh> it."]


def test_allowing_tags_allows_nothing_else(tiny: TinyBook) -> None:
    tiny.write({"One": ["[nobody] Oh <cough> no."]})
    with pytest.raises(ManifestError) as caught:
        make_plan(tiny.path, Render(), allow_unknown_tags=True)
    assert len(caught.value.findings) == 1
    assert "nobody" in caught.value.findings[0].what


def test_the_tags_are_those_of_the_model(tiny: TinyBook) -> None:
    write_model(tiny.folder / "mute", LAYOUT | {"tags": []})
    tiny.write({"One": ["Stop <laugh> it."]})
    assert tiny.plan().warnings == ()
    with pytest.raises(ManifestError, match="<laugh>"):
        tiny.plan(model=str(tiny.folder / "mute"))


def test_the_length_of_a_chapter_is_its_speech_and_pauses(tiny: TinyBook) -> None:
    tiny.write({"One": ["Yes.", "No."]}, pauses={"paragraph": 2, "chapter_start": 1, "chapter_end": 3})
    plan = tiny.plan()
    frames = sum(chunk.expected_frames for chunk in plan.chunks())
    assert plan.seconds(plan.chapters[0]) == pytest.approx(plan.layout.seconds(frames) + 2 + 1 + 3)


def test_a_scene_break_is_a_longer_pause(tiny: TinyBook) -> None:
    tiny.write({"One": ["Yes.", "* * *", "No.", "Oh."]}, pauses={"paragraph": 1})
    assert [chunk.pause for chunk in tiny.plan().chunks()] == [2.0, 1.0, 0.0]


def pauses_of(tiny: TinyBook, text: list[str], pauses: dict[str, float], **more: object) -> list[float]:
    tiny.write({"One": text}, pauses={"sentence": 0.5, "paragraph": 1, **pauses}, **more)
    return [chunk.pause for chunk in tiny.plan().chunks()]


def test_each_place_has_its_own_pause(tiny: TinyBook) -> None:
    text = ["Yes. [tom] No. [anna] Oh.", "[tom] Ah.", "[tom] Eh.", "* * *", "* * *", "End."]
    assert pauses_of(tiny, text, {}) == [0.5, 0.5, 1, 1, 3, 0]
    assert pauses_of(tiny, text, {"voice": 0.8, "scene": 2.5}) == [0.8, 0.8, 0.8, 1, 2.5, 0]


def test_a_cut_inside_a_sentence_has_its_own_pause(tiny: TinyBook) -> None:
    long = "The night was dark and the river was high, and the wind went through the trees beyond it. It rained."
    render = {"model": "./lm", "codec": "./codec", "chunk_words": 8}
    plain = pauses_of(tiny, [long], {}, render=render)
    assert plain[:-1] == [0.5] * (len(plain) - 1)
    with_clauses = pauses_of(tiny, [long], {"clause": 0.1}, render=render)
    ends = [chunk.source.rstrip().endswith(".") for chunk in tiny.plan().chunks()]
    assert with_clauses == [0.5 if end else 0.1 for end in ends[:-1]] + [0]
    assert 0.1 in with_clauses


def test_what_follows_a_spoken_title_has_its_own_pause(tiny: TinyBook) -> None:
    assert pauses_of(tiny, ["Yes.", "No."], {"scene": 3}, announce=True) == [3, 1, 0]
    assert pauses_of(tiny, ["Yes.", "No."], {"scene": 3, "heading": 1.5}, announce=True) == [1.5, 1, 0]
    assert pauses_of(tiny, ["[pause 4s] Yes."], {"heading": 1.5}, announce=True) == [4, 0]


def test_a_pause_takes_the_place_of_the_usual_one(tiny: TinyBook) -> None:
    text = ["Yes. [pause 3s] No.", "Oh. [pause 0.2s]", "* * *", "[pause 4s]", "Ah.", "End."]
    tiny.write({"One": text}, pauses={"sentence": 0.5, "paragraph": 1})
    assert [chunk.pause for chunk in tiny.plan().chunks()] == [3.0, 1.0, 4.2, 1.0, 0.0]


def test_pauses_at_a_chapters_edges_are_added_to_its_silences(tiny: TinyBook) -> None:
    edges = {"chapter_start": 1, "chapter_end": 3}
    tiny.write({"One": ["Yes."]}, pauses=edges)
    plain = tiny.plan()
    tiny.write({"One": ["[pause 2s] Yes. [pause 5s]"]}, pauses=edges)
    plan = tiny.plan()
    (chunk,) = plan.chunks()
    assert (chunk.text, chunk.pause_before, chunk.pause) == ("Yes.", 2.0, 5.0)
    assert plan.seconds(plan.chapters[0]) == pytest.approx(plain.seconds(plain.chapters[0]) + 7)
    assert keys(plan) == keys(plain)


def test_marks_and_typography_are_mended_in_books_and_single_texts(tiny: TinyBook) -> None:
    text = "The _ﬁrst_ pre-\nrequisites¹ &mdash; so."
    tiny.write({"One": [text]})
    sound = Sound(model=str(tiny.folder / "lm"))
    spoken = "The first prerequisites — so."
    assert texts(tiny.plan()) == [chunk.text for chunk in speech_plan(text, "A voice", sound)] == [spoken]
    assert {change.rule for chunk in tiny.plan().chunks() for change in chunk.changes} == {
        *("ligature", "divided word (guess)", "emphasis", "note mark", "entity")
    }


def test_marks_are_refused_if_the_book_says_so(tiny: TinyBook) -> None:
    tiny.write({"One": ["It is _so_.", "# Two"]}, marks="error")
    with pytest.raises(ManifestError) as caught:
        tiny.plan()
    first, second = str(caught.value).splitlines()
    assert ": _ marks emphasis; delete it" in first
    assert ": # marks a heading; delete it" in second


@pytest.mark.parametrize(("text", "told"), [("It is _so_.", True), ("It is so.", False)])
def test_a_book_under_rules_1_keeps_its_marks_and_says_so(text: str, told: bool, tiny: TinyBook) -> None:
    tiny.write({"One": [text]})
    made = tiny.plan()
    old = plan_manuscript(made.manuscript, made.sound, rules=1)
    assert texts(old) == [text]
    (warning,) = old.warnings
    assert ("marks like _ and * reach the voice" in warning) is told


def test_a_form_feed_is_white_space(tiny: TinyBook) -> None:
    (tiny.folder / "one.txt").write_text("First page ends here.\n\fSecond page.\n")
    tiny.write({"One": ["x"]})
    tiny.path.write_text(tiny.path.read_text().replace("text: x", "file: one.txt"))
    assert texts(tiny.plan()) == ["First page ends here. Second page."]
    tiny.path.write_text(
        tiny.path.read_text().replace("file: one.txt", "text: |\n    First page.\n    \fSecond <lagh> page.")
    )
    with pytest.raises(ManifestError, match=r"book.yaml:\d+:13: <lagh> is not a tag"):
        tiny.plan()


def test_a_single_text_is_planned_like_a_book(tiny: TinyBook) -> None:
    sound = Sound(model=str(tiny.folder / "lm"), chunk_words=5)
    chunks = speech_plan("The night was dark. The river was high.\n\nYes", "A calm voice", sound)
    assert [(chunk.ref, chunk.text) for chunk in chunks] == [
        ("1:1", "The night was dark."),
        ("1:2", "The river was high."),
        ("1:3", "Yes."),
    ]
    assert {chunk.description for chunk in chunks} == {"A calm voice."}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text:1:1: the chapter has no text to speak"),
        ("One.\n\n  Oh <cough> no.", "text:3:6: "),
        ("a\x07b", "text:1:2: the control character U+0007 is not allowed in a text; delete it"),
        ("One.\n\udcff", "text:2:1: the control character U+DCFF is not allowed in a text; delete it"),
    ],
)
def test_what_is_wrong_with_a_single_text_has_its_place(text: str, message: str, tiny: TinyBook) -> None:
    with pytest.raises(ManifestError) as caught:
        speech_plan(text, "A voice", Sound(model=str(tiny.folder / "lm")))
    assert str(caught.value).startswith(message)
    assert len(caught.value.findings) == 1


@pytest.mark.parametrize("description", ["", 'A "calm" voice', "A <calm> voice", "A\nvoice", "x" * 1001])
def test_what_is_wrong_with_a_single_voice_is_said(description: str, tiny: TinyBook) -> None:
    with pytest.raises(UsageError, match=r"^--description "):
        speech_plan("Yes.", description, Sound(model=str(tiny.folder / "lm")))


LIGHT = """
import sys
from maya_batch.cli.commands import Commands
Commands()["plan"]
heavy = {"torch", "numpy", "lxml", "transformers", "snac", "accelerate", "bitsandbytes", "soundfile", "pydub"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from pathlib import Path
from maya_batch.manifest import Render
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.overview import describe
described = describe(book_state(make_plan(Path(sys.argv[1]), Render()), Machine()), Machine(), takes=True)
assert not heavy & set(sys.modules), heavy & set(sys.modules)
print(described.words, described.chunks)
"""


@pytest.mark.slow
def test_a_whole_book_is_planned_without_torch_and_numpy(tiny: TinyBook) -> None:
    sentence = "The old man took his lamp, number {}, and went down to the river again, as on every other night. "
    paragraphs = ["".join(sentence.format(9 * at + part) for part in range(9)) for at in range(667)]
    tiny.write({f"Part {at}": paragraphs[at : at + 67] for at in range(0, 667, 67)})
    said = subprocess.run([sys.executable, "-c", LIGHT, tiny.path], capture_output=True, text=True)
    assert said.stderr == ""
    words, chunks = map(int, said.stdout.split())
    assert words == 667 * 9 * 20
    assert words / 60 < chunks < words / 20
