"""What rounding the weights changes in the demo voice's predictions: nats a token, from float32.

    python -m tests.measure.weight_rounding FOLDER TEXT [TEXT ...] [--takes 40]

FOLDER has takes of `tests.measure.detection`, or gets some. Each take is given to the model whole, with weights in
bfloat16, FP8, 8 bits and 4 bits, and with 4-bit weights that tokens in 8 bits multiply, as the GPU's kernel does; sums
are in float32 on a CPU, or in bfloat16 where the format wants it.
"""

import argparse
from pathlib import Path

import torch

from maya_batch.checkpoint.token_layout import Codes
from maya_batch.engine.cache_rounding import predictions
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.kernels.fp8_linear import quantize
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.load import load_engine
from tests.support.demo import CHECKPOINT
from tests.support.good_takes import draw_lines, layout, speak
from tests.support.int8_operations import Int8Operations

#: 4-bit weights that tokens in 8 bits multiply.
INT8_TOKENS = "nf4, tokens in int8"


def load(dtype: str, quantization: str) -> HfEngine:
    """The demo voice on the CPU; in FP8, whose products a CPU does not have, its rounded numbers are multiplied."""
    named = {"fp8": "none", INT8_TOKENS: "nf4"}.get(quantization, quantization)
    engine = load_engine("hf", CHECKPOINT, device="cpu", dtype=dtype, quantization=named, batch_size=1)
    assert isinstance(engine, HfEngine)
    if quantization == "fp8":
        quantize(engine.model, engine.device)
        engine._llama = LlamaLayers(engine.model)
    if quantization == INT8_TOKENS:
        engine._llama = LlamaLayers(engine.model, Int8Operations())
    return engine


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--takes", type=int, default=40)
    options = parser.parse_args()
    spoken = speak(options.folder, draw_lines(options.texts, 300, 5))[: options.takes]

    def predicted(engine: HfEngine, codes: Codes, prompt: list[int]) -> list[torch.Tensor]:
        return list(predictions(engine._llama, layout(), prompt, codes, int8=False))

    exact_engine = load("float32", "none")
    prompts = [exact_engine.prompts.encode(take.line.description, take.line.said) for take in spoken]
    exact = [predicted(exact_engine, take.codes, prompt) for take, prompt in zip(spoken, prompts, strict=True)]
    for quantization in ("none", "fp8", "int8", "nf4", INT8_TOKENS):
        dtype = "bfloat16" if quantization == "none" else "float32"
        engine = load(dtype, quantization)
        takes, agreed, tokens = [], 0.0, 0
        for take, prompt, truth in zip(spoken, prompts, exact, strict=True):
            off = []
            for right, made in zip(truth, predicted(engine, take.codes, prompt), strict=True):
                off.append((right.exp() * (right - made)).sum(dim=-1))
                agreed += float((right.argmax(dim=-1) == made.argmax(dim=-1)).sum())
            takes.append(torch.cat(off))
            tokens += len(takes[-1])
        means = torch.stack([take.mean() for take in takes])
        print(
            f"{dtype} {quantization}: {torch.cat(takes).mean():.6f} nats a token (takes +- "
            f"{1.96 * means.std() / len(means) ** 0.5:.6f}, worst {means.max():.6f}), best code the same "
            f"{agreed / tokens:.2%}, {tokens} tokens of {len(takes)} takes",
            flush=True,
        )


if __name__ == "__main__":
    main()
