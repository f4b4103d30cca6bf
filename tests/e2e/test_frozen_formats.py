"""What is written to disk or typed by people keeps its names for ever: it may grow, and nothing in it is renamed.

`maya_batch/README.md` lists these formats. Where one of these tests fails, the code has to go back, not the test.
"""

import hashlib
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import typer
import yaml

from maya_batch.book.chunk import Chunk
from maya_batch.book.marks_file import read_marks
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine, Sound, config_names, machine_settings
from maya_batch.book.state import book_state
from maya_batch.cli import app
from maya_batch.engine.api import Sampling
from maya_batch.manifest import Render, json_schema
from tests.e2e.test_stored_book import STORED, Cli, book
from tests.support.fakes import FakeEngine, TinyBook

__all__ = ["book"]

MAYA = STORED / "audio" / ".maya"

#: Kinds of problems, which takes and reports carry.
KINDS = {
    *("short", "long", "repeated", "cap", "broken", "silent", "pause", "clipped", "dc", "noise", "ending"),
    *("missing", "added", "tag", "words"),
}
#: Of all commands together.
FLAGS = {
    *("--output", "--config", "--model", "--codec", "--engine", "--device", "--dtype", "--quantization", "--decoding"),
    *("--kv-cache",),
    *("--batch-size", "--verify", "--recognizer", "--recognizer-device", "--attempts", "--until", "--max-minutes"),
    *("--notify", "--allow-unknown-tags", "--allow-language", "--quiet", "--verbose", "--log-file", "--adopt"),
    *("--switch-model-config", "--upgrade-text", "--json", "--yes", "--other-book", "--forget", "--seed", "--keep"),
    *("--voice", "--seeds", "--text", "-o", "--description", "--temperature", "--top-p", "--repetition-penalty"),
    *("--chapters", "--takes", "--to", "--file", "--hours", "--gpu-memory", "--baseline", "--speak"),
    *("--chunks", "--show-text", "-n", "--word", "--respelling", "--store", "--from"),
    *("--workers", "--ray-address"),
}
COMMANDS = {
    *(
        "render",
        "plan",
        "status",
        "assemble",
        "check",
        "redo",
        "audition",
        "clean",
        "say",
        "fetch",
        "doctor",
        "bench",
        "tags",
    ),
    *("schema", "words", "preview", "check"),
}


def test_the_key_is_a_digest_of_this_json() -> None:
    config = ModelConfig("hub:maya-research/maya1@0123", "bfloat16", "nf4", "framed")
    chunk = Chunk(3, 17, " Só…\n", "A calm voice.", "Só…", 7, 2, 50, 100, 0.25, 1)
    written = (
        '{"description":"A calm voice.","occurrence":2,'
        '"recipe":{"decoding":"framed","dtype":"bfloat16","model":"hub:maya-research/maya1@0123","quantization":"nf4"},'
        '"sampling":{"repetition_penalty":1.1,"temperature":0.4,"top_p":0.9},"seed":7,"text":"Só…","version":1}'
    )
    assert chunk.key(config, Sound()) == hashlib.sha256(written.encode()).hexdigest()
    in_8_bits = written.replace('"framed","dtype":"bfloat16",', '"framed","dtype":"bfloat16","kv_cache":"int8",')
    assert in_8_bits != written
    key = chunk.key(replace(config, kv_cache="int8"), Sound())
    assert key == hashlib.sha256(in_8_bits.encode()).hexdigest()


