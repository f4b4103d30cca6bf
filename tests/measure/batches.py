"""How much a larger batch gains on this machine: the demo book at several batch sizes, in one run.

python -m tests.measure.batches [--device cuda] [BATCH_SIZE ...]
"""

import argparse
import tempfile
from pathlib import Path

from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.manifest import Render
from maya_batch.run.progress import LogProgress
from maya_batch.run.render import render_book

BOOK = Path(__file__).parents[2] / "manifests" / "demo.yaml"


def main() -> None:
    """Print a line for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("batch_sizes", nargs="*", type=int, default=[1, 4, 8, 16])
    options = parser.parse_args()
    plan = make_plan(BOOK, Render())
    print("size  model s  codec+audio s  files s  loading s  x real time  model time, of the first")
    first = 0.0
    for size in options.batch_sizes:
        with tempfile.TemporaryDirectory() as folder:
            result = render_book(plan, Machine(device=options.device, batch_size=size), LogProgress(), Path(folder))
        stages = result.stages
        first = first or stages["model"]
        print(
            f"{size:4}  {stages['model']:7.1f}  {stages['codec and audio']:13.1f}  {stages['files']:7.2f}  "
            f"{stages['loading']:9.1f}  {result.speech / stages['model']:11.1f}  {stages['model'] / first:20.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
