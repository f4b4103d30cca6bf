"""Measures a run in the process that renders, and the bandwidth of the machine's memory."""

import gc
import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from maya_batch.bench.drawn_lengths import load_with_drawn_lengths
from maya_batch.bench.heard_once import HeardOnce
from maya_batch.bench.packing import Watched
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.engine.api import Engine
from maya_batch.errors import UsageError
from maya_batch.manifest import Render
from maya_batch.messages.logs import log_to_terminal
from maya_batch.run import postprocess
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import LogProgress
from maya_batch.run.render import render_book
from maya_batch.run.result import IN_BACKGROUND, IN_TURN

if TYPE_CHECKING:
    import torch

#: The bytes and the number of the copies that measure the bandwidth; the fastest counts.
_COPIED = {"cuda": 2 * 2**30, "cpu": 256 * 2**20}
_COPIES = 20


@dataclass(frozen=True)
class Run:
    """The measurements of a run, in seconds, bytes and tokens of speech."""

    engine: str
    device: str
    memory: Literal["GPU", "process"]
    """Whose memory `peak_bytes` and `planned_bytes` are; both are 0 for Hugging Face on a CPU."""
    dtype: str
    quantization: str
    kv_cache: str
    seconds_of_speech: float
    tokens: float
    sequences: float
    """The mean number of sequences decoded together."""
    max_sequences: int
    steps: int
    bytes_read: int
    bandwidth: float
    """Bytes that a copy reads and writes in a second; 0 if it cannot be measured."""
    peak_bytes: int
    planned_bytes: int
    gpu_waits: int
    preemptions: int
    packing_share: float | None
    """As `packing.packing_share`."""
    stages: dict[str, float]
    first_frame: float


def render(
    book: Path,
    flags: Render,
    machine: Machine,
    gpu_memory: float | None,
    random_weights: bool,
    loaders: Loaders | None = None,
) -> Run:
    """Render a book into a folder next to it. Nothing is imported before `render` imports it.

    `gpu_memory` is a limit in GiB; llama.cpp has none. With `random_weights`, sequences end at drawn lengths,
    and takes are transcribed once at most.
    """
    log_to_terminal(quiet=True, verbose=False)
    # Takes of random weights are noise, whose problems would fill thousands of lines.
    postprocess.log.setLevel(logging.ERROR)
    if gpu_memory is not None:
        _limit(gpu_memory, machine.device)
    plan = make_plan(book, flags)
    watched: list[Watched] = []
    with tempfile.TemporaryDirectory(dir=book.parent) as folder:
        loaders = loaders or Loaders()
        if random_weights:
            loaders = replace(loaders, engine=load_with_drawn_lengths, transcriber=HeardOnce)
        load_engine = loaders.engine

        def load(*arguments: Any, **options: Any) -> Engine:
            watched.append(Watched(load_engine(*arguments, **options)))
            return cast(Engine, watched[-1])

        loaders = replace(loaders, engine=load)
        result = render_book(plan, machine, LogProgress(), Path(folder), report=False, loaders=loaders)
    import torch

    from maya_batch.engine.compute_device import compute_device

    engine, dtype, quantization, *kv_cache = result.engine.split()
    stats, device = result.engine_stats, compute_device(engine, machine.device)
    packing_share = watched[-1].packing_share if watched else None
    watched.clear()  # the model, too
    gc.collect()
    if gpu_memory is not None:
        torch.cuda.set_per_process_memory_fraction(1.0, device.torch_device)
    if device.is_gpu:
        torch.cuda.empty_cache()
    tokens = result.speech * plan.layout.tokens_per_second
    return Run(
        engine=engine,
        device=device.description,
        memory="process" if engine == "gguf" and not device.is_gpu else "GPU",
        dtype=dtype,
        quantization=quantization,
        kv_cache=kv_cache[0].removeprefix("kv-") if kv_cache else "model",
        seconds_of_speech=result.speech,
        tokens=tokens,
        sequences=tokens / stats.steps if stats.steps else 0.0,
        max_sequences=stats.max_sequences,
        steps=stats.steps,
        bytes_read=stats.bytes_read,
        bandwidth=0.0 if device.torch_device is None else _bandwidth(device.torch_device),
        peak_bytes=result.peak_gpu_bytes,
        planned_bytes=stats.planned_bytes,
        gpu_waits=stats.gpu_waits,
        preemptions=stats.preemptions,
        packing_share=packing_share,
        stages={name: result.stages.get(name, 0.0) for name in (*IN_TURN, *IN_BACKGROUND)},
        first_frame=result.first_frame,
    )


def _limit(gibibytes: float, name: str) -> None:
    """Limit the GPU memory of this process."""
    import torch

    from maya_batch.engine.device import choose_device

    device = choose_device(name)
    if device.type != "cuda":
        raise UsageError("--gpu-memory: no GPU is used; drop this option")
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(gibibytes * 2**30 / total, 1.0), device)


def _bandwidth(device: "torch.device") -> float:
    import torch

    size = _COPIED[device.type]
    if device.type == "cuda":
        size = min(size, torch.cuda.mem_get_info(device)[0] // 4)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    seconds = []
    for _ in range(_COPIES):
        began = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return 2 * source.nbytes / min(seconds)