def test_what_version_0_1_did_not_have_is_in_no_key_of_its_books() -> None:
    """A setting that is new enters a key only where it differs from what 0.1 did: by default, never."""
    plan = make_plan(STORED / "lamp.yaml", Render())
    state = book_state(plan, Machine())
    assert state.model_config is not None
    stored = {path.parent.name for path in (MAYA / "takes").rglob("*.npz")}
    assert {chunk.key(state.model_config, plan.sound) for chunk in plan.chunks()} == stored
    assert {chunk.key(state.model_config, Sound(**plan.sound.model_dump())) for chunk in plan.chunks()} == stored
    # A field that is added to one of these needs a rule for keys: see `book.chunk`.
    assert [field.name for field in fields(ModelConfig)] == [
        *("model", "dtype", "quantization", "decoding", "kv_cache")
    ]
    assert [field.name for field in fields(Sampling)] == ["temperature", "top_p", "repetition_penalty"]


def test_model_lock() -> None:
    lock = yaml.safe_load((MAYA / "model.lock").read_text(encoding="utf-8"))
    assert lock.keys() == {"version", "model", "codec"}
    assert lock["model"]["demo"].keys() == {"identity", "files", "recipe"}
    assert lock["model"]["demo"]["recipe"].keys() == {"dtype", "quantization", "decoding"}


