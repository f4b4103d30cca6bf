"""`render --workers`: Ray on this machine, started by the command, for commands in processes of their own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import Said
from tests.support.demo import ROOT, environment, without_module
from tests.support.fakes import FakeEngine, TinyBook
from tests.support.forked_run import Night, start

CHUNKS = 24
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture
def book(tiny: TinyBook) -> TinyBook:
    tiny.write({"One": [f"Come in, number {number}." for number in range(CHUNKS)]})
    return tiny


def takes(book: TinyBook) -> int:
    return len(list(book.output.rglob("*.npz")))


def family(run: Night) -> list[psutil.Process]:
    return [*psutil.Process(run.process.pid).children(recursive=True), psutil.Process(run.process.pid)]


def running(process: psutil.Process) -> bool:
    """Whether a process runs that holds a GPU or listens to others; agents of Ray's end after a minute."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE and "Agent" not in process.name()
    return False


def wait_for(happened: Callable[[], bool], run: Night | None = None) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        assert run is None or run.process.is_alive(), run.said()
        time.sleep(0.05)


def test_it_listens_on_this_machine_alone_and_a_killed_run_goes_on(book: TinyBook) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[cluster]'")
    flags = ("--workers", "2", "--device", "cpu")
    run = start(book.path, *flags, FAKE_BATCH=0.5)
    wait_for(lambda: takes(book) > 4, run)
    processes = family(run)
    listening = [
        place.laddr.ip
        for process in processes
        for place in process.net_connections("inet")
        if place.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 5  # of the workers and of Ray's own processes
    assert set(listening) <= LOOPBACK
    run.kill()
    wait_for(lambda: not any(map(running, processes)))
    stored = takes(book)
    assert 4 < stored < CHUNKS

    again = start(book.path, *flags)
    assert again.end() == 0
    assert takes(book) == CHUNKS
    for word in ("raylet", "Ray ", "ray::", "token", "INFO"):
        assert word not in again.said()
    report = (book.output / "report.json").read_text()
    assert '"workers": {' in report


def test_workers_run_nothing_that_lies_in_the_current_folder(book: TinyBook) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[cluster]'")
    for name in ("numpy", "yaml", "psutil", "maya_batch"):
        (book.folder / f"{name}.py").write_text(f"open({str(book.folder / 'run')!r}, 'a').write({name!r})\n")
    # -P: Python itself does not look there for what the driver imports.
    command = [sys.executable, "-P", "-m", "tests.support.fake_run", "render", str(book.path), "--workers", "2"]
    env = environment(PYTHONPATH=str(ROOT))
    done = subprocess.run([*command, "--device", "cpu"], cwd=book.folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert takes(book) == CHUNKS
    assert not (book.folder / "run").exists()


@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, "load"), (signal.SIGINT, "batch 1")])
def test_a_signal_ends_workers_and_ray(number: signal.Signals, step: str, book: TinyBook) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[cluster]'")
    run = start(book.path, "--workers", "2", "--device", "cpu", FAKE_BATCH=0.5, FAKE_LOAD=1)
    run.wait_for(step)
    processes = family(run)
    run.tell(number)
    assert run.end() == 4
    assert run.said().splitlines()[-1].startswith("stopped; finished takes are saved")
    wait_for(lambda: not any(map(running, processes)))


def test_without_ray_one_line_tells_how_to_install_it(
    book: TinyBook, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, fake_engine: FakeEngine
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = cli("render", book.path, "--workers", "2", "--device", "cpu")
    assert said.code == 5
    [*_, line] = said.err.splitlines()
    assert line.startswith("--workers needs Ray, which is not installed; to install it: `")
    assert "'.[cluster]'" in line


def test_an_address_without_a_cluster_is_one_line(
    book: TinyBook, cli: Callable[..., Said], fake_engine: FakeEngine
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[cluster]'")
    said = cli("render", book.path, "--ray-address", "127.0.0.1:1", "--device", "cpu")
    assert said.code == 5
    assert said.err.splitlines()[-1].startswith("--ray-address 127.0.0.1:1: no Ray cluster answers, or it has another")


def test_without_workers_ray_is_not_imported(book: TinyBook, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    command = [sys.executable, "-m", "tests.support.fake_run", "render", str(book.path)]
    done = subprocess.run(command, cwd=ROOT, env=without_module(blocked, "ray"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert takes(book) == CHUNKS


def test_workers_and_one_gpu_by_its_number_do_not_fit(
    book: TinyBook, cli: Callable[..., Said], fake_engine: FakeEngine
) -> None:
    said = cli("render", book.path, "--workers", "2", "--device", "cuda:1")
    assert said.code == 2
    assert said.err.splitlines()[-1] == "--device cuda:1 names one GPU; with --workers use --device cuda"
