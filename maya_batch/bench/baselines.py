"""The same model through plain `generate`, as one has it without this program."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel

from maya_batch.checkpoint import find_checkpoint
from maya_batch.engines.hf import HfEngine, pad_left
from maya_batch.engines.loading import load_hf_engine
from maya_batch.manifest import Render
from maya_batch.plan import Chunk, make_plan
from maya_batch.settings import Machine, Sound
from maya_batch.tokens import TokenLayout

#: Tokens of a row that cannot end, after a first call that warms up: fifteen frames. Keys and values are then still
#: short, which favours the baselines.
_TOKENS = 105

#: Tokens after which a row of a trained model is cut off.
_MOST = 1000


def measure(
    book: Path, flags: Render, machine: Machine, dtype: str, sizes: Sequence[int]
) -> dict[str, dict[str, float]]:
    """The quick-start loop, and padded batches of these sizes, the best of which is told.

    A random model cannot end a row, so each gets the same number of tokens.
    """
    plan = make_plan(book, flags)
    engine = load_hf_engine(
        find_checkpoint(plan.sound.model, "model").folder,
        device=machine.device,
        dtype=dtype,
        quantization=machine.quantization or "none",
        batch_size=1,
    )
    chunks = list(plan.chunks())
    forced = engine.layout.drawn_pace is not None
    generate = _Generate(engine.model, engine.layout, plan.sound, forced)
    generate.rows([engine.encode(chunk.description, chunk.text) for chunk in chunks[:1]], 7)
    found = {"quick_start": _figures(1, *_quick_start(generate, engine, chunks), engine.layout)}
    for size in sizes:
        prompts = [engine.encode(chunk.description, chunk.text) for chunk in chunks[:size]]
        try:
            figures = _figures(len(prompts), *generate.rows(prompts, _TOKENS if forced else _MOST), engine.layout)
        except torch.OutOfMemoryError:
            break
        if figures["tokens_per_s"] > found.get("padded", {}).get("tokens_per_s", 0.0):
            found["padded"] = figures
    return found


def _quick_start(generate: "_Generate", engine: HfEngine, chunks: Sequence[Chunk]) -> tuple[int, float]:
    """One text after the other, the bare string as the prompt, no penalty: (tokens, seconds) of a few."""
    tokens = seconds = 0.0
    for chunk in chunks[:3]:
        text = f'<description="{chunk.description}"> {chunk.text}'
        prompt: list[int] = engine.tokenizer(text).input_ids
        row = generate.rows([prompt], _TOKENS if generate.forced else _MOST // 3, penalty=1.0)
        tokens, seconds = tokens + row[0], seconds + row[1]
    return int(tokens), seconds


class _Generate:
    """Unmodified `generate` with transformers' own samplers."""

    def __init__(self, model: PreTrainedModel, layout: TokenLayout, sound: Sound, forced: bool) -> None:
        self._model, self._layout, self._sound, self.forced = model, layout, sound, forced

    def rows(self, prompts: Sequence[Sequence[int]], most: int, penalty: float | None = None) -> tuple[int, float]:
        """Tokens before the rows' ends, and the seconds they took."""
        inputs = pad_left(prompts, self._layout.pad, torch.device(self._model.device))
        longest = inputs["input_ids"].shape[1]
        config = GenerationConfig(
            max_new_tokens=most,
            min_new_tokens=most if self.forced else min(28, most),
            do_sample=True,
            temperature=self._sound.temperature,
            top_p=self._sound.top_p,
            top_k=0,
            repetition_penalty=self._sound.repetition_penalty if penalty is None else penalty,
            eos_token_id=self._layout.eos,
            pad_token_id=self._layout.pad,
        )
        torch.manual_seed(0)
        began = time.perf_counter()
        made = self._model.generate(**inputs, generation_config=config)
        rows = made[:, longest:].tolist()
        seconds = time.perf_counter() - began
        ends = [row.index(self._layout.eos) if self._layout.eos in row else len(row) for row in rows]
        return sum(ends), seconds


def _figures(rows: int, tokens: int, seconds: float, layout: TokenLayout) -> dict[str, float]:
    speed = tokens / seconds
    return {
        "rows": rows,
        "tokens_per_s": round(speed, 1),
        "x_realtime": round(speed / layout.tokens_per_second, 4),
    }