def test_model_lock_is_written_as_it_is_read(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine words here."]})
    assert cli("render", tiny.path).code == 0
    assert cli("render", tiny.path, "--dtype", "float16", "--switch-model-config").code == 0
    lock = yaml.safe_load((tiny.output / ".maya" / "model.lock").read_text(encoding="utf-8"))
    (entry,) = lock["model"].values()
    assert lock.keys() == {"version", "model", "codec"}
    assert entry.keys() == {"identity", "files", "recipe", "earlier"}
    assert entry["recipe"].keys() == {"dtype", "quantization", "decoding"}
    assert entry["earlier"][0].keys() == {"identity", "dtype", "quantization", "decoding"}


def test_a_take(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine words here."]})
    assert cli("render", tiny.path).code == 0
    (path,) = tiny.output.rglob("*.npz")
    assert re.fullmatch(r"\.maya/takes/([0-9a-f]{2})/\1[0-9a-f]{62}/1\.npz", str(path.relative_to(tiny.output)))
    with np.load(path) as arrays:
        assert (set(arrays.files), arrays["codes"].dtype, arrays["codes"].shape[1]) == ({"codes", "meta"}, np.uint16, 7)
        meta = json.loads(arrays["meta"].item())
    old = {"key", "attempt", "seed", "finish", "problems", "engine", "seconds", "examined", "hearing"}
    assert meta.keys() == old | {"quiet", "judged"}
    assert meta["finish"] in {"eos", "cap", "broken"}


def test_a_transcript_in_a_take() -> None:
    path = next(path for path in sorted((MAYA / "takes").rglob("*.npz")))
    with np.load(path) as arrays:
        meta = json.loads(arrays["meta"].item())
    assert meta["hearing"] is None or meta["hearing"].keys() == {"recognizer", "text", "word_error", "unheard"}
    assert meta.keys() >= {"key", "attempt", "seed", "finish", "problems", "engine", "seconds"}


def test_choices_chapters_and_the_book_of_a_folder(book: Path, cli: Cli) -> None:
    maya = book.parent / "audio" / ".maya"
    choices = yaml.safe_load((maya / "choices.yaml").read_text(encoding="utf-8"))
    assert all(re.fullmatch("[0-9a-f]{64}", key) and type(attempt) is int for key, attempt in choices.items())
    for mark, (seconds, lufs) in json.loads((maya / "chapters.json").read_text(encoding="utf-8")).items():
        assert re.fullmatch("maya-batch [0-9a-f]{32}", mark)
        assert (type(seconds), type(lufs)) == (float, float)
    assert cli("render", book).code == 0
    of_folder = yaml.safe_load((maya / "book.yaml").read_text(encoding="utf-8"))
    names = {"version", "id", "manifest", "path", "title", "text_rules", "audio_rules", "reports"}
    assert of_folder.keys() == names


def test_the_report(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Fine words here."]})
    assert cli("render", tiny.path).code == 0
    now = json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    old = json.loads((STORED / "audio" / "report.json").read_text(encoding="utf-8"))

    def names(value: Any, path: str = "") -> set[str]:
        if isinstance(value, list):
            return names(value[0], path) if value else set()
        if not isinstance(value, dict) or path in ("problems_by_kind", "workers"):
            return {path}
        return {name for key in value for name in names(value[key], f"{path}.{key}".lstrip("."))}

    assert names(old) <= names(now)
    assert names(now) - names(old) == {
        *("generator", "lexicon", "characters.skipped", "check", "kv_cache_trial", "workers", "listening_seconds"),
        *(
            "chapters.part",
            "chapters.characters.skipped",
            "chapters.master_gain_db",
            "chapters.master_missed_db",
            "chapters.master_over_db",
        ),
        *("chunks.loudness_lufs", "chunks.step_lu"),
    }


def test_marks(tmp_path: Path) -> None:
    path = tmp_path / "marks.csv"
    path.write_text("ref,action,note\n3:17@a1b2,again,too fast\n3:18@b2c3,keep 2,\n4:1@c3d4,note,ask Ann\n", "utf-8")
    assert [(mark.ref, mark.action, mark.attempt, mark.note) for mark in read_marks(path)] == [
        ("3:17@a1b2", "again", None, "too fast"),
        ("3:18@b2c3", "keep", 2, ""),
        ("4:1@c3d4", "note", None, "ask Ann"),
    ]


def test_the_keys_of_a_manifest() -> None:
    def names(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return {name for part in schema for name in names(part)}
        if not isinstance(schema, dict):
            return set()
        properties = schema.get("properties", {})
        return {*properties, *(name for part in (*schema.values(), *properties.values()) for name in names(part))}

    assert names(json_schema()) >= {
        *("title", "author", "language", "voices", "voice", "chapters", "pauses", "output", "render"),
        *("description", "seed", "file", "text", "sentence", "paragraph", "chapter_start", "chapter_end"),
        *("folder", "formats", "type", "bitrate", "model", "codec", "chunk_words", "temperature", "top_p"),
        *("repetition_penalty", "max_tokens", "attempts", "failed", "quality"),
        *("ending_seconds", "longest", "noise_seconds", "pause_seconds", "repeated_seconds"),
        *("shortest", "stretch_words", "word_error", "wrong_words"),
        *("skip", "part", "subtitle", "announce", "series", "name", "number", "narrator", "publisher", "date", "isbn"),
        *(
            "cover",
            "sample",
            "minutes",
            "credits",
            "opening",
            "closing",
            "jingle",
            "master",
            "lufs",
            "rms",
            "true_peak",
        ),
        *("true_peak", "clause", "scene", "heading", "layout", "mode", "sample_rate"),
    }


def test_commands_and_flags() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    flags = {flag for command in commands.values() for option in command.params for flag in option.opts}
    assert commands.keys() >= COMMANDS
    assert flags >= FLAGS


def test_the_values_of_flags_and_the_names_of_configurations() -> None:
    values = {name: field.annotation for name, field in Machine.model_fields.items()}
    for name, known in {
        "engine": {"auto", "hf"},
        "dtype": {"auto", "float32", "bfloat16", "float16"},
        "quantization": {"none", "nf4", "int8"},
        "decoding": {"auto", "framed", "free"},
        "verify": {"all", "suspects", "off"},
    }.items():
        choices = [choice for part in (values[name], *get_args(values[name])) for choice in get_args(part)]
        assert known <= set(choices), name
    assert {"demo", "maya1-bf16-24gb", "maya1-nf4-8gb"} <= set(config_names())
    assert machine_settings("maya1-h100", {}).dtype == "bfloat16"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_kinds_of_problems(kind: str) -> None:
    """Each is made somewhere in the code by this name."""
    package = Path(__file__).parents[2] / "maya_batch"
    sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    assert any(re.search(rf"Problem\(\s*\"{kind}\"", source) for source in sources)
