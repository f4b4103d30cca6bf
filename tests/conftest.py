import fcntl
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main

from maya_batch.book import plan
from maya_batch.checkpoint.hf_config import positions_of
from maya_batch.checkpoint.locate import DEMO, find_checkpoint, is_gguf
from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.engine.api import Engine
from maya_batch.files.builtin_files import builtin
from maya_batch.run.loading import Loaders
from tests.support.chromium import CHROMIUM, Page, browser
from tests.support.demo import MANIFESTS, Rendered, Run, interpreter, load_demo, maya, render_once, write_book
from tests.support.fakes import FakeCodec, FakeEngine, TinyBook, write_codec, write_model
from tests.support.llama_checkpoint import require_llama_cpp

# Before torch is imported, here and in all processes that tests start: two threads are faster by a fifth alone, but
# wait for each other in a loop, and beside any other process on two cores they are slower many times over.
os.environ["OMP_NUM_THREADS"] = "1"
# As `load_engine` does, before any test computes with torch.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
# Under nohup it is ignored, here and in those processes, and runs that are told to stop by it would go on.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec
    from maya_batch.engine.hf_engine import HfEngine


#: Fixtures that load the demo voice or render with it, start a browser, or run a whole command.
_SLOW_FIXTURES = {"engine", "hf_engine", "demo_gguf", "codec", "demo", "emotions", "short", "page", "cli"}


def _is_fast_loop(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "not slow")


