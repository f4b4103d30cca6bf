"""The word error of the demo book by Hugging Face and by GGUF files, with the same random numbers on both engines.

A run draws other numbers with another model, because a chunk's key is its seed. Then the word errors of two readings of
239 words differ by chance about as much as the bound that is measured here.

python -m tests.measure.gguf_words [f16 q8_0 …]
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from maya_batch.audio.snac_codec import load_codec
from maya_batch.book.plan import make_plan
from maya_batch.checkpoint.gguf_convert import FileType, convert
from maya_batch.checkpoint.locate import DEMO, find_checkpoint
from maya_batch.engine.api import Request, Sampling
from maya_batch.engine.load import load_engine
from maya_batch.manifest import Render
from tests.support.asr import transcribe, word_error, words
from tests.support.demo import CODEC, MANIFESTS

SEEDS = 2
SAMPLING = Sampling(0.4, 0.9, 1.0)


def pooled_word_error(model: Path, seeds: int = SEEDS) -> float:
    """The word error of so many readings of the demo book together."""
    engine = load_engine("auto", model, device="cpu", dtype="auto", quantization="none", batch_size=16)
    codec = load_codec(CODEC, engine.layout, torch.device("cpu"))
    chunks = {chunk.ref: chunk for chunk in make_plan(MANIFESTS / "demo.yaml", Render()).chunks()}
    reference, heard = [], []
    for seed in range(seeds):
        requests = [
            Request(ref, chunk.description, chunk.text, 1000 * seed + number, chunk.max_frames)
            for number, (ref, chunk) in enumerate(chunks.items())
        ]
        generated = {one.key: one for found in engine.generate(requests, SAMPLING, "framed") for one in found}
        with tempfile.TemporaryDirectory() as folder:
            for ref, chunk in chunks.items():
                path = Path(folder, "chunk.wav")
                wave = codec.decode(generated[ref].codes, 0)
                soundfile.write(path, np.asarray(wave), engine.layout.sampling_rate)
                reference += words(chunk.text)
                heard += transcribe(path)
    return word_error(reference, heard)


def main(kinds: Sequence[FileType]) -> None:
    """Print the word error of each."""
    print(f"Hugging Face float32: {pooled_word_error(find_checkpoint(DEMO, 'model').path):.2%}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            path = Path(folder, f"demo-{kind}.gguf")
            convert(find_checkpoint(DEMO, "model"), path, kind, lambda *done: None)
            print(f"{kind}: {pooled_word_error(path):.2%}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["f16", "q8_0"])  # type: ignore[arg-type]
