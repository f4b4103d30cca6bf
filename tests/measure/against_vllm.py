"""Our whole render and vLLM's decoding of the same texts, each in its own process, one after the other.

    python -m tests.measure.against_vllm FOLDER [--hours 4] [--gpu-memory 24] [RUN ...]

On a GPU, with random weights of Maya1's shape, which are saved in FOLDER unless they are there. A RUN is `model` or
`int8`, a render with this KV cache, or `vllm-model` or `vllm-int8`, vLLM with its cache in the model's format or FP8.
"""

import argparse
import time
from pathlib import Path

from maya_batch.bench import Options, _alone, _make_random, _render
from maya_batch.bench.results import Metrics
from maya_batch.bench.vllm_baseline import measure
from maya_batch.bench.workload import write_book
from maya_batch.book.settings import Machine
from maya_batch.errors import MachineError
from maya_batch.manifest import Render


def main() -> None:
    """Print the table of each render, and a line for each run of vLLM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--gpu-memory", type=float)
    parser.add_argument("--quantization")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--verify", help="a recognizer that transcribes all takes of a render")
    parser.add_argument("runs", nargs="*", default=["int8", "vllm-int8"])
    options = parser.parse_intermixed_args()
    folder: Path = options.folder
    model, codec = str(folder / "model"), str(folder / "codec")
    if not (folder / "codec").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _alone(_make_random, folder, "cuda")
    book = write_book(folder / "book.yaml", options.hours, model, noise=True)
    flags = Render().model_copy(update={"model": model, "codec": codec})
    for run in options.runs:
        began = time.monotonic()
        kv_cache = run.removeprefix("vllm-")
        if run == kv_cache:
            machine = Machine(
                decoding="framed",
                quantization=options.quantization,
                kv_cache=kv_cache,
                batch_size=options.batch_size,
                verify="all" if options.verify else "off",
                recognizer=options.verify,
            )
            asked = Options(options.hours, machine, gpu_memory=options.gpu_memory)
            print(Metrics.of(_alone(_render, book, flags, asked), {}), flush=True)
        else:
            try:
                print(run, _alone(measure, book, flags, "bfloat16", kv_cache, options.gpu_memory, True), flush=True)
            except MachineError as error:
                print(error, flush=True)
        print(f"{run}: {options.hours:g} h, limit {options.gpu_memory}, took {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
