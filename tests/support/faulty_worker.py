"""An engine for workers that fails as a file in its model's folder says: in a process of its own, which may die of it.

`faults.json` has the `kind` of fault and how many `times` it happens, in whichever worker comes first: "die" ends the
process, "hang" never returns, "raise" raises an error, "codes" writes a code that there is not. With "poison", workers
die of each text with the word "Deadly". `seconds` is what a batch takes.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.engine.api import NO_HOOKS, Decoding, Generation, Hooks, Request, Sampling
from tests.support.fakes import FakeEngine


class FaultyEngine(FakeEngine):
    """Says in the file `said` of the folder what it has generated: a line a batch, with its process and the keys."""

    def __init__(self, folder: Path, batch_size: int) -> None:
        super().__init__(read_layout(folder), batch_size)
        faults = folder / "faults.json"
        self._folder = folder
        self._plan: dict[str, Any] = json.loads(faults.read_text()) if faults.exists() else {}

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        self.before_batch = lambda count: time.sleep(self._plan.get("seconds", 0.0))
        for generations in super().generate(requests, sampling, decoding, hooks):
            kind = self._plan.get("kind")
            if kind == "poison" and any("Deadly" in text for text in self.batches[-1]):
                os.kill(os.getpid(), signal.SIGKILL)
            if kind not in (None, "poison") and self._claims():
                generations = self._fault(kind, generations)
            with (self._folder / "said").open("a") as file:
                file.write(f"{os.getpid()} {len(generations)}\n")
            yield generations

    def _fault(self, kind: str, generations: list[Generation]) -> list[Generation]:
        match kind:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(3600)
            case "raise":
                raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        first, *others = generations
        return [replace(first, codes=np.full_like(first.codes, self.layout.codebook_size)), *others]

    def _claims(self) -> bool:
        """Whether this is one of the times that the fault happens."""
        for time_ in range(self._plan["times"]):
            try:
                os.close(os.open(self._folder / f"claimed-{time_}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return True
        return False


def load(name: str, folder: Path, *, batch_size: int | None, dtype: str, **_: Any) -> FaultyEngine:
    """As `load_engine`."""
    return FaultyEngine(folder, batch_size or 4)
