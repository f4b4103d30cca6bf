"""Measures the same GGUF file with plain `create_completion` of llama-cpp-python."""

import time
from pathlib import Path

from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.engine.ggml_devices import choose_ggml_device
from maya_batch.engine.llama_library import llama_library
from maya_batch.errors import MachineError
from maya_batch.manifest import Render

#: How many texts are spoken, and the tokens after which each is cut off.
_TEXTS, _MAX_TOKENS = 3, 333

#: The most tokens of a prompt and its speech.
_CONTEXT = 2048


def measure(book: Path, flags: Render, machine: Machine) -> dict[str, dict[str, float]]:
    """Speak one text after the other, with the plain string as the prompt, in as many threads as the engine has.

    Only the tokens before a sequence's end count.

    Raises:
        MachineError: llama.cpp does not load the file, or every text ends at once.
    """
    import torch
    from llama_cpp import Llama

    plan = make_plan(book, flags)
    sound, path = plan.sound, find_checkpoint(plan.sound.model, "model").path
    chosen = choose_ggml_device(llama_library(), machine.device)
    threads = torch.get_num_threads()
    try:
        model = Llama(
            str(path),
            n_ctx=_CONTEXT,
            n_gpu_layers=0 if chosen is None else -1,
            main_gpu=0 if chosen is None else chosen[0],
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
    except ValueError as error:
        raise MachineError(f"{path}: `create_completion` does not load the file; drop --baseline") from error
    model.create_completion("Yes.", max_tokens=2)  # the first call takes longer
    tokens, began = 0, time.perf_counter()
    for seed, chunk in zip(range(_TEXTS), plan.chunks(), strict=False):
        completion = model.create_completion(
            f'<description="{chunk.description}"> {chunk.text}',
            max_tokens=_MAX_TOKENS,
            temperature=sound.temperature,
            top_p=sound.top_p,
            repeat_penalty=sound.repetition_penalty,
            seed=seed,
        )
        tokens += completion["usage"]["completion_tokens"]
    speed = tokens / (time.perf_counter() - began)
    if not tokens:
        raise MachineError(f"{path}: `create_completion` generates nothing; drop --baseline")
    metrics = {
        "rows": 1,
        "tokens_per_s": round(speed, 1),
        "x_realtime": round(speed / plan.layout.tokens_per_second, 4),
    }
    return {"create_completion": metrics}
