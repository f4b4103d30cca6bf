"""What keys and values in 8 bits change in the demo voice's predictions, beside what bfloat16 changes.

    python -m tests.measure.cache_rounding FOLDER TEXT [TEXT ...] [--takes 40] [--device cuda]

FOLDER and TEXT are those of `tests.measure.detection`. Each take is given to the model whole, so that all of its
positions count: in float32 and bfloat16, each with keys and values in its own format and in 8 bits. For each token the
divergence (Kullback-Leibler, over the codes of its slot, in nats), whether the most probable code is the same, and the
loss of the code that was drawn.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.cache_rounding import predictions
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.hf_loader import load_hf_engine
from tests.support.demo import CHECKPOINT
from tests.support.good_takes import Spoken, draw_lines, speak

Predictions = list[torch.Tensor]

#: Two standard errors, about: the interval of a mean that holds 95 %.
_TIMES = 1.96


def predicted(engine: HfEngine, take: Spoken, int8: bool) -> Predictions:
    """The predictions for the tokens of the take's frames: for each slot [frames, codes]."""
    prompt = engine.prompts.encode(take.line.description, take.line.said)
    found = predictions(engine._llama, engine.layout, prompt, take.codes, int8)
    return [of_slot[: len(take.codes)] for of_slot in found]


def compared(wanted: Predictions, made: Predictions) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence and agreement [tokens]."""
    pairs = list(zip(wanted, made, strict=True))
    divergence = torch.cat([(exact.exp() * (exact - other)).sum(dim=-1) for exact, other in pairs])
    return divergence, torch.cat([(exact.argmax(-1) == other.argmax(-1)).float() for exact, other in pairs])


def loss(take: Spoken, made: Predictions) -> float:
    """The mean loss of the codes that were drawn, in nats a token."""
    codes = torch.from_numpy(take.codes.astype("int64")).to(made[0].device)
    drawn = [made[slot].gather(1, codes[:, slot : slot + 1]) for slot in range(SLOTS)]
    return -float(torch.cat(drawn).mean())


def interval(values: list[float]) -> str:
    """The mean of the takes and its interval of 95 %."""
    return f"{np.mean(values):.6f} +- {_TIMES * np.std(values, ddof=1) / len(values) ** 0.5:.6f}"


def main() -> None:
    """Print a line for each comparison, and one for each loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--takes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    takes = speak(options.folder, draw_lines(options.texts, 300, options.seed)[: options.takes])
    exact, coarse = (
        load_hf_engine(
            CHECKPOINT, device=options.device, dtype=dtype, quantization="none", batch_size=1, kv_cache="model"
        )
        for dtype in ("float32", "bfloat16")
    )
    kinds = {"float32": (exact, False), "float32, int8": (exact, True)}
    kinds |= {"bfloat16": (coarse, False), "bfloat16, int8": (coarse, True)}
    pairs = [("float32", name) for name in list(kinds)[1:]] + [("bfloat16", "bfloat16, int8")]
    divergences: dict[tuple[str, str], list[torch.Tensor]] = {pair: [] for pair in pairs}
    agreements: dict[tuple[str, str], list[torch.Tensor]] = {pair: [] for pair in pairs}
    losses: dict[str, list[float]] = {name: [] for name in kinds}
    for take in takes:
        made = {name: predicted(engine, take, int8) for name, (engine, int8) in kinds.items()}
        for name in kinds:
            losses[name].append(loss(take, made[name]))
        for pair in pairs:
            divergence, same = compared(made[pair[0]], made[pair[1]])
            divergences[pair].append(divergence)
            agreements[pair].append(same)
    for pair in pairs:
        tokens, same = torch.cat(divergences[pair]), torch.cat(agreements[pair])
        means = [float(part.mean()) for part in divergences[pair]]
        print(
            f"{pair[1]} from {pair[0]}: {float(tokens.mean()):.6f} nats a token (takes: {interval(means)}, worst "
            f"{max(means):.6f}), best code the same {float(same.mean()):.4f} (worst take "
            f"{min(float(part.mean()) for part in agreements[pair]):.4f}), {len(tokens)} tokens of {len(takes)} takes"
        )
    for name in kinds:
        more = [one - other for one, other in zip(losses[name], losses["float32"], strict=True)]
        print(f"loss in {name}: {interval(losses[name])} nats a token, more than in float32: {interval(more)}")


if __name__ == "__main__":
    main()
