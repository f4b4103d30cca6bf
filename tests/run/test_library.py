"""The Python API, as a program uses it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import maya_batch
from maya_batch.wording import RESUMABLE
from tests.support.demo import ROOT, write_book

pytestmark = pytest.mark.slow

README = ROOT / "maya_batch" / "README.md"


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_book(tmp_path / "book.yaml", [["Come in."]])


def test_the_example_of_the_readme_renders_a_book(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(README), "exec"), {})
    chapter, progress, result, report = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Part 1 1 \d+ s", chapter)
    assert (progress, result) == ("1 of 1 chunks", "0 ['01-part-1.wav']")
    assert re.search(r"total=8\b", report)
    assert Path("come-in.wav").stat().st_size > 10_000


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, maya_batch; print(*[name for name in sys.modules if name.startswith('maya_batch.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_all_it_exports_is_there_and_nothing_else() -> None:
    for name in maya_batch.__all__:
        assert getattr(maya_batch, name).__doc__, name
    assert dir(maya_batch) == sorted(maya_batch.__all__)
    with pytest.raises(AttributeError, match="no attribute 'run_book'"):
        maya_batch.run_book  # noqa: B018


def test_mistakes_are_told_with_their_positions(book: Path) -> None:
    book.write_text("title: x\nvoices: {}\nchapters: []\n")
    with pytest.raises(maya_batch.ManifestError) as caught:
        maya_batch.load_book(book)
    assert [finding.line for finding in caught.value.findings] == [2, 3]


def test_a_run_that_another_thread_stops_is_continued_by_the_next_call(book: Path) -> None:
    plan = maya_batch.plan_book(maya_batch.load_book(book))
    stop = maya_batch.Stop()

    class Stopping(maya_batch.ProgressListener):
        def tick(self) -> None:
            stop.request()

    with pytest.raises(maya_batch.StoppedError, match=re.escape(RESUMABLE)):
        maya_batch.render(plan, progress=Stopping(), stop=stop)
    assert maya_batch.read_report(plan).exit_code == 4
    assert maya_batch.render(plan).exit_code == 0
    assert maya_batch.read_report(plan).exit_code == 0
