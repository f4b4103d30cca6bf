"""The README is true: its commands run, its examples are accepted, its tables are complete."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from maya_batch.book.settings import config_names, machine_settings
from maya_batch.cli import app
from maya_batch.manifest import Quality

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAYA_BATCH = [sys.executable, "-m", "maya_batch"]


def blocks(kind: str, text: str = README) -> list[str]:
    return [
        body for label, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if label == kind
    ]


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The README's own example, as book.yaml with its chapter file."""
    (tmp_path / "book.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "ferry.txt").write_text("An old man stood by the water.\n", encoding="utf-8")
    return tmp_path


def test_the_two_commands_are_one_line_each_and_ci_runs_the_second() -> None:
    commands = blocks("sh", section("Two commands"))
    assert len(commands) == 2
    assert all(command.count("\n") == 1 for command in commands)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    extract = re.search(r"command=\$\((awk .*)\)$", script, re.MULTILINE)
    assert extract is not None
    assert run(["bash", "-c", extract[1]], ROOT).stdout == commands[1]
    assert "maya-batch render manifests/demo.yaml" in commands[0]
    assert "pytest" in commands[1]


def test_every_command_is_in_the_table_and_the_other_way_round() -> None:
    documented = set(re.findall(r"^\| `maya-batch (\w+)", README, re.MULTILINE))
    assert documented == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_example_of_a_book_is_one(book: Path) -> None:
    done = run([*MAYA_BATCH, "plan", "book.yaml"], book)
    assert done.returncode == 0, done.stderr
    assert "The Lamp on the Water, A. Writer" in done.stdout
    assert "maya-research/maya1" in done.stdout


def test_the_example_of_a_mistake_is_printed_so(book: Path) -> None:
    shown = next(block for block in blocks("text") if "[ana]" in block)
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


def test_the_example_of_a_machine_is_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(blocks("yaml")[1], encoding="utf-8")
    machine = machine_settings(str(path), {})
    assert (machine.device, machine.quantization, machine.batch_size) == ("cuda", "nf4", 64)


def test_the_example_of_thresholds_shows_the_defaults() -> None:
    shown = yaml.safe_load(blocks("yaml", section("What is looked at"))[0])["render"]["quality"]
    assert shown.items() <= Quality().model_dump().items()
    assert len(shown) >= 6


def test_every_configuration_is_named() -> None:
    for name in config_names():
        assert f"`{name}`" in README


#: What of the README can run without Maya1, a GPU or the network; the rest must say in one line what is missing.
RUNS = {"plan", "status", "clean", "say", "tags", "doctor", "schema", "bench"}


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^(?:\| `|\.venv/bin/)(maya-batch [^`\n]+)", README, re.MULTILINE)))
)
def test_the_command_runs_or_says_what_is_missing(book: Path, command: str) -> None:
    words = shlex.split(command)[1:]
    empty = {
        "XDG_CACHE_HOME": str(book / "cache"),
        "HF_HOME": str(book / "hub"),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = run([*MAYA_BATCH, *words], book, {**os.environ, **empty})
    assert "Traceback" not in done.stderr
    if words[0] == "bench" and "demo" not in words:
        assert done.returncode == 2
        assert "needs a GPU" in done.stderr
    elif words[0] in RUNS and "AakashJammula/maya_4bit" not in words:
        assert done.returncode == 0, done.stderr
    elif words[0] in {"assemble", "redo"}:
        assert done.returncode == 2
        assert "render it" in done.stderr
    else:
        assert done.returncode == 5
        assert "maya-batch fetch" in done.stderr or "the hub cannot be reached" in done.stderr


def test_the_crontab_line_works_in_crons_environment(book: Path) -> None:
    line = next(block for block in blocks("text") if "* * *" in block).strip()
    assert "%" not in line
    fields = line.split(maxsplit=5)
    assert re.fullmatch(r"(\d+|\*)( (\d+|\*)){4}", " ".join(fields[:5]))
    command = fields[5]
    assert all(word.startswith("/") for word in command.split() if "/" in word)
    program = f"{sys.executable} -m maya_batch"
    command = command.replace("/home/me/maya-batch/.venv/bin/maya-batch", program)
    command = command.replace("/home/me/books", str(book)).replace(
        "--config maya1-bf16-24gb", "--config demo --model demo"
    )
    bare = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}  # no HOME, no terminal
    for _ in range(2):
        done = run(["/bin/sh", "-c", command], Path("/"), bare)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in (book / "audio").glob("*.wav")) == ["01-the-ferry.wav", "02-the-hill.wav"]


def test_the_unit_and_its_timer_work_in_systemds_environment(book: Path, tmp_path: Path) -> None:
    service, timer = blocks("ini", section("Every night from cron"))
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
