"""How much memory of the host a long book takes: a run with an engine and a codec that do nothing.

python -m tests.measure.memory [HOURS]
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maya_batch.bench.workload import write_book
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import NO_HOOKS, Decoding, Generation, Hooks, Request, Sampling
from maya_batch.manifest import Render
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import LogProgress
from maya_batch.run.render import render_book
from tests.support.fakes import FakeCodec, FakeEngine


class LongEngine(FakeEngine):
    """Writes as many frames as are expected, and prints the memory of the process now and then."""

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        rng = np.random.default_rng(0)
        for number, request in enumerate(requests):
            if number % (len(requests) // 8 or 1) == 0:
                print(f"{number:6} sequences: {resident_mib():.0f} MiB", flush=True)
            codes = rng.integers(0, self.layout.codebook_size, (request.likely_frames, SLOTS)).astype(np.uint16)
            yield [Generation(request.key, codes, "eos")]
        print(f"{len(requests):6} sequences: {resident_mib():.0f} MiB", flush=True)


def resident_mib() -> float:
    """The memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    """Print the memory of the process along the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hours", nargs="?", type=float, default=100.0)
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        book = write_book(Path(name) / "book.yaml", hours, "maya")
        plan = make_plan(book, Render().model_copy(update={"model": "demo", "codec": "demo"}))
        engine = LongEngine(replace(plan.layout))
        loaders = Loaders(engine=lambda *_, **__: engine, codec=lambda *_: FakeCodec())
        patch.setattr("maya_batch.book.take_store.os.fsync", lambda _: None)  # the disk's time is not what is measured
        print(f"{sum(1 for _ in plan.chunks())} rows, {hours:g} hours; the plan: {resident_mib():.0f} MiB")
        result = render_book(plan, Machine(device="cpu"), LogProgress(), Path(name) / "out", loaders=loaders)
        print(json.dumps({"hours": round(result.speech / 3600, 1), "MiB": round(resident_mib())}))


if __name__ == "__main__":
    main()
