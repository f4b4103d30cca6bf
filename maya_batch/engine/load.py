"""Chooses and loads an engine. torch is not imported before that."""

import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from maya_batch.checkpoint.locate import is_gguf
from maya_batch.engine.api import Engine
from maya_batch.engine.cuda_context import cuda_context
from maya_batch.errors import UsageError


def engine_for(name: str, path: Path) -> Literal["hf", "gguf"]:
    """The engine that renders with the checkpoint at `path`, where the settings say `name`: auto, hf or gguf.

    Raises:
        UsageError: the engine does not load checkpoints of this kind.
    """
    if is_gguf(path):
        if name == "hf":
            raise UsageError(f"engine hf needs a folder or a hub id, and {path} is a .gguf file; use --engine gguf")
        return "gguf"
    if name == "gguf":
        raise UsageError(
            f"engine gguf needs a .gguf file, and {path} is none; make one with `maya-batch convert`, or use "
            "--engine hf"
        )
    return "hf"


def load_engine(
    name: str,
    path: Path,
    *,
    device: str,
    dtype: str,
    quantization: str,
    batch_size: int | None,
    kv_cache: str = "auto",
) -> Engine:
    """Load the checkpoint at `path` with the engine of this name.

    Raises:
        MachineError, UsageError: as in `load_hf_engine`, `load_gguf_engine` and `engine_for`.
    """
    if engine_for(name, path) == "gguf":
        with _few_collections():
            from maya_batch.engine.gguf_loader import load_gguf_engine  # imports torch
        return load_gguf_engine(
            path, device=device, dtype=dtype, quantization=quantization, batch_size=batch_size, kv_cache=kv_cache
        )
    # Read by MKL at its first product: "strict" is its mode in which a row of a product has the same bits however many
    # rows there are. Without it, some CPUs compute up to 15 rows in another way, and codes would depend on neighbours.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    with _few_collections(), cuda_context(device):
        from maya_batch.engine.early_weights import early_weights
        from maya_batch.engine.warmup import warm_up

        with ThreadPoolExecutor(2) as pool:
            weights = pool.submit(early_weights, path, device, dtype, quantization)
            pool.submit(warm_up, path, device, dtype, quantization, kv_cache)
            from maya_batch.engine.hf_loader import load_hf_engine  # and transformers; both take seconds
    return load_hf_engine(
        path,
        device=device,
        dtype=dtype,
        quantization=quantization,
        batch_size=batch_size,
        kv_cache=kv_cache,
        weights=weights.result(),
    )


@contextmanager
def _few_collections() -> Iterator[None]:
    """Import without garbage collection, and exempt the imported objects from later collections.

    Scanning hundreds of thousands of permanent objects took a fifth of the import time, and would interrupt decoding
    later.
    """
    if "transformers" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