def pytest_configure(config: pytest.Config) -> None:
    """Properties are tried with the same examples each time, however long a busy machine takes for one.

    Unless the profile `thorough` is asked for, they are 40 instead of hypothesis's 100, and 20 in the fast loop.
    """
    from hypothesis import HealthCheck, settings

    settings.register_profile("thorough", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    examples = 20 if _is_fast_loop(config) else 40
    settings.register_profile("fewer", settings.get_profile("thorough"), max_examples=examples)
    settings.load_profile(config.getoption("--hypothesis-profile") or "fewer")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast loop does not even import the tests that are slow altogether: they import PyTorch and more."""
    return True if _is_fast_loop(config) and {"e2e", "gpu", "engine", "bench"} & set(collection_path.parts) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole commands, of the engine, of the demo voice, of a browser, and soak tests are slow, too."""
    for item in items:
        whole = {"e2e", "gpu", "engine", "bench"} & set(item.path.parts)
        if whole or _SLOW_FIXTURES & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def loaders() -> Loaders:
    """What the books of a test are rendered with; tests put fakes in."""
    return Loaders()


@pytest.fixture
def tiny(tmp_path: Path, loaders: Loaders) -> TinyBook:
    """A folder with a model and a codec that are nothing but names, for a book to be written into."""
    write_model(tmp_path / "lm")
    write_codec(tmp_path / "codec")
    return TinyBook(tmp_path, loaders)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def fake_codec(loaders: Loaders) -> FakeCodec:
    """What every codec is loaded as."""
    codec = FakeCodec()
    loaders.codec = lambda folder, layout, device: codec
    return codec


@pytest.fixture
def fake_engine(tiny: TinyBook, fake_codec: FakeCodec, loaders: Loaders) -> FakeEngine:
    """What every model is loaded as; dtype and quantization are as asked for."""
    engine = FakeEngine(read_layout(tiny.folder / "lm"))

    def load(
        name: str,
        folder: Path,
        *,
        dtype: str,
        quantization: str,
        batch_size: int | None,
        device: str,
        kv_cache: str,
    ) -> Engine:
        engine.dtype = "float32" if dtype == "auto" else dtype
        engine.quantization = quantization
        engine.kv_cache = "int8" if kv_cache == "int8" else "model"
        engine.batch_size = batch_size or engine.batch_size
        return engine

    loaders.engine = load
    return engine


@pytest.fixture
def unread_gguf(tiny: TinyBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans do not read .gguf files: each has the tags and the positions of the book's model."""
    model = tiny.folder / "lm"
    layout, positions = read_layout(model), positions_of(model)
    monkeypatch.setattr(plan, "read_layout", lambda path: layout if is_gguf(path) else read_layout(path))
    monkeypatch.setattr(plan, "positions_of", lambda path: positions if is_gguf(path) else positions_of(path))


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, loaders: Loaders
) -> Callable[..., Said]:
    """Run `maya-batch` in this process, as its entry point does, on a machine that was never measured."""
    from maya_batch.cli import main

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("typer.main.get_command", _parser_of)

    def run(*args: object, answer: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["maya-batch", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        capsys.readouterr()
        with _untouched_process(), pytest.raises(SystemExit) as ended:
            main(loaders=loaders)
        code = ended.value.code
        assert isinstance(code, int)
        return Said(code, *capsys.readouterr())

    return run


#: The program's parser of arguments, made once: that takes longer than many commands.
_parser_of = cache(typer.main.get_command)


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    """A test leaves signals and logging to the next one as they were."""
    with _untouched_process():
        yield


@contextmanager
def _untouched_process() -> Iterator[None]:
    """Signals and logging are afterwards as they were."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    ours = [name for name in logging.root.manager.loggerDict if name.startswith("maya_batch")]
    loggers = [logging.getLogger(), *map(logging.getLogger, ours or ["maya_batch"])]
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    try:
        yield
    finally:
        for number, handler in signals.items():
            signal.signal(number, handler)
        logging.captureWarnings(False)
        for logger, handlers, level in before:
            for new in set(logger.handlers) - set(handlers):
                new.close()
            logger.handlers[:] = handlers
            if logger.level != level:  # setting it goes through all loggers of all libraries
                logger.setLevel(level)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A tab of a browser; the test is skipped where none is installed."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed (Debian: apt install chromium)")
    with browser(tmp_path / "profile") as opened:
        yield opened


@pytest.fixture(scope="session")
def hf_engine() -> "HfEngine":
    """The demo voice on the CPU."""
    return load_demo()


@pytest.fixture(scope="session")
def engine(hf_engine: "HfEngine") -> "HfEngine":
    """The demo voice on the CPU; a module that tests several engines has a fixture of this name with each of them."""
    return hf_engine


@pytest.fixture(scope="session")
def codec(engine: "HfEngine") -> "Codec":
    """The demo voice's codec on the CPU."""
    from maya_batch.audio.snac_codec import load_codec

    return load_codec(builtin("assets", "demo-voice", "codec"), engine.layout, engine.device)


@contextmanager
def _shared_folder(name: str, temporary: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that all workers see; one of them at a time is in here."""
    own = temporary.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _rendered_once(manifest: Path, folder: Path, run: Run) -> Rendered:
    """A book, rendered by the first worker that asks for it."""
    output, printed = folder / manifest.stem, folder / "stderr"
    if not printed.exists():
        printed.write_text(render_once(manifest, output, run=run).stderr, encoding="utf-8")
    return Rendered(manifest, output, printed.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def demo_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo voice as a GGUF file of f16; the test is skipped where llama.cpp or the package gguf is missing."""
    require_llama_cpp()
    from maya_batch.checkpoint.gguf_convert import convert

    with _shared_folder("demo-gguf", tmp_path_factory) as folder:
        path = folder / "demo.gguf"
        if not path.exists():
            convert(find_checkpoint(DEMO, "model"), path, "f16", lambda *done: None)
    return path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """The demo book: two speakers, two chapters, WAV and MP3; rendered by a new interpreter that finds no program."""
    with _shared_folder("demo", tmp_path_factory) as folder:
        return _rendered_once(MANIFESTS / "demo.yaml", folder, interpreter)


@pytest.fixture(scope="session")
def emotions(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """The book of emotions: a tag in every other sentence."""
    with _shared_folder("emotions", tmp_path_factory) as folder:
        return _rendered_once(MANIFESTS / "emotions.yaml", folder, maya)


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """A book of five short chunks in two chapters, WAV and MP3, for what needs no more."""
    chapters = [["The night was dark.", "Who goes there? <sigh>", "No man."], ["Come in.", "The dog ran."]]
    with _shared_folder("short", tmp_path_factory) as folder:
        if not (manifest := folder / "short.yaml").exists():
            write_book(manifest, chapters, formats=["wav", "mp3"])
        return _rendered_once(manifest, folder, maya)
