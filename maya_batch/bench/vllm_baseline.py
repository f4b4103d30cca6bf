"""Measures how fast vLLM decodes the texts of the benchmark, in another process than our run.

vLLM is no dependency: it is measured where it can be imported, with its own choice of kernels, and all texts are given
to it at once, the longest first, as is best for it. Its cache is in FP8 where ours has 8 bits, else in the model's
format. Random weights end after as many tokens as in our run, drawn from the same range; a trained model ends by
itself.
"""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.book.plan import make_plan
from maya_batch.checkpoint.hf_config import CONTEXT, read_hf_config
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import SLOTS, read_layout
from maya_batch.errors import MachineError, first_line
from maya_batch.manifest import Render

#: The most sequences that vLLM decodes together: 768 were the fastest with FP8, and more than 512 no faster without.
_MOST_SEQUENCES = {"auto": 512, "fp8": 768}

#: The share of the GPU's memory that vLLM may take, if there is no limit; its own default.
_MEMORY_SHARE = 0.92

#: Sequences and tokens of a first call, which is not timed.
_WARM_SEQUENCES, _WARM_TOKENS = 32, 24


def is_installed() -> bool:
    """Whether vLLM can be imported."""
    return find_spec("vllm") is not None


def measure(
    book: Path, flags: Render, dtype: str, kv_cache: str, gpu_memory: float | None, random_weights: bool
) -> dict[str, dict[str, float]]:
    """Decode all chunks; `dtype` and `kv_cache` are those of our run, `gpu_memory` is a limit in GiB.

    Raises:
        MachineError: vLLM fails.
    """
    # In this process, so that it ends with it; and without a look at the network.
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        return _measure(book, flags, dtype, "fp8" if kv_cache == "int8" else "auto", gpu_memory, random_weights)
    except Exception as error:  # vLLM raises errors of all kinds, its own and those of its many libraries
        raise MachineError(f"vLLM is not measured, it failed: {first_line(error)}") from error


def _measure(
    book: Path, flags: Render, dtype: str, cache: str, gpu_memory: float | None, random_weights: bool
) -> dict[str, dict[str, float]]:
    import torch
    from vllm import LLM, SamplingParams

    from maya_batch.engine.hf_tokenizer import load_hf_tokenizer
    from maya_batch.engine.prompts import Prompts

    plan = make_plan(book, flags)
    model = find_checkpoint(plan.sound.model, "model").path
    layout, sampling = read_layout(model), plan.sound.sampling
    prompts = Prompts(load_hf_tokenizer(model), layout, CONTEXT, read_hf_config(model).vocabulary)

    def params(most: int, least: int) -> Any:
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=most,
            min_tokens=least,
            ignore_eos=random_weights,
            stop_token_ids=[] if random_weights else [layout.eos],
            detokenize=False,
        )

    work = []
    for number, chunk in enumerate(plan.chunks()):
        tokens = (drawn_frames(number, chunk.text) if random_weights else chunk.max_frames) * SLOTS
        prompt = {"prompt_token_ids": prompts.encode(chunk.description, chunk.text)}
        work.append((tokens, prompt, params(tokens, tokens if random_weights else 0)))
    work.sort(key=lambda one: -one[0])
    share = _MEMORY_SHARE
    if gpu_memory is not None:
        share = gpu_memory * 2**30 / torch.cuda.mem_get_info()[1]
    llm = LLM(
        model=str(model),
        skip_tokenizer_init=True,
        dtype=dtype,
        kv_cache_dtype=cache,
        max_model_len=max(tokens + len(prompt["prompt_token_ids"]) for tokens, prompt, _ in work) + 1,
        max_num_seqs=_MOST_SEQUENCES[cache],
        gpu_memory_utilization=share,
        enable_prefix_caching=False,
    )
    warm = [prompt for _, prompt, _ in work[:_WARM_SEQUENCES]]
    llm.generate(warm, [params(_WARM_TOKENS, _WARM_TOKENS)] * len(warm), use_tqdm=False)
    began = time.perf_counter()
    made = llm.generate([prompt for _, prompt, _ in work], [one for _, _, one in work], use_tqdm=False)
    speed = sum(len(one.outputs[0].token_ids) for one in made) / (time.perf_counter() - began)
    metrics = {
        "rows": min(_MOST_SEQUENCES[cache], len(work)),
        "tokens_per_s": round(speed, 1),
        "x_realtime": round(speed / layout.tokens_per_second, 4),
    }
    return {"vllm": metrics}
