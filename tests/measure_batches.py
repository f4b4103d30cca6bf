"""How many rows at a time are worth it: one book at several batch sizes, in one process, stage by stage.

Run with `python -m tests.measure_batches`, on a machine that does nothing else; see --help.
"""

import argparse
import tempfile
from pathlib import Path

from maya_batch.manifest import Render
from maya_batch.plan import make_plan
from maya_batch.progress import LogWatcher
from maya_batch.render import Outcome, render_book
from maya_batch.settings import machine_settings

STAGES = ("loading", "model", "codec and audio", "files")


def measure(book: Path, size: int, device: str, folder: Path) -> Outcome:
    """Render the whole book once."""
    plan = make_plan(book, Render())
    machine = machine_settings(None, {"device": device, "batch_size": size})
    return render_book(plan, machine, LogWatcher(), folder)


def main() -> None:
    """Render, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--book", type=Path, default=Path(__file__).parent.parent / "manifests" / "demo.yaml")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 8, 4, 1], help="the last one is the yardstick")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        # The first model that is loaded pays for the imports: once before, out of the count.
        measure(arguments.book, arguments.sizes[0], arguments.device, Path(home) / "warm")
        outcomes = {
            size: measure(arguments.book, size, arguments.device, Path(home) / str(size)) for size in arguments.sizes
        }
    yardstick = outcomes[arguments.sizes[-1]]
    slowest = yardstick.stages["model"] / yardstick.speech
    first = next(iter(outcomes.values()))
    print(f"{arguments.book.name}: {first.chunks} chunks, {first.speech:.0f} s of speech; seconds by stage\n")
    columns = [*STAGES, "x real time, model", f"ratio to {arguments.sizes[-1]} row(s)", "x real time, all"]
    print("| rows | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for size, outcome in outcomes.items():
        model = outcome.stages["model"] / outcome.speech
        whole = sum(outcome.stages.values()) / outcome.speech
        cells = [f"{outcome.stages[stage]:.1f}" for stage in STAGES]
        cells += [f"{1 / model:.2f}", f"{slowest / model:.2f}", f"{1 / whole:.2f}"]
        print(f"| {size} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
