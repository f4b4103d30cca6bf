"""The docs are true: commands run, examples are accepted, tables are complete, links and figures hold."""

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
import yaml

from maya_batch.book.settings import Machine, config_names, machine_settings
from maya_batch.cli import app
from maya_batch.manifest import Book, Chapter, Format, Output, Pauses, Quality, Render, Voice
from maya_batch.run.progress import LogProgress
from maya_batch.run.result import IN_BACKGROUND, IN_TURN, RunResult, StageTimes
from maya_batch.run.summary import summarize
from maya_batch.run.take_inspector import make_inspector
from maya_batch.text.emotion_tags import MAYA1_TAGS
from tests.support import demo
from tests.support.demo import maya
from tests.support.epubs import write_epub, xhtml
from tests.support.fakes import TinyBook

ROOT = Path(__file__).parents[2]
DOCS = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "manifests/README.md", "configs/README.md", "maya_batch/cli/README.md")
}
README, MANIFEST, MACHINE, _ = DOCS.values()
MAYA_BATCH = [sys.executable, "-m", "maya_batch"]


def blocks(kind: str, text: str) -> list[str]:
    return [
        body for label, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if label == kind
    ]


def section(title: str, text: str) -> str:
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def write_book(folder: Path, doc: str) -> Path:
    """The example of a document, as book.yaml with the files that it names; returns the folder."""
    (folder / "book.yaml").write_text(blocks("yaml", doc)[0], encoding="utf-8")
    (folder / "chapters").mkdir()
    (folder / "chapters" / "ferry.txt").write_text("An old man stood by the water with Hermione.\n", encoding="utf-8")
    (folder / "chapters" / "imprint.txt").write_text("All rights reserved.\n", encoding="utf-8")
    write_epub(folder / "book.epub", {"one.xhtml": xhtml("<h1>The Ferry</h1><p>An old man stood by the water.</p>")})
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    soundfile.write(folder / "chime.wav", np.sin(np.arange(24_000) / 10), 24_000)
    lexicon = next(block for block in blocks("text", MANIFEST) if block.startswith("word,respelling"))
    (folder / "words.csv").write_text(lexicon, encoding="utf-8")
    marks = next(block for block in blocks("text", MANIFEST) if block.startswith("ref,action"))
    (folder / "marks.csv").write_text(marks, encoding="utf-8")
    return folder


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The folder of the manifest's example."""
    return write_book(tmp_path, MANIFEST)


def commands() -> list[tuple[str, str]]:
    """All commands of the docs that have arguments or stand alone in a line or table, each with its first document."""
    # Each takes a minute; tests/bench/test_bench.py and tests/cli/test_checkpoint_report.py run them.
    slow = ("bench --model demo", "bench --model demo --hours 0.002", "doctor --model demo --speak")
    found: dict[str, str] = {f"maya-batch {command}": "" for command in slow}
    for name, text in DOCS.items():
        alone = re.findall(r"^(?:\| `|\.venv/bin/)(maya-batch [^`\n]+)", text, re.MULTILINE)
        inline = re.findall(r"`(?:\.venv/bin/)?(maya-batch [a-z]+ [^`\n\[]+)`", text)
        for command in [*alone, *inline]:
            found.setdefault(command.partition(" > ")[0], name)
    return sorted((name, command) for command, name in found.items() if name)


def test_the_two_commands_are_one_line_each_and_ci_runs_the_second() -> None:
    commands = blocks("sh", section("Two commands", README))
    assert len(commands) == 2
    assert all(command.count("\n") == 1 for command in commands)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    extract = re.search(r"command=\$\((awk .*)\)$", script, re.MULTILINE)
    assert extract is not None
    assert run(["bash", "-c", extract[1]], ROOT).stdout == commands[1]
    assert "maya-batch render manifests/demo.yaml" in commands[0]
    assert "pytest" in commands[1]


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= 200


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    for name, text in {**DOCS, "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")}.items():
        links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
        assert links
        for path, anchor in links:
            target = (ROOT / name).parent / path if path else ROOT / name
            assert target.is_file(), f"{name}: {path}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{name}: {path}#{anchor}"


def test_every_command_is_in_the_table_and_the_other_way_round() -> None:
    documented = set(re.findall(r"^\| `maya-batch (\w+)", README, re.MULTILINE))
    assert documented == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("doc", [README, MANIFEST], ids=["first", "every key"])
