"""Books by a GGUF file, from the command line: each command, beside a book by Hugging Face, and what is heard."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from maya_batch.checkpoint.gguf_convert import FileType, convert
from maya_batch.checkpoint.locate import DEMO, find_checkpoint
from maya_batch.engine.gguf_memory import CODEC_BYTES
from maya_batch.engine.load import load_engine
from maya_batch.text.emotion_tags import MAYA1_TAGS
from tests.conftest import Said
from tests.measure.gguf_words import pooled_word_error
from tests.support.asr import transcribe, word_error, words
from tests.support.demo import CHECKPOINT, FEMALE, ROOT, environment, maya, write_book
from tests.support.llama_checkpoint import require_llama_cpp

if TYPE_CHECKING:
    from maya_batch.engine.hf_engine import HfEngine

CHAPTERS = [["Yes.", "Go on."], ["Why?"]]
#: The tags are in the middle and at the end; no name of a tag is a word of the texts.
TAGGED = [
    "The night was dark, <sigh> and the river was high.",
    "You are late, my friend. <laugh_harder> Come in and sit down by the fire.",
    "An old man stood by the water. <gasp> There was a great white dog in the boat. <exhale>",
]
#: The word error may be larger than with Hugging Face by this share of the words.
POINTS = 0.02

Cli = Callable[..., Said]


def takes(folder: Path) -> int:
    return len(list(folder.rglob("*.npz")))


# --- commands ----------------------------------------------------------------------------------------------------


def test_every_command_takes_a_gguf_file(demo_gguf: Path, cli: Cli, tmp_path: Path) -> None:
    shutil.copy(demo_gguf, tmp_path / "demo.gguf")
    render: dict[str, object] = {"model": "demo.gguf", "codec": "demo", "repetition_penalty": 1}
    book = write_book(tmp_path / "book.yaml", CHAPTERS, render=render)
    folder = tmp_path / "book"

    plan = cli("plan", book)
    assert (plan.code, "gguf" in plan.out) == (0, True), plan
    assert cli("render", book).code == 0
    assert takes(folder) == 3
    assert {json.loads(line)["engine"] for line in report_takes(folder)} == {"gguf gguf f16"}
    status = cli("status", book)
    assert status.code == 0
    assert "3 of 3" in status.out

    before = {path.name: path.read_bytes() for path in folder.glob("*.wav")}
    assert cli("redo", book, "1:1").code == 0
    assert takes(folder) == 4
    after = {path.name: path.read_bytes() for path in folder.glob("*.wav")}
    assert {name for name in after if after[name] != before[name]} == {"01-part-1.wav"}
    assert cli("redo", book, "1:1", "--keep", "1").code == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.wav")} == before
    (folder / "02-part-2.wav").unlink()
    assert cli("assemble", book).code == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.wav")} == before

    samples = tmp_path / "samples"
    audition = cli("audition", book, "--voice", "narrator", "--seeds", 2, "--output", samples)
    assert audition.code == 0, audition.err
    assert len(list(samples.glob("*.wav"))) == 2
    by_flags = ("--model", tmp_path / "demo.gguf", "--codec", "demo")
    assert cli("say", "Go on.", "-o", tmp_path / "x.wav", *by_flags).code == 0
    assert (tmp_path / "x.wav").stat().st_size > 10_000
    tags = cli("tags", "--model", tmp_path / "demo.gguf", "--json")
    assert tags.code == 0
    assert json.loads(tags.out) | {"model": "demo"} == json.loads(cli("tags", "--model", "demo", "--json").out)


def report_takes(folder: Path) -> list[str]:
    """The JSON of what is on record of each take."""
    import numpy as np

    found = []
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            found.append(str(stored["meta"]))
    return found


def test_takes_of_both_engines_are_not_mixed_and_both_are_kept(demo_gguf: Path, cli: Cli, tmp_path: Path) -> None:
    book = write_book(tmp_path / "book.yaml", [["Yes.", "Go on."]])
    folder, gguf = tmp_path / "book", ("--model", demo_gguf, "--codec", "demo")
    sound = folder / "01-part-1.wav"
    assert cli("render", book).code == 0
    first = sound.read_bytes()
    refused = cli("render", book, *gguf)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "--switch-model-config" in refused.err
    assert (takes(folder), sound.read_bytes()) == (2, first)
    assert cli("render", book, *gguf, "--switch-model-config").code == 0
    second = sound.read_bytes()
    assert (takes(folder), second != first) == (4, True)
    assert cli("render", book).code == 2
    for flags, expected in (((), first), (gguf, second)):
        assert cli("render", book, *flags, "--switch-model-config").code == 0
        assert (takes(folder), sound.read_bytes()) == (4, expected)


def test_llama_cpp_prints_nothing(demo_gguf: Path, tmp_path: Path) -> None:
    said = maya("say", "Go on.", "-o", tmp_path / "x.wav", "--model", demo_gguf, "--codec", "demo", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr.count("\n") == 1
    assert said.stderr.startswith(f"{tmp_path / 'x.wav'}  ")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--engine", "hf"), "engine hf needs a folder or a hub id"),
        (("--dtype", "bfloat16"), "a GGUF file has its own number format; remove --dtype bfloat16"),
        (("--quantization", "nf4"), "is stored as f16; remove --quantization nf4"),
    ],
)
def test_flags_of_the_other_engine_are_refused(
    flags: tuple[str, ...], words: str, demo_gguf: Path, cli: Cli, tmp_path: Path
) -> None:
    book = write_book(tmp_path / "book.yaml", [["Yes."]])
    said = cli("render", book, "--model", demo_gguf, "--codec", "demo", *flags)
    assert said.code == 2
    assert words in said.err.splitlines()[-1]
    assert takes(tmp_path) == 0


# --- emotion tags ------------------------------------------------------------------------------------------------


def test_the_ids_of_tagged_texts_are_those_of_hugging_face(engine: "HfEngine", demo_gguf: Path) -> None:
    gguf = load_engine("auto", demo_gguf, device="cpu", dtype="auto", quantization="none", batch_size=2)
    assert gguf.tags() == engine.tags() == engine.layout.tags
    assert len(gguf.tags()) >= 17
    ours, theirs = gguf.prompts, engine.prompts  # type: ignore[attr-defined]
    plain = len(theirs.encode(FEMALE, "Well, there it is."))
    for tag in engine.layout.tags:
        ids = ours.encode(FEMALE, f"Well, <{tag}> there it is.")
        assert ids == theirs.encode(FEMALE, f"Well, <{tag}> there it is.")
        assert ids.count(theirs.tokenizer.known(f"<{tag}>")) == 1
        assert len(ids) <= plain + 2, tag  # the tag, and the space before it
    for text in TAGGED:
        assert ours.encode(FEMALE, text) == theirs.encode(FEMALE, text)


@pytest.mark.parametrize("name", ["gguf", pytest.param("hf", marks=pytest.mark.soak)])
def test_no_tag_is_read_aloud(name: str, demo_gguf: Path, cli: Cli, tmp_path: Path) -> None:
    shutil.copy(demo_gguf, tmp_path / "voice.gguf")
    render: dict[str, object] = {
        "model": "demo" if name == "hf" else "voice.gguf",
        "codec": "demo",
        "repetition_penalty": 1,
    }
    book = write_book(tmp_path / "book.yaml", [TAGGED], render=render)
    assert cli("render", book).code == 0
    heard = transcribe(tmp_path / "book" / "01-part-1.wav")
    reference = words(" ".join(TAGGED))
    error = word_error(reference, heard)
    print(f"\nword error of tagged texts by {name}: {error:.1%} of {len(reference)} words")
    assert error <= 0.25
    names = {part for tag in MAYA1_TAGS for part in tag.split("_")} - set(reference)
    assert {"sigh", "laugh", "harder", "gasp", "exhale"} <= names
    assert names.isdisjoint(heard)


# --- words -------------------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_the_words_of_the_book_are_heard_as_with_hugging_face(kind: FileType, tmp_path: Path) -> None:
    require_llama_cpp()
    model = tmp_path / "voice.gguf"
    convert(find_checkpoint(DEMO, "model"), model, kind, lambda *done: None)
    found, with_hf = pooled_word_error(model), pooled_word_error(CHECKPOINT)
    print(f"\nword error of the demo book: {kind} {found:.2%}, Hugging Face {with_hf:.2%}")
    assert found <= with_hf + POINTS


# --- memory ------------------------------------------------------------------------------------------------------


def test_the_planned_memory_is_the_peak_within_a_tenth(demo_gguf: Path) -> None:
    code = f"""
from maya_batch.engine.api import Request, Sampling
from maya_batch.engine.gguf_memory import CODEC_BYTES
from maya_batch.engine.load import load_engine
from pathlib import Path
engine = load_engine("auto", Path({str(demo_gguf)!r}), device="cpu", dtype="auto", quantization="none", batch_size=8)
requests = [Request(str(n), {FEMALE!r}, "The night was dark.", n, 12, 12) for n in range(8)]
assert sum(map(len, engine.generate(requests, Sampling(0.4, 0.9, 1.0), "framed"))) == 8
print(engine.stats.planned_bytes, engine.peak_memory())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stderr
    planned, peak = map(int, done.stdout.split())
    planned -= CODEC_BYTES  # nothing is decoded to sound here
    print(f"\nplanned {planned / 2**20:.0f} MiB, peak {peak / 2**20:.0f} MiB")
    assert abs(planned - peak) <= 0.1 * peak
