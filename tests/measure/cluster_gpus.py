"""Constant work for each GPU: a whole render without workers, then with one and with several, each in its own process.

    python -m tests.measure.cluster_gpus FOLDER make
    python -m tests.measure.cluster_gpus FOLDER [--hours 4] alone
    python -m tests.measure.cluster_gpus FOLDER [--hours 4] 2

Random weights of Maya1's shape, keys and values in 8 bits. The book has so many hours for each worker. Lines of the
workers tell how long each was idle.
"""

import argparse
import logging
import time
from pathlib import Path

from maya_batch.bench import _make_random
from maya_batch.bench.drawn_lengths import load_with_drawn_lengths
from maya_batch.bench.workload import write_book
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.manifest import Render
from maya_batch.messages.logs import log_to_terminal
from maya_batch.run import postprocess
from maya_batch.run.cluster import cluster_engine
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import LogProgress
from maya_batch.run.render import render_book
from maya_batch.run.result import IN_BACKGROUND, IN_TURN


def main() -> None:
    """Make the model, or render and print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("run", help="make, alone, or a number of workers")
    options = parser.parse_args()
    folder: Path = options.folder
    if options.run == "make":
        folder.mkdir(parents=True, exist_ok=True)
        _make_random(folder, "cuda")
        return
    workers = None if options.run == "alone" else int(options.run)
    log_to_terminal(quiet=True, verbose=False)
    postprocess.log.setLevel(logging.ERROR)  # takes of random weights are noise
    logging.getLogger("maya_batch").handlers[0].setLevel(logging.DEBUG)
    logging.getLogger("maya_batch").setLevel(logging.WARNING)
    cluster_engine.log.setLevel(logging.DEBUG)
    model, codec = str(folder / "model"), str(folder / "codec")
    book = write_book(folder / f"book-{options.run}.yaml", options.hours * (workers or 1), model, noise=True)
    plan = make_plan(book, Render().model_copy(update={"model": model, "codec": codec}))
    machine = Machine(device="cuda", decoding="framed", kv_cache="int8", workers=workers)
    began, spent = time.monotonic(), time.process_time()
    loaders = Loaders(engine=load_with_drawn_lengths)
    result = render_book(plan, machine, LogProgress(), folder / f"out-{options.run}", report=False, loaders=loaders)
    stages = ", ".join(f"{name} {result.stages.get(name, 0.0):.1f}" for name in (*IN_TURN, *IN_BACKGROUND))
    stats = result.engine_stats
    print(
        f"{options.run}: {result.speech / 3600:.2f} h, {result.x_realtime or 0:.1f}x without loading; {stages}; "
        f"all {time.monotonic() - began:.1f} s; {stats.steps} steps, {stats.gpu_waits} waits, "
        f"{stats.preemptions} preemptions, peak {result.peak_gpu_bytes / 2**30:.1f} GiB; "
        f"this process {time.process_time() - spent:.1f} s of CPU; takes {stats.workers}",
        flush=True,
    )


if __name__ == "__main__":
    main()
