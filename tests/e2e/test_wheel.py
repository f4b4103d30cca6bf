"""The wheel alone, without the source tree, renders a book."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.demo import ROOT, environment, write_book


def run(*command: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=env, timeout=600)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the wheel, and of the packages around here all but the project's own.

    They come by a path in a .pth file: the .pth files that lie there in turn, an editable install among them, are
    not read.
    """
    home = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", home, ROOT, cwd=home)
    [wheel] = home.glob("*.whl")
    venv.create(home / "venv", symlinks=True)
    [site] = (home / "venv" / "lib").glob("python3*/site-packages")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", site, wheel]
    run(*command, cwd=home)
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "around.pth").write_text("\n".join(packages), encoding="utf-8")
    return home / "venv" / "bin" / "python"


@pytest.fixture
def clean() -> dict[str, str]:
    env = environment()
    return {name: value for name, value in env.items() if not name.startswith("PYTHON")}


def test_the_source_tree_is_out_of_sight(python: Path, clean: dict[str, str], tmp_path: Path) -> None:
    program = "import maya_batch, sys, torch; print(maya_batch.__file__, *sys.path, sep='\\n')"
    where, *path = run(python, "-c", program, cwd=tmp_path, env=clean).splitlines()
    assert Path(where).is_relative_to(python.parent.parent / "lib")
    assert not any(Path(entry) == ROOT for entry in path)


def test_the_wheel_brings_voice_and_configurations(python: Path, clean: dict[str, str], tmp_path: Path) -> None:
    program = (
        "from maya_batch.files.builtin_files import builtin; print(builtin('assets', 'demo-voice'), builtin('configs'))"
    )
    found = run(python, "-c", program, cwd=tmp_path, env=clean).split()
    for folder, source in zip(found, (ROOT / "assets" / "demo-voice", ROOT / "configs"), strict=True):
        assert Path(folder).is_relative_to(python.parent.parent / "lib")
        names = [{path.relative_to(home) for path in home.rglob("*")} for home in (Path(folder), source)]
        assert names[0] == names[1]
    assert os.access(found[0], os.R_OK)


def test_the_wheel_brings_the_parts_of_a_report(python: Path, clean: dict[str, str], tmp_path: Path) -> None:
    program = "from importlib.resources import files; print(files('maya_batch.report'))"
    folder = Path(run(python, "-c", program, cwd=tmp_path, env=clean).strip())
    assert folder.is_relative_to(python.parent.parent / "lib")
    parts = [path for kind in ("html", "css", "js") for path in (ROOT / "maya_batch" / "report").glob(f"*.{kind}")]
    assert len(parts) >= 10
    for part in parts:
        assert (folder / part.name).read_bytes() == part.read_bytes()


def test_the_wheel_renders(python: Path, clean: dict[str, str], tmp_path: Path) -> None:
    book = write_book(tmp_path / "book.yaml", [["Come in.", "Who is there?"]], formats=["wav", "mp3"])
    run(python, "-m", "maya_batch", "render", book, "--config", "demo", cwd=tmp_path, env=clean)
    names = sorted(path.name for path in (tmp_path / "book").iterdir() if path.is_file())
    assert names == ["01-part-1.mp3", "01-part-1.wav", "listen.html", "report.html", "report.json"]


def test_the_wheel_has_the_command(python: Path, clean: dict[str, str], tmp_path: Path) -> None:
    [site] = (python.parent.parent / "lib").glob("python3*/site-packages")
    [entry] = site.glob("maya_batch-*.dist-info/entry_points.txt")
    assert "maya-batch = maya_batch.__main__:main" in entry.read_text(encoding="utf-8")
    [licence] = site.glob("maya_batch-*.dist-info/licenses/LICENSE")
    assert licence.stat().st_size > 1000
    run(python, "-m", "maya_batch", "--help", cwd=tmp_path, env=clean)
