"""The same model through plain `generate`, as one has it without this program."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel

from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine, Sound
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.hf_loader import load_hf_engine
from maya_batch.engine.prompts import pad_left
from maya_batch.engine.sampling import drawn_end
from maya_batch.manifest import Render

#: Tokens that a batch of random weights is timed over: the difference of two calls, so that reading the prompt, which
#: both do, falls out; after one that warms up.
_FEW, _MANY = 7, 77

#: Tokens after which a row of a trained model is cut off.
_MOST = 1000


def measure(
    book: Path, flags: Render, machine: Machine, dtype: str, sizes: Sequence[int]
) -> dict[str, dict[str, float]]:
    """The quick-start loop, and padded batches of these sizes, the best of which is told."""
    plan = make_plan(book, flags)
    engine = load_hf_engine(
        find_checkpoint(plan.sound.model, "model").folder,
        device=machine.device,
        dtype=dtype,
        quantization=machine.quantization or "none",
        batch_size=1,
    )
    chunks = list(plan.chunks())
    generate = _Generate(engine.model, engine.layout, plan.sound)
    encode, tokenizer = engine.prompts.encode, engine.prompts.tokenizer
    generate.rows([encode(chunk.description, chunk.text) for chunk in chunks[:1]], _FEW, 1.0)
    speak = _spoken if engine.layout.drawn_pace is None else _forecast
    # One text after the other, the bare string as the prompt, no penalty.
    single = [tokenizer(f'<description="{chunk.description}"> {chunk.text}').input_ids for chunk in chunks[:3]]
    spoken = [speak(generate, [chunk], [prompt], 1.0) for chunk, prompt in zip(chunks, single, strict=False)]
    found = {"quick_start": _figures(1, sum(row[0] for row in spoken), sum(row[1] for row in spoken), engine.layout)}
    ordered = sorted(chunks, key=lambda chunk: chunk.expected_frames)
    for size in sizes:
        # Rows of like length together, since padding suits them best; those in the middle stand for all.
        first = max(len(ordered) - size, 0) // 2
        batch = ordered[first : first + size]
        prompts = [encode(chunk.description, chunk.text) for chunk in batch]
        try:
            tokens, seconds = speak(generate, batch, prompts, plan.sound.repetition_penalty)
        except torch.OutOfMemoryError:
            break
        figures = _figures(len(batch), tokens, seconds, engine.layout)
        if figures["tokens_per_s"] > found.get("padded", {}).get("tokens_per_s", 0.0):
            found["padded"] = figures
    return found


class _Generate:
    """Unmodified `generate` with transformers' own samplers."""

    def __init__(self, model: PreTrainedModel, layout: TokenLayout, sound: Sound) -> None:
        self.model, self.layout, self._sound = model, layout, sound

    def rows(
        self, prompts: Sequence[Sequence[int]], most: int, penalty: float, least: int = 28
    ) -> tuple[list[list[int]], float]:
        """The ids that were made, and the seconds they took."""
        inputs = pad_left(prompts, self.layout.pad, torch.device(self.model.device))
        longest = inputs["input_ids"].shape[1]
        config = GenerationConfig(
            max_new_tokens=most,
            min_new_tokens=min(least, most),
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
        made = self.model.generate(**inputs, generation_config=config)
        rows: list[list[int]] = made[:, longest:].tolist()
        return rows, time.perf_counter() - began


def _spoken(
    generate: _Generate, chunks: Sequence[Chunk], prompts: Sequence[list[int]], penalty: float
) -> tuple[int, float]:
    """Tokens before the rows' ends, and the seconds they took."""
    rows, seconds = generate.rows(prompts, _MOST if len(chunks) > 1 else _MOST // 3, penalty)
    eos = generate.layout.eos
    return sum(row.index(eos) if eos in row else len(row) for row in rows), seconds


def _forecast(
    generate: _Generate, chunks: Sequence[Chunk], prompts: Sequence[list[int]], penalty: float
) -> tuple[int, float]:
    """Tokens before the rows' drawn ends, and the seconds until the last of these, of a model that cannot end.

    A step takes longer with each token that lies in the cache, by as much each time; so one in the middle of the
    longest row is timed, and counts for all.
    """
    pace = generate.layout.drawn_pace
    if pace is None:
        raise ValueError("a model that ends its rows is measured, not forecast")
    ends = [drawn_end(seed, chunk.text, pace) * SLOTS for seed, chunk in enumerate(chunks)]
    half = [generate.layout.slot_start(at % SLOTS) for at in range(max(ends) // 2)]
    halfway = [[*prompt, *half] for prompt in prompts]
    _, few, many = (generate.rows(halfway, most, penalty, least=most)[1] for most in (_FEW, _FEW, _MANY))
    return sum(ends), (many - few) / (_MANY - _FEW) * max(ends)


def _figures(rows: int, tokens: int, seconds: float, layout: TokenLayout) -> dict[str, float]:
    speed = tokens / seconds
    return {
        "rows": rows,
        "tokens_per_s": round(speed, 1),
        "x_realtime": round(speed / layout.tokens_per_second, 4),
    }