def test_the_example_of_a_book_is_one(doc: str, tmp_path: Path) -> None:
    done = run([*MAYA_BATCH, "plan", "book.yaml"], write_book(tmp_path, doc))
    assert done.returncode == 0, done.stderr
    assert "The Lamp on the Water, A. Writer" in done.stdout
    assert "maya-research/maya1" in done.stdout


def test_the_example_of_a_mistake_is_printed_so(tmp_path: Path) -> None:
    book = write_book(tmp_path, README)
    shown = next(block for block in blocks("text", README) if "[ana]" in block)
    command, line = shown.splitlines()
    assert command == "$ maya-batch plan book.yaml"
    _, row, _, message = line.split(":", 3)
    lines = (book / "book.yaml").read_text(encoding="utf-8").splitlines()
    lines[int(row) - 1] = lines[int(row) - 1].replace("[anna]", "[ana]")
    (book / "book.yaml").write_text("\n".join(lines), encoding="utf-8")
    done = run([*MAYA_BATCH, "plan", "book.yaml"], book)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [line]
    assert message


def test_the_example_of_a_run_is_printed_so(
    tiny: TinyBook, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line by line, whatever the numbers are, as a machine without speech recognition prints it."""
    command, *lines = blocks("text", section("What is printed", README))[0].splitlines()
    assert command == "$ maya-batch render manifests/demo.yaml"
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: False)
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_installed", lambda: False)
    caplog.set_level(logging.INFO, "maya_batch")
    tiny.write({"One": ["Yes."]})
    progress = LogProgress()
    progress.begun(19, 19)
    make_inspector(tiny.plan(), Machine(), tiny.loaders).load()
    files = [Path(line.partition("  ")[0]) for line in lines if line.startswith("/") and "  " in line]
    for path in files:
        progress.published(path, 70.0)
    stages = StageTimes(dict.fromkeys((*IN_TURN, *IN_BACKGROUND), 1.0))
    result = RunResult(chunks=19, speech=144.0, files=files, stages=stages, report=files[0].with_name("report.html"))
    printed = [*caplog.messages, *summarize(result)]
    assert [_masked(line) for line in lines] == [_masked(line) for line in printed]


def _masked(line: str) -> str:
    """Without numbers, and without the command that installs something here."""
    return re.sub(r"(?<!/)\b\d+(?:[.:]\d+)?", "0", re.sub("`[^`]*`", "`…`", line))


def test_the_example_of_a_machine_is_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(blocks("yaml", MACHINE)[0], encoding="utf-8")
    machine = machine_settings(str(path), {})
    assert (machine.device, machine.quantization, machine.batch_size) == ("cuda", "nf4", 64)
    assert yaml.safe_load(path.read_text(encoding="utf-8")).keys() == Machine.model_fields.keys()


def test_the_example_of_thresholds_shows_the_defaults() -> None:
    shown = yaml.safe_load(blocks("yaml", section("Quality: what is checked", MANIFEST))[0])["render"]["quality"]
    assert shown == Quality().model_dump()


def test_every_key_and_tag_is_documented() -> None:
    for part in (Book, Voice, Chapter, Pauses, Output, Format, Render, Quality):
        assert all(re.search(rf"\b{name}\b", MANIFEST) for name in part.model_fields), part
    assert all(f"`<{tag}>`" in MANIFEST for tag in MAYA1_TAGS)


def test_every_configuration_is_named_and_this_page_is_none() -> None:
    assert {path.stem for path in (ROOT / "configs").iterdir()} == {*config_names(), "README"}
    assert "README" not in config_names()
    for name in config_names():
        assert f"`{name}`" in MACHINE


def test_every_extra_and_module_that_is_named_is_there() -> None:
    texts = [*DOCS.values(), (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {extra for text in texts for extra in re.findall(r"pip install [^`\n]*'\.\[([\w-]+)\]'", text)}
    assert named == {"cluster", "gguf", "test", "verify", "verify-cuda"}
    assert named <= extras.keys()
    modules = {module for text in texts for module in re.findall(r"python -m ([\w.]+)", text)}
    assert modules >= {"maya_batch.cli.reference", "tests.measure.detection"}
    assert all(find_spec(module) for module in modules)


@pytest.mark.parametrize(("doc", "title"), [(MACHINE, "How fast"), (MANIFEST, "How much is found")])
def test_measured_figures_are_in_the_log(doc: str, title: str) -> None:
    log = (ROOT / "tests" / "measure" / "LOG.md").read_text(encoding="utf-8")
    number = r"\d+(?:\.\d+)?(?= %|x| times| GiB| s\b| TB)"
    figures = set(re.findall(number, section(title, doc)))
    assert len(figures) >= 6
    assert figures <= set(re.findall(r"\d+(?:\.\d+)?", log))


#: What can run without Maya1, a GPU or the network; the rest must say in one line what is missing.
RUNS = {"plan", "status", "clean", "say", "tags", "doctor", "schema", "bench", "words", "import"}


@pytest.mark.parametrize(("name", "command"), commands())
def test_the_command_runs_or_says_what_is_missing(tmp_path: Path, name: str, command: str) -> None:
    book = write_book(tmp_path, README if name == "README.md" else MANIFEST)
    (book / "other.yaml").write_text((book / "book.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (book / "bin").mkdir()
    (book / "bin" / "mail-me").symlink_to("/bin/true")
    words = shlex.split(command)[1:]
    empty = {
        "PATH": f"{book / 'bin'}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(book / "cache"),
        "HF_HOME": str(book / "hub"),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = maya(*words, env={**os.environ, **empty}, cwd=book)
    assert "Traceback" not in done.stderr
    lacks_model = "AakashJammula/maya_4bit" in words or any(word.endswith(".gguf") for word in words)
    if words[0] == "bench" and "demo" not in words and not lacks_model:
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == "a model of Maya1's shape needs a GPU; on a CPU use --model demo"
    elif words[0] in RUNS and not lacks_model:
        assert done.returncode == 0, done.stderr
    elif words[:2] == ["convert", "demo"]:
        assert done.returncode == (5 if find_spec("gguf") is None else 0), done.stderr
    elif words[0] in {"assemble", "redo", "check"}:
        assert done.returncode == 2
        assert "run `render` first" in done.stderr
    else:
        assert done.returncode == 5, done.stderr
        assert "maya-batch fetch" in done.stderr or "the hub cannot be reached" in done.stderr


def test_the_crontab_line_works_in_crons_environment(tmp_path: Path) -> None:
    demo.write_book(tmp_path / "book.yaml", [["Come in."]])
    line = next(block for block in blocks("text", README) if "* * *" in block).strip()
    assert "%" not in line
    fields = line.split(maxsplit=5)
    assert re.fullmatch(r"(\d+|\*)( (\d+|\*)){4}", " ".join(fields[:5]))
    command = fields[5]
    assert all(word.startswith("/") for word in command.split() if "/" in word)
    program = f"{sys.executable} -m maya_batch"
    command = command.replace("/home/me/maya-batch/.venv/bin/maya-batch", program)
    command = command.replace("/home/me/books", str(tmp_path))
    command = command.replace("--config maya1-bf16-24gb", "--config demo --model demo")
    bare = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}  # no HOME, no terminal
    for _ in range(2):
        done = run(["/bin/sh", "-c", command], Path("/"), bare)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in (tmp_path / "book").glob("*.wav")] == ["01-part-1.wav"]


@pytest.mark.soak  # it renders the manifest's example, and the crontab line renders a book, too
def test_the_unit_and_its_timer_work_in_systemds_environment(book: Path, tmp_path: Path) -> None:
    service, timer = blocks("ini", section("Running at night", MACHINE))
    program = f"{sys.executable} -m maya_batch"
    service = service.replace("/home/me/maya-batch/.venv/bin/maya-batch", program).replace("User=me\n", "")
    service = service.replace("/home/me/books", str(book))
    units = [tmp_path / "audiobook.service", tmp_path / "audiobook.timer"]
    for path, text in zip(units, (service, timer), strict=True):
        path.write_text(text, encoding="utf-8")
    if shutil.which("systemd-analyze"):
        done = run(["systemd-analyze", "verify", *map(str, units)], tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    settings = dict(line.split("=", 1) for line in service.splitlines() if "=" in line)
    assert settings["SuccessExitStatus"] == "4"
    assert "%" not in settings["ExecStart"]
    command = settings["ExecStart"].replace("--config maya1-bf16-24gb", "--config demo --model demo")
    done = run(["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", *shlex.split(command)], Path("/"))
    assert (done.returncode, done.stdout, done.stderr) in [(0, "", ""), (4, "", "")]  # at 07:00, it stops
    assert [path.name for path in (book / "audio").glob("report.html")] == ["report.html"]
