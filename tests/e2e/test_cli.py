import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from maya_batch.book import run_lock
from maya_batch.book.settings import config_names
from maya_batch.cli.commands import Commands
from maya_batch.run.loading import Loaders
from maya_batch.wording import NOT_TRANSCRIBED, NOTHING_TO_DO, RESUMABLE, incomplete, problems_recorded, stopped_by
from tests.conftest import Said
from tests.support.fakes import FakeEngine, TinyBook, write_gguf

ROOT = Path(__file__).parents[2]
TEXT = {"One": ["The night was dark.", "The river was high."], "Two": ["The rain was gone."]}
COMMANDS = ["render", "assemble", "check", "preview", "redo", "audition", "plan", "status", "clean"]
COMMANDS += ["say", "fetch", "import", "convert", "words", "doctor", "bench", "tags", "schema"]

Cli = Callable[..., Said]


def command(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real thing, in a process of its own."""
    line = [sys.executable, "-m", "maya_batch", *map(str, args)]
    return subprocess.run(line, capture_output=True, text=True, env=os.environ | environment)


def one_line(said: Said, code: int) -> str:
    """What went wrong, in one line and nothing else."""
    assert (said.code, said.out) == (code, "")
    assert said.err.endswith("\n")
    assert said.err.count("\n") == 1
    return said.err.removesuffix("\n")


@pytest.fixture
def rendered(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> TinyBook:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    return tiny


# --- help --------------------------------------------------------------------------------------------------------


def test_every_command_is_known_here() -> None:
    assert sorted(Commands()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, cli: Cli) -> None:
    said = cli(name, "--help")
    assert (said.code, said.err) == (0, "")
    assert re.search(f"Usage: .*maya-batch {name} ", said.out)
    doc = Commands()[name].callback.__doc__
    assert doc.split(":")[0].split()[0] in said.out


def test_help_of_the_program_names_every_command(cli: Cli) -> None:
    said = cli("--help")
    assert said.code == 0
    listed = dict(line.split(maxsplit=1) for line in said.out.partition("Commands:\n")[2].splitlines())
    assert listed.keys() == set(COMMANDS)
    assert all(text.endswith(".") and "..." not in text for text in listed.values())


def test_help_of_the_program_imports_no_command() -> None:
    """All of them and what they need take half a second."""
    check = "import sys; from maya_batch.cli import main; sys.argv = ['maya-batch', '--help']\ntry: main()\n"
    check += "finally: print(sorted(name for name in sys.modules if name.startswith('maya_batch.book')))"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (said.returncode, said.stdout.splitlines()[-1], said.stderr) == (0, "[]", "")


def test_the_command_line_is_there_without_torch_and_its_kin() -> None:
    heavy = {"torch", "transformers", "snac", "huggingface_hub", "jinja2", "scipy", "pyloudnorm"}
    heavy |= {"faster_whisper", "ctranslate2", "num2words", "rapidfuzz"}
    check = f"import sys, maya_batch.cli; print({heavy} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("set()\n", "")


@pytest.mark.parametrize(
    "args", [["nothing"], ["render"], ["assemble", "a", "b"], ["plan", "a", "--no-such"], ["say", "Yes."]]
)
def test_a_command_line_that_is_none_ends_with_2(args: list[str], cli: Cli) -> None:
    said = cli(*args)
    assert (said.code, said.out) == (2, "")
    assert re.search("Usage: .*maya-batch", said.err)


def test_a_book_in_another_language_is_spoken_only_where_that_is_allowed(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT, language="de-AT")
    for command in (["plan"], ["render"], ["preview"], ["redo"], ["audition", "--voice", "tom"]):
        refs = ["1:1"] if command == ["redo"] else []
        line = one_line(cli(command[0], tiny.path, *refs, *command[1:]), 2)
        assert re.match(
            rf"{tiny.path}:\d+:\d+: this model speaks en, not de-AT; choose a model that does, or add ", line
        )
    assert not tiny.output.exists()
    said = cli("render", tiny.path, "--allow-language")
    assert said.code == 0
    assert "this model speaks en, not de-AT" in said.err
    for command in (["status"], ["assemble"], ["clean"], ["plan", "--allow-language"]):
        assert cli(command[0], tiny.path, *command[1:]).code == 0


@pytest.mark.parametrize("language", ["en", "EN-gb", "en-US"])
def test_english_may_be_written_in_several_ways(language: str, tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT, language=language)
    assert cli("plan", tiny.path).code == 0


def test_a_checkpoint_says_what_it_speaks(tiny: TinyBook, cli: Cli) -> None:
    layout = tiny.folder / "lm" / "maya_tokens.json"
    layout.write_text(json.dumps(json.loads(layout.read_text()) | {"languages": ["de", "fr"]}))
    tiny.write(TEXT, language="fr")
    assert cli("plan", tiny.path).code == 0
    tiny.write(TEXT)
    assert "this model speaks de, fr, not en" in cli("plan", tiny.path).err


def test_chapters_that_cannot_be_put_together_are_not_said_to_be(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write({"One": TEXT["One"]})
    assert cli("render", tiny.path).code == 0
    tiny.write(TEXT)
    said = cli("assemble", tiny.path)
    assert said.code == 4
    assert incomplete("1 chapter") in said.err
    assert "all is rendered" not in said.err


def test_an_output_folder_of_a_thousand_levels_is_refused(tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT)
    for command in ("plan", "status", "render", "assemble", "clean"):
        line = one_line(cli(command, tiny.path, "--output", "a/" * 1500), 2)
        assert line == "--output is 1500 folders deep; the limit is 100"
    assert not (tiny.folder / "a").exists()


@pytest.mark.parametrize("kind", [ValueError, NotImplementedError, RecursionError, AssertionError, KeyError])
def test_a_mistake_of_the_program_is_told_in_full_there_and_in_the_log(
    kind: type[Exception], tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    def fail(done: int) -> None:
        raise kind("here\n2026-01-01 00:00:00 ERROR forged\x1b")

    tiny.write(TEXT)
    fake_engine.before_batch = fail
    said = cli("render", tiny.path)
    assert said.code == 1
    log = (tiny.output / ".maya" / "render.log").read_text()
    for text in (said.err, log):
        assert "Traceback (most recent call last):" in text
        assert "in fail" in text
        assert "\x1b" not in text
        assert "this is a bug in maya-batch, please report it: " in text
    assert not any(line.startswith("2026-01-01") for line in log.splitlines())
    fake_engine.before_batch = lambda done: None
    assert cli("render", tiny.path).code == 0


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(12, "Cannot allocate memory"), RuntimeError("can't start new thread")]
)
def test_memory_that_is_full_is_one_line(
    error: Exception, tiny: TinyBook, loaders: Loaders, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise error

    tiny.write(TEXT)
    loaders.engine = fail
    for name in ("plan", "render"):
        with monkeypatch.context() as broken:
            if name == "plan":
                broken.setattr("maya_batch.cli.options.make_plan", fail)
            said = cli(name, tiny.path)
        assert said.code == 5
        assert "Traceback" not in said.err
        assert re.search("memory", said.err.splitlines()[-1])


LOCALES = [
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    pytest.param({"PYTHONIOENCODING": "iso-8859-1"}, marks=pytest.mark.soak),  # it has less than the book, as ascii
]


@pytest.mark.parametrize("environment", LOCALES)
def test_a_locale_that_is_not_utf_8_ends_nothing_in_a_traceback(environment: dict[str, str], tiny: TinyBook) -> None:
    tiny.write({"Café 你好": ["The “night” — was naïve."]}, title="Ménage 你好")
    possible = "LC_ALL" not in environment
    for name in ("plan", "status", "render"):
        line = [sys.executable, "-m", "tests.support.fake_run", name, str(tiny.path)]
        said = subprocess.run(line, capture_output=True, env=os.environ | environment, cwd=ROOT)
        assert said.returncode == (0 if possible else 5), said.stderr
        if not possible:
            assert said.stderr.count(b"\n") == 1
            assert b"this locale (ascii) cannot encode " in said.stderr
    assert (tiny.output / "01-café-你好.wav").is_file() == possible


# --- render ------------------------------------------------------------------------------------------------------


def test_a_whole_book_ends_with_0_and_names_its_files(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    said = cli("render", tiny.path)
    assert (said.code, said.out) == (0, "")
    lines = said.err.splitlines()
    assert lines[0] == "3 of 3 chunks to render"
    assert NOT_TRANSCRIBED in lines.pop(1)
    assert lines[1:3] == [f"{tiny.output / name}  0:00" for name in ("01-one.wav", "02-two.wav")]
    assert lines[3].startswith("3 chunks rendered, ")
    again = cli("render", tiny.path)
    assert (again.code, again.out) == (0, "")
    assert again.err == f"{NOTHING_TO_DO}\n"


def test_quiet_prints_nothing_where_all_is_well(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path, "--quiet") == Said(0, "", "")
    assert cli("assemble", tiny.path, "--quiet") == Said(0, "", "")
    assert (tiny.output / "02-two.wav").is_file()


def test_chunks_with_problems_end_with_3_at_every_run(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Endless talk.", "Fine."]})
    first = cli("render", tiny.path)
    assert first.code == 3
    assert "1:1 cap: no end within" in first.err
    for again in (cli("render", tiny.path), cli("render", tiny.path, "--quiet"), cli("assemble", tiny.path, "--quiet")):
        assert (again.code, again.out) == (3, "")
        assert problems_recorded("1 problem") in again.err
        assert "  1:1 cap: no end within" in again.err


def test_messages_are_kept_with_the_book_and_where_asked(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Endless talk."]})
    assert cli("render", tiny.path, "--quiet", "--log-file", tiny.folder / "logs" / "mine.log").code == 3
    for path in (tiny.output / ".maya" / "render.log", tiny.folder / "logs" / "mine.log"):
        assert " WARNING 1:1 cap: no end within" in path.read_text()
        assert " INFO 1 of 1 chunk to render" in path.read_text()


def test_output_goes_where_it_is_asked_to(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path, "--output", tiny.folder / "elsewhere", "--quiet").code == 0
    assert (tiny.folder / "elsewhere" / "01-one.wav").is_file()
    assert not tiny.output.exists()


def test_flags_reach_the_engine(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    flags = ["--batch-size", "1", "--dtype", "float16", "--quantization", "nf4", "--decoding", "free"]
    assert cli("render", tiny.path, *flags, "--device", "cpu", "--engine", "hf").code == 0
    assert [len(batch) for batch in fake_engine.batches] == [1, 1, 1]
    assert (fake_engine.dtype, fake_engine.quantization) == ("float16", "nf4")
    assert set(fake_engine.decodings) == {"free"}


def test_unknown_tags_can_be_allowed(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Oh <cough> no."]})
    assert "<cough>" in one_line(cli("render", tiny.path), 2)
    said = cli("render", tiny.path, "--allow-unknown-tags")
    assert said.code == 0
    assert said.err.splitlines()[0].endswith("(allowed)")
    assert fake_engine.texts == ["Oh <cough> no."]


def test_no_tag_is_read_aloud(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    fake_engine.known_tags = ("sigh",)
    path, voice = tiny.folder / "x.wav", ["--model", tiny.folder / "lm", "--codec", tiny.folder / "codec"]
    said = cli("say", "Stop <laugh> it.", "-o", path, *voice)
    assert one_line(said, 2) == "this checkpoint has no token for <laugh> and would read it aloud; remove the tag"
    assert not path.exists()
    assert cli("say", "Stop <sigh> it.", "-o", path, *voice).code == 0


def test_chapters_that_are_not_whole_end_assembling_with_4(rendered: TinyBook, cli: Cli) -> None:
    rendered.write({"One": [*TEXT["One"], "It was late."], "Two": TEXT["Two"]})
    said = cli("assemble", rendered.path)
    assert (said.code, said.out) == (4, "")
    line = said.err.splitlines()[0]
    assert line.startswith("01-one: ")
    assert line.endswith(f"run `maya-batch render {rendered.path}`")


STOPPED = """
import signal, sys, time, types
from pathlib import Path
from tests.support.fakes import FakeCodec, FakeEngine
from maya_batch.checkpoint.token_layout import read_layout

book = Path(sys.argv[2])
engine = FakeEngine(read_layout(book.parent / "lm"), batch_size=1)

def wait_for_a_signal(done):
    if done == 2:
        print("two batches are done", flush=True)
        time.sleep(1)  # the signal is noted meanwhile, and ends the run at the next frame

engine.before_batch = wait_for_a_signal
from maya_batch.cli import main
from maya_batch.run.loading import Loaders
main(loaders=Loaders(engine=lambda *_, **__: engine, codec=lambda *_: FakeCodec(), threaded=True))
"""


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version") == Said(0, f"maya-batch {version('maya-batch')}\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_ends_with_4_and_keeps_what_is_done(number: signal.Signals, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    line = [sys.executable, "-c", STOPPED, "render", str(tiny.path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "two batches are done\n"
        run.send_signal(number)
        out, err = run.communicate()
    assert (run.returncode, out) == (4, "")
    assert err.splitlines()[-1] == RESUMABLE
    assert "Traceback" not in err
    assert len(list(tiny.output.rglob("*.npz"))) == 2
    assert list(tiny.output.rglob("*.part")) == []


# --- what may be wrong -------------------------------------------------------------------------------------------


def test_a_manifest_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    for name in ("render", "assemble", "plan", "status", "clean"):
        line = one_line(cli(name, tmp_path / "none.yaml"), 2)
        assert line == f"{tmp_path}/none.yaml:1:1: the manifest does not exist"


def test_a_manifest_that_is_a_folder(cli: Cli, tmp_path: Path) -> None:
    assert one_line(cli("plan", tmp_path), 2) == f"{tmp_path}:1:1: the manifest is a folder"


def test_a_manifest_that_is_no_yaml(cli: Cli, tiny: TinyBook) -> None:
    tiny.path.write_text("title: [T\n")
    assert one_line(cli("plan", tiny.path), 2).startswith(f"{tiny.path}:2:1: ")


def test_a_voice_that_is_not_there(cli: Cli, tiny: TinyBook) -> None:
    tiny.write({"One": ["[bob] Yes."]})
    assert "bob" in one_line(cli("render", tiny.path), 2)


def test_all_mistakes_of_a_book_are_a_line_each(cli: Cli, tiny: TinyBook) -> None:
    tiny.write({"One": ["[bob] Yes.", "Oh <cough> no."]}, voice="carol")
    said = cli("render", tiny.path)
    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 3
    assert all(line.startswith(f"{tiny.path}:") for line in said.err.splitlines())


def test_a_configuration_that_is_not_there(cli: Cli, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    line = one_line(cli("plan", tiny.path, "--config", "none"), 2)
    assert line == f"--config none: no such file, and none of {', '.join(config_names())}"


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--device", "gpu"), ("--dtype", "fp8"), ("--quantization", "q4"), ("--engine", "vllm"), ("--batch-size", "0")],
)
def test_a_flag_out_of_bounds(flag: str, value: str, cli: Cli, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    assert one_line(cli("render", tiny.path, flag, value), 2).startswith(f"{flag} ")
    assert not tiny.output.exists()


def error_of_render(said: Said, code: int) -> str:
    """The last line, after the one that says what there is to do."""
    assert (said.code, said.out) == (code, "")
    lines = said.err.splitlines()
    assert lines[:-1] == ["3 of 3 chunks to render"]
    return lines[-1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(cli: Cli, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    line = error_of_render(cli("render", tiny.path, "--device", "cuda"), 5)
    assert line.startswith("device cuda: ")
    assert line.endswith("or use --device cpu")


def test_an_engine_that_does_not_load_the_model(cli: Cli, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    line = one_line(cli("render", tiny.path, "--engine", "gguf"), 2)
    assert line.startswith(f"engine gguf needs a .gguf file, and {tiny.folder / 'lm'} is none; ")


def test_an_engine_that_does_not_load_the_model_of_a_whole_book(
    cli: Cli, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    assert one_line(cli("render", tiny.path, "--engine", "gguf"), 2).startswith("engine gguf needs a .gguf file")


def test_a_model_that_is_not_there(cli: Cli, tiny: TinyBook, hub: Path) -> None:
    tiny.write(TEXT, render={})
    line = error_of_render(cli("render", tiny.path), 5)
    assert "`maya-batch fetch maya-research/maya1`" in line
    assert line.endswith("or try the built-in demo voice with `--model demo`")
    assert "maya-batch fetch" in one_line(cli("say", "Yes.", "-o", tiny.folder / "x.wav"), 5)


def test_a_model_that_is_neither_a_folder_nor_a_hub_id(cli: Cli, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    assert one_line(cli("plan", tiny.path, "--model", "./none"), 2).startswith("model ./none: no such folder")


def test_a_gguf_file_that_is_not_there(cli: Cli, tiny: TinyBook) -> None:
    """As for a hub id, `plan` needs no model."""
    tiny.write(TEXT, render={"model": "./maya1.gguf", "codec": "./codec"})
    said = cli("plan", tiny.path)
    assert f"model {tiny.folder / 'maya1.gguf'}, engine gguf, output " in said.out
    line = error_of_render(cli("render", tiny.path), 5)
    assert line.startswith(f"model {tiny.folder / 'maya1.gguf'}: no such file; download one with `maya-batch fetch ")


@pytest.mark.usefixtures("unread_gguf")
def test_plan_and_status_say_the_engine(cli: Cli, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    gguf = write_gguf(tiny.folder / "maya1.gguf")
    for command in ("plan", "status"):
        for model, engine in ((tiny.folder / "lm", "hf"), (gguf, "gguf"), ("org/voice", "hf")):
            assert f"model {model}, engine {engine}, output " in cli(command, tiny.path, "--model", model).out
            assert json.loads(cli(command, tiny.path, "--model", model, "--json").out)["engine"] == engine


@pytest.mark.usefixtures("unread_gguf")
def test_a_config_of_the_other_engine_is_refused_with_the_way_out(cli: Cli, tiny: TinyBook) -> None:
    tiny.write(TEXT)
    write_gguf(tiny.folder / "maya1.gguf")
    line = one_line(cli("plan", tiny.path, "--config", "maya1-gguf-cpu"), 2)
    assert line.startswith(f"engine gguf needs a .gguf file, and {tiny.folder / 'lm'} is ")
    assert "use --engine hf" in line
    line = one_line(cli("plan", tiny.path, "--config", "demo", "--model", tiny.folder / "maya1.gguf"), 2)
    assert line.startswith("engine hf ")
    assert "use --engine gguf" in line


def test_an_error_of_the_system_is_one_line(cli: Cli, tiny: TinyBook, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/disk/file")

    monkeypatch.setattr("maya_batch.cli.options.make_plan", full)
    assert one_line(cli("plan", tiny.path), 5) == "/disk/file: No space left on device"


@pytest.mark.parametrize("command", ["render", "assemble", "status", "preview", "audition", "check"])
def test_an_empty_output_is_not_the_current_folder(
    command: str, tiny: TinyBook, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.folder)
    tiny.write({"One": ["Fine talk."]})
    before = sorted(tiny.folder.iterdir())
    said = cli(command, tiny.path, "--output", "")
    assert (said.code, sorted(tiny.folder.iterdir())) == (2, before)
    assert "it is empty; name a folder" in said.err


# --- say ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["Yes.", "-o", "x.ogg"], "x.ogg: the name must end in .wav or .mp3"),
        (["Yes.", "-o", "x"], "x: the name must end in .wav or .mp3"),
        (["Oh <cough> no.", "-o", "x.wav"], "text:1:4: <cough> "),
        (["", "-o", "x.wav"], "text:1:1: the chapter has no text to speak"),
        (["\udcff", "-o", "x.wav"], "text:1:1: the control character U+DCFF"),
        (["Yes.", "-o", "x.wav", "--description", 'A "calm" voice'], '--description contains ", which would end'),
        (["Yes.", "-o", "x.wav", "--description", ""], "--description is empty"),
        (["Yes.", "-o", "x.wav", "--temperature", "9"], "--temperature must be at most 2, not 9"),
        (["Yes.", "-o", "x.wav", "--seed", "-1"], "--seed must be at least 0, not -1"),
        (["Yes.", "-o", "x.wav", "--device", "tpu"], "--device cannot be 'tpu'; known: auto, cpu, cuda, cuda:N"),
    ],
)
def test_what_cannot_be_said(
    args: list[str], message: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert one_line(cli("say", *args, "--model", "demo"), 2).startswith(message)
    assert list(tmp_path.iterdir()) == []


# --- looking -----------------------------------------------------------------------------------------------------


def test_a_plan_is_told_without_touching_anything(tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT)
    said = cli("plan", tiny.path)
    assert said.code == 0
    assert said.err == "the rendering speed of this machine is not known; run `maya-batch bench` to measure it\n"
    assert "12 words in 3 chunks" in said.out
    assert "0 of 3 chunks rendered" in said.out
    assert not tiny.output.exists()


@pytest.mark.parametrize("name", ["plan", "status"])
def test_json_is_json(name: str, rendered: TinyBook, cli: Cli) -> None:
    said = cli(name, rendered.path, "--json")
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)
    assert (told["title"], told["chunks"], told["rendered"]) == ("Tiny", 3, 3)
    assert [chapter["file"] for chapter in told["chapters"]] == ["current", "current"]


def test_the_status_has_problems_and_what_is_left_over(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write({"One": ["Hush now."], "Two": ["Fine."]})
    assert cli("render", tiny.path).code == 3
    tiny.write({"One": ["Hush now."]})
    said = cli("status", tiny.path)
    assert said.code == 0
    assert "1:1 silent: " in said.out
    assert f"left over: {tiny.output / '02-two.wav'}" in said.out
    assert "1 unused take; `maya-batch clean`" in said.out
    assert json.loads(cli("status", tiny.path, "--json").out)["stale_files"] == [str(tiny.output / "02-two.wav")]


def test_the_schema_is_json(cli: Cli) -> None:
    said = cli("schema")
    assert (said.code, said.err) == (0, "")
    assert set(json.loads(said.out)["required"]) == {"title", "voices", "chapters"}


def test_the_tags_of_the_demo_voice(cli: Cli) -> None:
    said = cli("tags", "--model", "demo")
    assert said.code == 0
    assert "<laugh_harder>" in said.out.splitlines()
    told = json.loads(cli("tags", "--model", "demo", "--json").out)
    assert told["model"] == "demo"
    assert [f"<{tag}>" for tag in told["known"]] == said.out.splitlines()
    assert told["unknown"] == []


# --- clean -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluttered(rendered: TinyBook) -> tuple[TinyBook, list[Path]]:
    """A book that has lost its second chapter, and what is left of that."""
    rendered.write({"One": TEXT["One"]})
    shutil.copy(rendered.output / "02-two.wav", rendered.output / "02-zwei.wav")
    (rendered.output / "mine.wav").write_bytes(b"RIFF")
    stale = [rendered.output / "02-two.wav", rendered.output / "02-zwei.wav"]
    return rendered, stale


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_cleaning_shows_and_asks_and_removes_nothing_without_a_yes(
    answer: str, cluttered: tuple[TinyBook, list[Path]], cli: Cli
) -> None:
    book, stale = cluttered
    before = everything(book.output)
    said = cli("clean", book.path, answer=answer)
    assert said.code == 2
    shown = said.out.splitlines()
    assert shown[:2] == [str(path) for path in stale]
    assert shown[2].endswith("1.npz")
    assert "remove 2 audio files and 1 take? [y/N]: " in said.out
    assert said.err == "nothing was removed\n"
    assert everything(book.output) == before


@pytest.mark.parametrize(("flags", "answer"), [(["--yes"], ""), ([], "y\n")])
def test_cleaning_removes_what_was_shown_and_only_that(
    flags: list[str], answer: str, cluttered: tuple[TinyBook, list[Path]], cli: Cli
) -> None:
    book, stale = cluttered
    before = everything(book.output)
    said = cli("clean", book.path, *flags, answer=answer)
    assert (said.code, said.err) == (0, "")
    take = Path(said.out.splitlines()[2])
    assert before - everything(book.output) == {*stale, take}
    assert cli("clean", book.path).out == "nothing to remove\n"
    assert json.loads(cli("status", book.path, "--json").out)["rendered"] == 2


@pytest.mark.parametrize("edited", [True, False], ids=["the manifest is edited", "the model config is switched"])
def test_cleaning_goes_by_what_another_run_has_rendered_meanwhile(
    edited: bool, rendered: TinyBook, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(hidden: Path, lock: Any = run_lock.lock_book) -> Any:
        monkeypatch.setattr(run_lock, "lock_book", lock)
        if edited:
            rendered.write(TEXT | {"Three": ["The moon was full."]})
        flags = [] if edited else ["--dtype", "bfloat16", "--switch-model-config"]
        assert cli("render", rendered.path, *flags).code == 0
        made.update(everything(rendered.output))
        return lock(hidden)

    made: set[Path] = set()
    monkeypatch.setattr(run_lock, "lock_book", locked)
    said = cli("clean", rendered.path, "--yes")
    assert (said.code, said.out) == (0, "nothing to remove\n")
    assert everything(rendered.output) == made


def test_a_book_that_was_not_begun_has_nothing_to_remove(tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("clean", tiny.path) == Said(0, "nothing to remove\n", "")
    assert not tiny.output.exists()


# --- fetch -------------------------------------------------------------------------------------------------------


def test_without_a_network_fetching_says_what_else_can_be_done(tmp_path: Path) -> None:
    said = command("fetch", "org/voice", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert (said.returncode, said.stdout) == (5, "")
    assert said.stderr.splitlines() == [
        "fetching org/voice from the Hugging Face hub",
        "org/voice: the hub cannot be reached; run this again when the network is back. Without a network, copy the "
        "repository's files into a folder and name it with --model, --codec or --recognizer.",
    ]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str | None, Path | None]]:
    """What was asked of the hub, which has everything, but no GGUF files; its cache is the folder `hub`."""
    asked: list[tuple[str, str | None, Path | None]] = []

    def download(repo: str, *, revision: str | None, local_dir: Path | None, **more: object) -> str:
        asked.append((repo, revision, local_dir))
        folder = local_dir or tmp_path / "hub"
        folder.mkdir(exist_ok=True)
        if "GGUF" not in repo:
            (folder / "model.safetensors").touch()
        return str(folder)

    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda repo, **more: [])
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


def test_fetching_nothing_in_particular_gets_maya1_and_its_codec(
    downloads: list[tuple[str, str | None, Path | None]], cli: Cli, tmp_path: Path
) -> None:
    said = cli("fetch")
    assert said.code == 0
    assert downloads == [("maya-research/maya1", None, None), ("hubertsiuzdak/snac_24khz", None, None)]
    assert said.out == f"maya-research/maya1: {tmp_path}/hub\nhubertsiuzdak/snac_24khz: {tmp_path}/hub\n"


@pytest.mark.parametrize("name", ["demo", "a/b/c", "org/voice@", "no such name!"])
def test_what_is_no_hub_id_is_not_asked_for(
    name: str, downloads: list[tuple[str, str | None, Path | None]], cli: Cli
) -> None:
    line = one_line(cli("fetch", name), 2)
    assert line == f"{name}: not a hub id like maya-research/maya1; the voice `demo` is built in"
    assert downloads == []


def test_a_revision_can_be_fetched_into_a_folder(
    downloads: list[tuple[str, str | None, Path | None]], cli: Cli, tmp_path: Path
) -> None:
    said = cli("fetch", "org/voice@v1", "--to", tmp_path)
    assert downloads == [("org/voice", "v1", tmp_path / "voice")]
    assert said.out == f"org/voice@v1: {tmp_path}/voice\nuse it with --model {tmp_path}/voice\n"


def test_a_codec_in_a_folder_is_used_with_its_own_flag(
    downloads: list[tuple[str, str | None, Path | None]], cli: Cli, tmp_path: Path
) -> None:
    said = cli("fetch", "--to", tmp_path)
    assert said.out.splitlines()[1::2] == [
        f"use it with --model {tmp_path}/maya1",
        f"use it with --codec {tmp_path}/snac_24khz",
    ]


def test_a_gguf_file_is_fetched_and_the_flag_that_uses_it_is_printed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, downloads: list[tuple[str, str | None, Path | None]]
) -> None:
    names = ["maya1.f16.gguf", "maya1.Q4_K_M.gguf", "evil\x1b[2J.gguf"]
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda repo, **more: names)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repo, file, **more: f"/cache/{file}")
    said = cli("fetch", "org/voice-GGUF", "--file", "*Q4_K_M.gguf")
    path = "/cache/maya1.Q4_K_M.gguf"
    assert (said.code, said.out) == (0, f"org/voice-GGUF: {path}\nuse it with --model {path}\n")
    assert one_line(cli("fetch", "org/voice-GGUF", "--file", "*"), 2) == (
        "org/voice-GGUF: 3 files match --file *; choose one of them: "
        r"evil\x1b[2J.gguf, maya1.Q4_K_M.gguf, maya1.f16.gguf"
    )
    said = cli("fetch", "org/voice-GGUF")
    assert said.code == 2
    assert "it has only GGUF files; choose one of them with --file: " in said.err.splitlines()[-1]
    assert downloads == [("org/voice-GGUF", None, None)]


@pytest.mark.parametrize("names", [(), ("org/one", "org/two"), ("--recognizer", "small.en")])
def test_a_file_is_of_one_repository(
    names: tuple[str, ...], cli: Cli, downloads: list[tuple[str, str | None, Path | None]]
) -> None:
    assert one_line(cli("fetch", *names, "--file", "*Q4_K_M.gguf"), 2) == (
        "--file *Q4_K_M.gguf: name one repository, as in `maya-batch fetch mradermacher/maya1-GGUF --file "
        "'*Q4_K_M.gguf'`"
    )
    assert downloads == []


def test_a_recognizer_is_fetched_by_its_short_name_and_without_what_is_not_needed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def download(repo: str, *, allow_patterns: list[str], **more: object) -> str:
        asked.append((repo, allow_patterns))
        return str(tmp_path)

    (tmp_path / "model.bin").touch()
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    said = cli("fetch", "--recognizer", "small.en")
    assert (said.code, said.out) == (0, f"small.en: {tmp_path}\n")
    files = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]
    assert asked == [("Systran/faster-whisper-small.en", files)]
    said = cli("fetch", "--recognizer", "smal.en")
    assert (said.code, len(asked)) == (2, 1)
    assert said.err.startswith("recognizer smal.en: unknown; use one of tiny.en, tiny, base.en")


@pytest.mark.parametrize(
    ("flag", "value"), [("--verify", "some"), ("--recognizer-device", "gpu"), ("--recognizer-device", "cuda:x")]
)
def test_how_takes_are_listened_to_is_checked(
    flag: str, value: str, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT)
    for command in (["render"], ["redo", "1:1"]):
        said = cli(command[0], tiny.path, *command[1:], flag, value)
        assert said.code == 2
        assert said.err.startswith(f"{flag} cannot be ")


def test_a_disk_that_is_full_while_fetching(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **more: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    said = cli("fetch", "org/voice")
    assert said.code == 5
    assert said.err.splitlines()[-1] == "org/voice: cannot be stored (No space left on device)"


def test_a_name_the_hub_cannot_have(cli: Cli) -> None:
    said = cli("fetch", "org/two..dots")
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("org/two..dots: no such repository or revision on the hub")


# --- deadlines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [("--quiet",), ()])
def test_minutes_that_are_over_end_with_their_own_code_and_quietly(
    flags: tuple[str, ...], tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT)
    said = cli("render", tiny.path, "--max-minutes", "0", *flags)
    line = stopped_by("after --max-minutes")
    assert (said.code, said.out) == (4, "")
    assert said.err == ("" if flags else f"3 of 3 chunks to render\n{line}\n")
    assert line in (tiny.output / ".maya" / "render.log").read_text()
    assert cli("render", tiny.path, "--until", "07:00", "--max-minutes", "0.5").code == 0


def test_a_deadline_that_is_none_is_a_mistake(tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT)
    assert one_line(cli("render", tiny.path, "--until", "noon"), 2) == (
        "--until noon: not a time of day; write it like 07:00"
    )
    assert one_line(cli("render", tiny.path, "--max-minutes", "nan"), 2) == ("--max-minutes nan: must be 0 or more")
