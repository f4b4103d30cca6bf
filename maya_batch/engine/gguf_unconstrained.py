"""Unconstrained decoding with llama.cpp: one batch after the other, whose sequences are returned together."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Generation, Request, Sampling
from maya_batch.engine.decode_loop import NON_FINITE_LOGITS
from maya_batch.engine.llama_model import LlamaContext
from maya_batch.engine.unconstrained import UnconstrainedSampler, parse_generation
from maya_batch.errors import MachineError


def decode_unconstrained(
    context: LlamaContext,
    layout: TokenLayout,
    requests: Sequence[Request],
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    least: int,
    tick: Callable[[], None] | None,
) -> list[Generation]:
    """Generate for these requests together, computing at least `least` sequences. Between tokens it calls `tick`.

    Raises:
        MachineError: llama.cpp fails, or the logits are not finite.
    """
    count = max(len(requests), least)
    limits = np.array([request.max_frames * SLOTS + 1 for request in requests])
    seeds = [request.seed for request in requests]
    sampler = UnconstrainedSampler(layout, sampling, seeds, int(limits.max()), torch.device("cpu"))
    token, position = np.full(count, layout.pad), np.zeros(count, dtype=np.int64)
    for number in range(count):
        context.clear(number)
    for number, prompt in enumerate(prompts):
        context.prefill(number, prompt[:-1])
        token[number], position[number] = prompt[-1], len(prompt) - 1
    ids: list[list[int]] = [[] for _ in requests]
    running = np.ones(len(requests), dtype=bool)
    for step in range(int(limits.max())):
        logits = context.decode(token, position, np.arange(count))[: len(requests)]
        position += 1
        drawn = sampler.draw(step, torch.from_numpy(logits)).numpy()
        if not bool(sampler.finite.numpy()[running].all()):
            raise MachineError(NON_FINITE_LOGITS)
        for number in np.flatnonzero(running).tolist():
            ids[number].append(int(drawn[number]))
        ended = running & ((drawn == layout.eos) | (limits <= step + 1))
        running &= ~ended
        if not running.any():
            break
        token[: len(requests)] = np.where(running, drawn, layout.pad)
        # Sequences follow each other without a gap, so one that has ended goes on; it starts again at position 0.
        for number in np.flatnonzero(ended).tolist():
            context.clear(number)
            position[number] = 0
        if tick is not None:
            tick()
    return [parse_generation(request, tokens, layout) for request, tokens in zip(requests, ids, strict=True)]
