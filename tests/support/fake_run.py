"""`python -m tests.support.fake_run …` is `maya-batch …` with stand-ins for model and codec, in a process of its own,
which has no need of PyTorch.

The environment says how the stand-ins behave: FAKE_BATCH, FAKE_LOAD and FAKE_CLIP are seconds that a batch of two
rows, the loading and a clip's decoding take; FAKE_SAY is a file that gets a line at each step: "load", "batch N",
"clip"; FAKE_FAIL is what is raised (see `FAILURES`) at the step FAKE_FAIL_AT, "batch 1" if it is not set, the first
time FAKE_FAIL_ONCE, a file, is not there yet, or else always. What `bench` measures is one load and one batch.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.token_layout import Codes, read_layout
from maya_batch.errors import MachineError
from maya_batch.run.loading import Loaders
from tests.support.fakes import FakeCodec, FakeEngine

CUDA = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"

#: What PyTorch and the engine say when they fail.
FAILURES: dict[str, Callable[[], Exception]] = {
    "cuda": lambda: RuntimeError(CUDA),
    "memory": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"),
    "no memory": lambda: MemoryError(),
    "nan": lambda: MachineError("the model's logits are not finite"),
    "engine": lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
}


def step(line: str, name: str) -> None:
    """Append a line to the file that a test watches, take the seconds of this name, and fail if that is asked for."""
    if "FAKE_SAY" in os.environ:
        with Path(os.environ["FAKE_SAY"]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    time.sleep(float(os.environ.get(name, "0")))
    once = os.environ.get("FAKE_FAIL_ONCE")
    here = line == os.environ.get("FAKE_FAIL_AT", "batch 1")
    if here and "FAKE_FAIL" in os.environ and not (once and Path(once).exists()):
        if once:
            Path(once).touch()
        raise FAILURES[os.environ["FAKE_FAIL"]]()


class SlowCodec(FakeCodec):
    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        step("clip", "FAKE_CLIP")
        return super().decode(codes, seed)


def load_engine(name: str, folder: Path, **_: Any) -> FakeEngine:
    step("load", "FAKE_LOAD")
    engine = FakeEngine(read_layout(folder), batch_size=2)
    engine.before_batch = lambda count: step(f"batch {count}", "FAKE_BATCH")
    return engine


def measure(*_: Any) -> Any:
    """What `bench` measures, in another process."""
    from maya_batch.bench.measured_run import Run

    step("load", "FAKE_LOAD")
    step("batch 1", "FAKE_BATCH")
    stages = {"loading": 1.0, "model": 2.0, "finishing": 1.0}
    counts = (6.0, 500.0, 2.0, 2, 250, 10**6, 1e9, 0, 0, 0, 0)
    return Run("hf", "CPU", "GPU", "float32", "none", "model", *counts, None, stages, 1.0)


def main() -> None:
    from maya_batch.__main__ import run

    run(Loaders(engine=load_engine, codec=lambda *_: SlowCodec(), threaded=False))


if __name__ == "__mp_main__":  # in the process that `bench` measures
    patch("maya_batch.bench.measured_run.render", measure).start()
if __name__ == "__main__":
    main()
