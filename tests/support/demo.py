"""The demo voice as the end-to-end tests use it: real processes that find no ffmpeg, and what they leave behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.take_store import Take
from maya_batch.files.builtin_files import builtin
from maya_batch.manifest import Render
from tests.support.forked_run import launch_demo

if TYPE_CHECKING:
    from maya_batch.engine.hf_engine import HfEngine

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
CHECKPOINT = builtin("assets", "demo-voice", "lm")
CODEC = builtin("assets", "demo-voice", "codec")

FEMALE = "Realistic female voice in the 30s age with american accent. Normal pitch, warm timbre, conversational pacing."
MALE = "Realistic male voice in the 40s age with american accent. Low pitch, deep timbre, conversational pacing."


MOST_SECONDS = 900


def environment(**more: str) -> dict[str, str]:
    """What a process is given: no program is on its path."""
    return {**os.environ, "PATH": "/nonexistent", **more}


def maya(*arguments: object, env: dict[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`maya-batch` in a process of its own that has all modules loaded."""
    with TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        process = launch_demo(*arguments, env=env or environment(), cwd=cwd, out=out, err=err)
        process.join(MOST_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([*map(str, arguments)], MOST_SECONDS)
        said = (path.read_text(encoding="utf-8") for path in (out, err))
        return subprocess.CompletedProcess([*map(str, arguments)], process.exitcode, *said)


def interpreter(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`maya-batch` in a new interpreter: ten seconds more, for what depends on how modules are loaded."""
    command = [sys.executable, "-m", "maya_batch", *map(str, arguments)]
    env = env or environment()
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=MOST_SECONDS)


Run = Callable[..., subprocess.CompletedProcess[str]]


def without_module(folder: Path, *names: str) -> dict[str, str]:
    """An environment in which a new interpreter cannot import these modules."""
    for name in names:
        (folder / f"{name}.py").write_text(f"raise AssertionError('{name} was imported')\n", encoding="utf-8")
    return environment(PYTHONPATH=str(folder))


@dataclass(frozen=True)
class Rendered:
    """A book that a process has rendered."""

    manifest: Path
    folder: Path
    stderr: str

    def takes(self) -> list[tuple[Chunk, Take]]:
        """All chunks in reading order, with their takes."""
        plan = make_plan(self.manifest, Render(), output=self.folder)
        state = book_state(plan, Machine(), self.folder)
        found = [(chunk, state.take(chunk)) for chunk in plan.chunks()]
        return [(chunk, take) for chunk, take in found if take is not None]

    def files(self) -> list[Path]:
        """The audio files, sorted."""
        return sorted(path for path in self.folder.iterdir() if path.suffix in (".wav", ".mp3"))

    def log(self) -> list[str]:
        """The lines of the book's log."""
        return (self.folder / ".maya" / "render.log").read_text(encoding="utf-8").splitlines()


def render_once(manifest: Path, folder: Path, *flags: object, run: Run = maya) -> Rendered:
    """Render a book; anything but a whole one is an error."""
    done = run("render", manifest, "--output", folder, *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return Rendered(manifest, folder, done.stderr)


def write_book(
    path: Path,
    chapters: Sequence[Sequence[str]],
    *,
    voices: dict[str, str] | None = None,
    formats: Sequence[object] = ("wav",),
    render: dict[str, object] | None = None,
) -> Path:
    """A manifest of chapters of paragraphs."""
    book = {
        "title": "A Test",
        "voices": voices or {"narrator": FEMALE},
        "render": {"model": "demo", **(render or {})},
        "output": {"formats": list(formats)},
        "chapters": [
            {"title": f"Part {number}", "text": "\n\n".join(paragraphs)}
            for number, paragraphs in enumerate(chapters, start=1)
        ],
    }
    path.write_text(json.dumps(book), encoding="utf-8")
    return path


def load_demo(folder: Path = CHECKPOINT, *, dtype: str = "float32", quantization: str = "none") -> "HfEngine":
    """The engine with the demo voice, or another checkpoint, on the CPU."""
    from maya_batch.engine.hf_loader import load_hf_engine

    return load_hf_engine(folder, device="cpu", dtype=dtype, quantization=quantization, batch_size=32)
