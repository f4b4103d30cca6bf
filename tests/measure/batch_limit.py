"""How long a frame takes with more sequences, and how near the tokens a second are to what any number could reach.

    python -m tests.measure.batch_limit FOLDER [--quantization nf4] [--kv-cache int8] [SEQUENCES ...]

On a GPU, with random weights of Maya1's shape, which are saved in FOLDER unless they are there. The sequences have 100
to 1,500 positions. A step of n sequences takes about a + b n: weights are read once, all else is done for each.
"""

import argparse
import gc
from pathlib import Path

import numpy as np
import torch

from maya_batch.bench.random_checkpoint import save_random_maya
from maya_batch.bench.workload import VOICE
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import Request, Sampling
from maya_batch.engine.batch_budget import BatchBudget
from maya_batch.engine.frame_runner import TorchBackend
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.hf_loader import load_hf_engine
from maya_batch.engine.paged_cache import BLOCK_SIZE
from maya_batch.engine.sequence_state import SequenceState

#: The positions of a sequence, and the frames that are timed.
SHORTEST, LONGEST, FRAMES = 100, 1500, 12


@torch.inference_mode()
def step_milliseconds(engine: HfEngine, sequences: int) -> float:
    """The time of a step, a seventh of a frame: the median of several CUDA graphs."""
    llama, layout = engine._llama, engine.layout
    drawn = np.random.default_rng(0).permutation(np.linspace(SHORTEST, LONGEST, sequences)).astype(int)
    room = (2 * FRAMES + 4) * SLOTS
    blocks = sum(-(-(int(one) + room) // BLOCK_SIZE) for one in drawn)
    budget = BatchBudget(sequences, LONGEST + room, blocks, BLOCK_SIZE)
    state = SequenceState(sequences, LONGEST // SLOTS, layout, Sampling(), engine.device)
    runner = TorchBackend(llama, layout, graphs=True).runner(budget, state)
    requests = [Request(str(number), VOICE, "Well.", number, LONGEST // SLOTS) for number in range(sequences)]
    state.admit(list(range(sequences)), requests, [[layout.sos] * int(one) for one in drawn])
    for slot, one in enumerate(drawn):
        assert runner.cache.reserve(slot, int(one) + room)
    runner.cache.sync()
    runner.warm_up(sequences)
    times = []
    for _ in range(FRAMES):
        began, ended = _timer(), _timer()
        began.record()
        runner.decode(sequences, 0)
        ended.record()
        torch.cuda.synchronize()
        times.append(began.elapsed_time(ended) / SLOTS)
    return float(np.median(times[2:]))


def _timer() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def main() -> None:
    """Print a line for each number of sequences, and the fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quantization", default="none")
    parser.add_argument("--kv-cache", default="int8")
    parser.add_argument("sequences", nargs="*", type=int, default=[64, 128, 256, 384, 512, 640, 768, 1024])
    options = parser.parse_args()
    if not (options.folder / "config.json").is_file():
        save_random_maya(options.folder, "cuda")
        torch.cuda.empty_cache()
    engine = load_hf_engine(
        options.folder,
        device="cuda",
        dtype="auto",
        quantization=options.quantization,
        batch_size=None,
        kv_cache=options.kv_cache,
    )
    times = {}
    for sequences in options.sequences:
        times[sequences] = step_milliseconds(engine, sequences)
        gc.collect()
        torch.cuda.empty_cache()
        print(
            f"{sequences:5} {times[sequences]:7.2f} ms/step {sequences / times[sequences] * 1e3:8.0f} tokens/s",
            flush=True,
        )
    many = [one for one in options.sequences if one >= 256]
    slope, fixed = np.polyfit(many, [times[one] for one in many], 1)
    print(f"{options.quantization}, {options.kv_cache}: from 256 on {fixed:.2f} ms + {1e3 * slope:.2f} us a sequence")
    for sequences in options.sequences:
        print(f"{sequences:5} {sequences / times[sequences] * slope:6.1%} of {1e3 / slope:.0f} tokens/s")


if __name__ == "__main__":
    main()
