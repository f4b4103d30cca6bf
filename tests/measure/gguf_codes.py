"""Greedy codes of the demo voice by Hugging Face in float32 and by GGUF files: how many whole takes are equal.

Where a take differs, it tells from which token on, and how far the two best scores were apart there.

python -m tests.measure.gguf_codes [f32 f16 …]
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.checkpoint.gguf_convert import FileType, convert
from maya_batch.checkpoint.locate import DEMO, find_checkpoint
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import Engine, Generation, Request, Sampling
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.load import load_engine
from maya_batch.manifest import Render
from tests.support.demo import MANIFESTS, load_demo

GREEDY = Sampling(temperature=0, top_p=1.0, repetition_penalty=1.0)


@dataclass(frozen=True)
class Difference:
    """A take that differs from the token number `token` on; `gap` is between the two best scores there, in nats."""

    chunk: str
    token: int
    gap: float


def chunks(count: int) -> list[Chunk]:
    """The first chunks of the demo book and of the book of emotions."""
    found = [
        chunk for name in ("demo", "emotions") for chunk in make_plan(MANIFESTS / f"{name}.yaml", Render()).chunks()
    ]
    return found[:count]


def differences(hf: HfEngine, gguf: Engine, texts: Sequence[Chunk]) -> list[Difference]:
    """The takes of these texts that are not the same on both engines."""
    requests = [
        Request(str(number), chunk.description, chunk.text, number, chunk.max_frames)
        for number, chunk in enumerate(texts)
    ]
    ours, theirs = _generated(gguf, requests), _generated(hf, requests)
    found = []
    for request in requests:
        one, other = ours[request.key], theirs[request.key]
        if one.finish == other.finish and np.array_equal(one.codes, other.codes):
            continue
        both = min(one.codes.size, other.codes.size)
        unlike = np.flatnonzero(one.codes.reshape(-1)[:both] != other.codes.reshape(-1)[:both])
        token = int(unlike[0]) if len(unlike) else both
        found.append(Difference(request.key, token, _gap(hf, request, other, token)))
    return found


def _generated(engine: Engine, requests: Sequence[Request]) -> dict[str, Generation]:
    return {one.key: one for found in engine.generate(requests, GREEDY, "framed") for one in found}


def _gap(hf: HfEngine, request: Request, generation: Generation, token: int) -> float:
    """How far the two best scores of transformers are apart after so many tokens of speech."""
    layout = hf.layout
    ids = [*hf.prompts.encode(request.description, request.text), *layout.tokens(generation.codes)[:token]]
    with torch.inference_mode():
        logits = hf.model(input_ids=torch.tensor([ids])).logits[0, -1].float()
    start = layout.slot_start(token % SLOTS)
    scores = logits[start : start + layout.codebook_size]
    if token % SLOTS == 0:
        scores = torch.cat([scores, logits[layout.eos].unsqueeze(0)])
    best = scores.topk(2).values
    return float(best[0] - best[1])


def main(kinds: Sequence[FileType], count: int = 20) -> None:
    """Print how many takes are equal, and where the others differ."""
    hf = load_demo()
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            path = Path(folder, f"demo-{kind}.gguf")
            convert(find_checkpoint(DEMO, "model"), path, kind, lambda *done: None)
            gguf = load_engine("auto", path, device="cpu", dtype="auto", quantization="none", batch_size=None)
            found = differences(hf, gguf, chunks(count))
            print(f"{kind}: {count - len(found)} of {count} takes equal; {found}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["f32", "f16"])  # type: ignore[arg-type]
