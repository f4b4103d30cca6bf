"""What keys and values in 8 bits change in the demo voice's predictions, beside what bfloat16 changes.

    python -m tests.measure.cache_rounding FOLDER TEXT [TEXT ...] [--takes 40]

FOLDER and TEXT are those of `tests.measure.detection`. Each take is given to the model whole, so that all of its
positions count: in float32, in float32 with rounded keys and values, and in bfloat16. For each token the divergence
from float32 (Kullback-Leibler, over the codes of its slot, in nats) and whether the most probable code is the same.
"""

import argparse
from pathlib import Path

import torch
from torch.nn import functional

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.kernels.int8_numbers import dequantized, quantized
from maya_batch.engine.kernels.torch_attention import attend_prompt, split_heads
from tests.support.demo import load_demo
from tests.support.good_takes import Spoken, draw_lines, speak


@torch.inference_mode()
def predictions(engine: HfEngine, take: Spoken, rounded: bool) -> torch.Tensor:
    """Logarithms of the probabilities [frames, 7, codes] of each token's slot."""
    llama, layout = engine._llama, engine.layout
    prompt = engine.prompts.encode(take.line.description, take.line.said)
    starts = [layout.slot_start(slot) for slot in range(SLOTS)]
    codes = torch.from_numpy(take.codes.astype("int64"))
    ids = torch.cat([torch.tensor(prompt), (codes + torch.tensor(starts)).flatten()])[:-1]
    cos, sin = llama.rotary(len(ids))

    def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
        queries, keys, values = split_heads(qkv.unsqueeze(0), llama.kv_heads, llama.head_dim, cos, sin)
        if rounded:
            keys, values = (dequantized(*quantized(part), part.dtype) for part in (keys, values))
        return attend_prompt(queries, keys, values)

    hidden = llama.forward(llama.embed(ids), attend)[len(prompt) - 1 :].view(-1, SLOTS, llama.widths[0])
    logits = [
        functional.linear(hidden[:, slot], llama.head[start : start + layout.codebook_size])
        for slot, start in enumerate(starts)
    ]
    return torch.stack(logits, dim=1).float().log_softmax(dim=-1)


def main() -> None:
    """Print a line for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--takes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    takes = speak(options.folder, draw_lines(options.texts, 300, options.seed)[: options.takes])
    exact, coarse = load_demo(), load_demo(dtype="bfloat16")
    for name, engine, rounded in (("int8 keys and values", exact, True), ("bfloat16", coarse, False)):
        divergences, same = [], []
        for take in takes:
            wanted, made = predictions(exact, take, False), predictions(engine, take, rounded)
            divergences.append((wanted.exp() * (wanted - made)).sum(dim=-1).flatten())
            same.append((wanted.argmax(dim=-1) == made.argmax(dim=-1)).flatten().float())
        tokens = torch.cat(divergences)
        means = torch.stack([part.mean() for part in divergences])
        error = float(means.std()) / len(means) ** 0.5
        print(
            f"{name}: {float(tokens.mean()):.6f} nats a token (takes: {float(means.mean()):.6f} +- {1.96 * error:.6f}, "
            f"worst {float(means.max()):.6f}), best code the same {float(torch.cat(same).mean()):.4f}, "
            f"{len(tokens)} tokens of {len(takes)} takes"
        )


if __name__ == "__main__":
    main()
