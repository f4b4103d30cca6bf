"""What key channels that are far larger than the others cost with 8 bits: the demo voice, and a layer of Maya1's shape.

    python -m tests.measure.outlier_channels FOLDER TEXT [TEXT ...] [--takes 4]

Keys of Llama models have a few fixed channels of far larger magnitude than the rest (KIVI, arXiv:2402.02750, figure 2;
KVQuant, arXiv:2401.18079, figure 2), and a scale for each position and head rounds all channels as coarsely as the
largest. Here some key channels of each head are made larger by a power of two, and the queries smaller by the same,
which changes no other number of the model; then `even_keys` brings the channels to one size. FOLDER and TEXT are those
of `tests.measure.detection`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from maya_batch.engine.cache_rounding import compare_caches
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.kernels.even_keys import even_keys
from maya_batch.engine.kernels.int8_numbers import dequantized, quantized
from maya_batch.engine.kernels.torch_attention import attend_cached
from tests.support.demo import load_demo
from tests.support.good_takes import Spoken, draw_lines, speak

#: Channels of a head that are made larger; each with its partner, which rotation mixes it with.
PAIRS = 2

#: The sequences and positions of the layer.
SEQUENCES, POSITIONS = 16, 800


def enlarge(engine: HfEngine, factor: float) -> None:
    """Make key channels of all layers `factor` times as large, and the queries' smaller."""
    llama = engine._llama
    heads, kv_heads, dim = llama.heads, llama.kv_heads, llama.head_dim
    drawn = torch.Generator().manual_seed(0)
    for layer in engine.model.model.layers:
        keys = layer.self_attn.k_proj.weight.data.view(kv_heads, dim, -1)
        queries = layer.self_attn.q_proj.weight.data.view(kv_heads, heads // kv_heads, dim, -1)
        for head in range(kv_heads):
            for first in torch.randperm(dim // 2, generator=drawn)[:PAIRS].tolist():
                for channel in (first, first + dim // 2):
                    keys[head, channel] *= factor
                    queries[head, :, channel] /= factor


def layer_errors(factor: float) -> tuple[float, float, float]:
    """The relative error of attention's output with 8 bits, with bfloat16, and with 8 bits of evened channels."""
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(SEQUENCES, 24, 128, generator=generator)
    keys, values = torch.randn(2, SEQUENCES, 8, POSITIONS, 128, generator=generator)
    larger = torch.ones(128)
    larger[:4] = factor
    keys = keys * larger
    masked = torch.zeros(SEQUENCES, POSITIONS, dtype=torch.bool)
    exact = attend_cached(queries, keys, values, masked)

    def error(made: torch.Tensor) -> float:
        return float((made.float() - exact).norm() / exact.norm())

    def rounded(numbers: torch.Tensor) -> torch.Tensor:
        return dequantized(*quantized(numbers), torch.float32)

    even = torch.exp2(larger.log2().round())
    return (
        error(attend_cached(queries, rounded(keys), rounded(values), masked)),
        error(attend_cached(queries.bfloat16(), keys.bfloat16(), values.bfloat16(), masked)),
        error(attend_cached(queries * even, rounded(keys / even), rounded(values), masked)),
    )


def main() -> None:
    """Print a line for each factor, of the layer and of the demo voice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--takes", type=int, default=4)
    options = parser.parse_args()
    for factor in (1, 10, 20, 30):
        with_8_bits, with_bfloat16, evened = layer_errors(factor)
        print(
            f"a layer, 4 of 128 key channels {factor} times as large: error of its output {with_8_bits:.2%} with 8 "
            f"bits, {with_bfloat16:.2%} with bfloat16, {evened:.2%} with 8 bits of evened channels",
            flush=True,
        )
    takes = speak(options.folder, draw_lines(options.texts, 300, 5)[: options.takes])
    for factor in (1, 8, 16, 32):
        engine = load_demo()
        llama = engine._llama
        enlarge(engine, factor)
        before = divergence(engine, takes)
        for layer in engine.model.model.layers:
            even_keys(layer, llama.kv_heads, llama.head_dim)
        print(
            f"the demo voice, {2 * PAIRS} of {llama.head_dim} key channels {factor} times as large: {before}; evened: "
            f"{divergence(engine, takes)}",
            flush=True,
        )


def divergence(engine: HfEngine, takes: Sequence[Spoken]) -> str:
    """What 8 bits change in the predictions for these takes."""
    prompts = [engine.prompts.encode(take.line.description, take.line.said) for take in takes]
    found = [
        compare_caches(engine._llama, engine.layout, prompt, take.codes)
        for prompt, take in zip(prompts, takes, strict=True)
    ]
    divergences, agreements = (torch.cat(part) for part in zip(*found, strict=True))
    return f"{float(divergences.mean()):.6f} nats a token, best code the same {float(agreements.mean()):.4f}"


if __name__ == "__main__":
    main()
