"""`python -m tests.fake_run …` is `maya-batch …` with stand-ins for model and codec, in a process of its own, which has
no need of PyTorch.

The environment says how the stand-ins behave: FAKE_BATCH, FAKE_LOAD and FAKE_CLIP are seconds that a batch of two
rows, the loading and a clip's decoding take; FAKE_FAIL is what the engine raises before its second batch (see
`FAILURES`), the first time FAKE_FAIL_ONCE, a file, is not there yet, or else always; FAKE_SAY is a file that gets a
line at each step: "load", "batch N", "clip".
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from maya_batch.errors import MachineError
from maya_batch.tokens import Codes, read_layout
from tests.fakes import FakeCodec, FakeEngine

CUDA = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"

#: What PyTorch and the engine say when they fail.
FAILURES: dict[str, Callable[[], Exception]] = {
    "cuda": lambda: RuntimeError(CUDA),
    "memory": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"),
    "no memory": lambda: MemoryError(),
    "nan": lambda: MachineError("the model's scores are not numbers"),
    "engine": lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
}


def say(line: str) -> None:
    """Append a line to the file that a test watches."""
    if "FAKE_SAY" in os.environ:
        with Path(os.environ["FAKE_SAY"]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def seconds(name: str) -> float:
    return float(os.environ.get(name, "0"))


class SlowCodec(FakeCodec):
    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        say("clip")
        time.sleep(seconds("FAKE_CLIP"))
        return super().decode(codes, seed)


class Cpu:
    """As much of a device as is asked about."""

    type = "cpu"

    def __str__(self) -> str:
        return self.type


def load_engine(name: str, folder: Path, **_: Any) -> FakeEngine:
    say("load")
    time.sleep(seconds("FAKE_LOAD"))
    engine = FakeEngine(read_layout(folder), batch_size=2)
    engine.before_batch = before_batch
    return engine


def before_batch(count: int) -> None:
    say(f"batch {count}")
    time.sleep(seconds("FAKE_BATCH"))
    once = os.environ.get("FAKE_FAIL_ONCE")
    if count == 1 and "FAKE_FAIL" in os.environ and not (once and Path(once).exists()):
        if once:
            Path(once).touch()
        raise FAILURES[os.environ["FAKE_FAIL"]]()


def main() -> None:
    from maya_batch.__main__ import main as run

    stand_ins: dict[str, dict[str, Any]] = {
        "maya_batch.codec": {"load_codec": lambda folder, layout, device: SlowCodec()},
        "maya_batch.engines.device": {"choose_device": lambda name: Cpu()},
    }
    modules = {name: ModuleType(name) for name in stand_ins}
    for name, parts in stand_ins.items():
        vars(modules[name]).update(parts)
    with patch("maya_batch.start.load_engine", load_engine), patch.dict(sys.modules, modules):
        run()


if __name__ == "__main__":
    main()
