"""Measures the same model with plain `generate` of transformers."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel

from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.bench.workload import PACE
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine, Sound
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.hf_loader import load_hf_engine
from maya_batch.engine.hf_tokenizer import load_hf_tokenizer
from maya_batch.engine.prompts import pad_left
from maya_batch.manifest import Render

#: The tokens of two calls, whose difference times a batch of random weights without the prompts; a first call warms up.
_FEW, _MANY = 7, 77

#: Tokens after which a sequence of a trained model is cut off.
_MAX_TOKENS = 1000


def measure(
    book: Path, flags: Render, machine: Machine, dtype: str, sizes: Sequence[int], random_weights: bool
) -> dict[str, dict[str, float]]:
    """Measure the quick-start loop and padded batches of these sizes; return those of the loop and the fastest."""
    plan = make_plan(book, flags)
    model = find_checkpoint(plan.sound.model, "model").path
    engine = load_hf_engine(
        model,
        device=machine.device,
        dtype=dtype,
        quantization=machine.quantization or "none",
        batch_size=1,
    )
    chunks = list(plan.chunks())
    generate = _Generate(engine.model, engine.layout, plan.sound)
    encode = engine.prompts.encode
    tokenizer = load_hf_tokenizer(model).tokenizer
    generate.tokens([encode(chunk.description, chunk.text) for chunk in chunks[:1]], _FEW, 1.0)
    time_batch = _extrapolated if random_weights else _generated
    # One text after the other, with the plain string as the prompt and no penalty.
    single = [tokenizer(f'<description="{chunk.description}"> {chunk.text}').input_ids for chunk in chunks[:3]]
    timed = [time_batch(generate, [chunk], [prompt], 1.0) for chunk, prompt in zip(chunks, single, strict=False)]
    found = {"quick_start": _metrics(1, sum(one[0] for one in timed), sum(one[1] for one in timed), engine.layout)}
    ordered = sorted(chunks, key=lambda chunk: chunk.expected_frames)
    for size in sizes:
        # Sequences of similar length, which need the least padding, from the middle of the lengths.
        first = max(len(ordered) - size, 0) // 2
        batch = ordered[first : first + size]
        prompts = [encode(chunk.description, chunk.text) for chunk in batch]
        try:
            tokens, seconds = time_batch(generate, batch, prompts, plan.sound.repetition_penalty)
        except torch.OutOfMemoryError:
            break
        metrics = _metrics(len(batch), tokens, seconds, engine.layout)
        if metrics["tokens_per_s"] > found.get("padded", {}).get("tokens_per_s", 0.0):
            found["padded"] = metrics
    return found


class _Generate:
    """Unmodified `generate` with transformers' own samplers."""

    def __init__(self, model: PreTrainedModel, layout: TokenLayout, sound: Sound) -> None:
        self.model, self.layout, self._sound = model, layout, sound

    def tokens(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, penalty: float, min_tokens: int = 28
    ) -> tuple[list[list[int]], float]:
        """Generate; return the ids of each sequence, and the seconds."""
        inputs = pad_left(prompts, self.layout.pad, torch.device(self.model.device))
        longest = inputs["input_ids"].shape[1]
        config = GenerationConfig(
            max_new_tokens=max_tokens,
            min_new_tokens=min(min_tokens, max_tokens),
            do_sample=True,
            temperature=self._sound.temperature,
            top_p=self._sound.top_p,
            top_k=0,
            repetition_penalty=penalty,
            eos_token_id=self.layout.eos,
            pad_token_id=self.layout.pad,
        )
        torch.manual_seed(0)
        began = time.perf_counter()
        output = self.model.generate(**inputs, generation_config=config)
        sequences: list[list[int]] = output[:, longest:].tolist()
        return sequences, time.perf_counter() - began


def _generated(
    generate: _Generate, chunks: Sequence[Chunk], prompts: Sequence[list[int]], penalty: float
) -> tuple[int, float]:
    """Generate a batch; return the tokens before the sequences' ends, and the seconds."""
    sequences, seconds = generate.tokens(prompts, _MAX_TOKENS if len(chunks) > 1 else _MAX_TOKENS // 3, penalty)
    eos = generate.layout.eos
    return sum(ids.index(eos) if eos in ids else len(ids) for ids in sequences), seconds


def _extrapolated(
    generate: _Generate,
    chunks: Sequence[Chunk],
    prompts: Sequence[list[int]],
    penalty: float,
    pace: tuple[int, int] = PACE,
) -> tuple[int, float]:
    """Estimate, for random weights, the tokens before the drawn ends, and the seconds until the last end.

    Each token in the cache makes a step longer by the same time, so the step in the middle of the longest sequence is
    the mean of all.
    """
    ends = [drawn_frames(seed, chunk.text, pace) * SLOTS for seed, chunk in enumerate(chunks)]
    half = [generate.layout.slot_start(at % SLOTS) for at in range(max(ends) // 2)]
    halfway = [[*prompt, *half] for prompt in prompts]
    _, few, many = (generate.tokens(halfway, count, penalty, min_tokens=count)[1] for count in (_FEW, _FEW, _MANY))
    return sum(ends), (many - few) / (_MANY - _FEW) * max(ends)


def _metrics(batch_size: int, tokens: int, seconds: float, layout: TokenLayout) -> dict[str, float]:
    speed = tokens / seconds
    return {
        "rows": batch_size,
        "tokens_per_s": round(speed, 1),
        "x_realtime": round(speed / layout.tokens_per_second, 4),
    }
