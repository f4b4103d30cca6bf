"""The benchmark: renders a book of some hours with the real `render`, and optionally runs vLLM and plain `generate` on
it, or `create_completion` for a GGUF file.

Each measurement runs in a fresh process, without warm caches.
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from maya_batch.bench.results import Metrics
from maya_batch.bench.vllm_baseline import is_installed
from maya_batch.bench.vllm_baseline import measure as measure_vllm
from maya_batch.bench.workload import write_book
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.locate import DEMO
from maya_batch.engine.load import engine_for
from maya_batch.errors import MachineError, UsageError
from maya_batch.interpreter import collect_rarely, with_room_for_calls
from maya_batch.interrupt import signals_blocked
from maya_batch.manifest import Render

if TYPE_CHECKING:
    from maya_batch.bench.measured_run import Run

Result = TypeVar("Result")


@dataclass(frozen=True)
class Options:
    """What to measure. Without a `model`, random weights of Maya1's shape. `gpu_memory` is a limit in GiB."""

    hours: float
    machine: Machine
    model: str | None = None
    codec: str | None = None
    gpu_memory: float | None = None
    baseline: bool = False

    @property
    def random_weights(self) -> bool:
        """Whether the model has random weights, which never end a text."""
        return self.model is None

    @property
    def engine(self) -> Literal["hf", "gguf"]:
        """The engine that is measured.

        Raises:
            UsageError: it does not load this model, or has no use for another option.
        """
        if self.model is None:
            if self.machine.engine == "gguf":
                raise UsageError(
                    "--engine gguf needs --model with a .gguf file: random weights are for the engine hf; "
                    "`maya-batch convert` makes a .gguf file"
                )
            return "hf"
        engine = engine_for(self.machine.engine, Path(self.model))
        if engine == "gguf" and self.gpu_memory is not None:
            raise UsageError("--gpu-memory limits the engine hf only; drop this option")
        return engine


def bench(options: Options, say: Callable[[str], None]) -> Metrics:
    """Measure, and report each step to `say`.

    Raises:
        MachineError: the disk is full, the measured process was killed, or as in `render`.
        UsageError: there is no GPU for a model of Maya1's shape, or for a memory limit, or the options do not fit the
            engine.
        Interruption: a signal arrived.
    """
    engine = options.engine
    with tempfile.TemporaryDirectory(prefix="maya-batch-bench-") as name:
        folder = Path(name)
        model, codec = options.model, options.codec
        if model is None:
            say("random weights of Maya1's shape: sequences end after a random 37 to 55 tokens a word; no checks")
            model, codec = str(folder / "model"), str(folder / "codec")
            _alone(_make_random, folder, options.machine.device)
        book = write_book(folder / "book.yaml", options.hours, model, noise=options.random_weights)
        flags = Render().model_copy(update={"model": model, "codec": codec})
        say(f"rendering {options.hours:g} h of speech")
        run = _alone(_render, book, flags, options)
        baselines = {}
        if options.baseline:
            say(f"{Metrics.of(run, {})}\n")  # before a baseline can fail
            if engine == "gguf":
                say("running the same model with plain `create_completion`: one text at a time")
                baselines = _alone(_gguf_baseline, book, flags, options)
            else:
                baselines = _vllm(book, flags, options, run, say)
                say("running the same model with plain `generate`: one sequence at a time, then padded batches")
                baselines |= _alone(_baselines, book, flags, options, round(run.sequences), run.dtype)
        return Metrics.of(run, baselines)


def _vllm(
    book: Path, flags: Render, options: Options, run: "Run", say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """What vLLM does with the same texts; nothing, and a line that says why, where it is not measured."""
    if run.memory != "GPU" or not run.peak_bytes:
        return {}  # vLLM for a CPU is another program
    if run.quantization != "none":
        say(f"vLLM is not measured: it is for weights that are not quantized, and these are {run.quantization}")
        return {}
    if not is_installed():
        say("vLLM is not measured, because it is not installed; `pip install vllm` (it may want another PyTorch)")
        return {}
    say("running the same model with vLLM: all texts at once, the longest first")
    try:
        return _alone(measure_vllm, book, flags, run.dtype, run.kv_cache, options.gpu_memory, options.random_weights)
    except MachineError as error:
        say(str(error))
        return {}


def _alone(work: Callable[..., Result], *arguments: Any) -> Result:
    """Call `work` in a fresh process. It ignores signals, which a terminal sends to both; this process ends it."""
    # Else Python looks in the current folder first, and a book's folder may have a file signal.py.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    others = set(active_children())
    resource_tracker.ensure_running()  # otherwise it unblocks signals while the process starts
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            with signals_blocked():
                future = pool.submit(work, *arguments)
            return future.result()
        except BrokenProcessPool as error:
            raise MachineError("the measured process was killed; is the memory full?") from error
        except BaseException:
            for process in set(active_children()) - others:
                process.kill()  # otherwise the pool waits for it
            raise


def _make_random(folder: Path, device: str) -> None:
    from maya_batch.bench.random_checkpoint import save_random_codec, save_random_maya
    from maya_batch.engine.device import choose_device

    target = choose_device(device)
    if target.type != "cuda":
        raise UsageError(f"a model of Maya1's shape needs a GPU; on a CPU use --model {DEMO}")
    save_random_maya(folder / "model", str(target))
    save_random_codec(folder / "codec")


def _render(book: Path, flags: Render, options: Options) -> "Run":
    from maya_batch.bench.measured_run import render

    collect_rarely()  # as the command line does: this is another process
    return with_room_for_calls(render)(book, flags, options.machine, options.gpu_memory, options.random_weights)


def _baselines(book: Path, flags: Render, options: Options, batch_size: int, dtype: str) -> dict[str, dict[str, float]]:
    from maya_batch.bench.baselines import measure

    sizes = [batch_size] if options.gpu_memory or options.model == DEMO else [64, 128, 256, 512]
    return measure(book, flags, options.machine, dtype, sizes, options.random_weights)


def _gguf_baseline(book: Path, flags: Render, options: Options) -> dict[str, dict[str, float]]:
    from maya_batch.bench.gguf_baseline import measure

    return measure(book, flags, options.machine)
