"""The Hugging Face engine: `model.generate`, constrained with the decode loop, unconstrained in padded batches."""

import gc
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteriaList,
)

from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import NO_HOOKS, CacheRounding, Decoding, EngineStats, Generation, Hooks, Request, Sampling
from maya_batch.engine.batch_budget import plan_budget, predicted_peak, sequence_needs
from maya_batch.engine.cache_rounding import compare_caches
from maya_batch.engine.decode_loop import NON_FINITE_LOGITS, DecodeLoop, probes_of
from maya_batch.engine.device import compute_stream
from maya_batch.engine.frame_runner import TorchBackend
from maya_batch.engine.generate_hooks import MaxFramesCriteria, SamplingProcessor
from maya_batch.engine.joining import Joining, noting
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.kernels.selection import gpu_kernel_layers, int8_kernel_compiles
from maya_batch.engine.prompts import Prompts, pad_left, unpad
from maya_batch.engine.unconstrained import UnconstrainedSampler, parse_generation
from maya_batch.errors import MachineError

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class HfEngine:
    """A Llama model, loaded by transformers, that generates Maya1's frames."""

    name = "hf"

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Prompts,
        *,
        dtype: str,
        quantization: str,
        batch_size: int,
        kv_cache: Literal["model", "int8"] = "model",
    ) -> None:
        """`kv_cache` is `model`, the format of keys and values that the model computes in, or `int8`."""
        self.kv_cache = kv_cache
        self.model, self.prompts, self.layout = model, prompts, prompts.layout
        self.dtype, self.quantization, self.batch_size = dtype, quantization, batch_size
        self.stats = EngineStats()
        self._started = False
        with_kernels = gpu_kernel_layers(model, kv_cache == "int8")
        # With the kernels, frames are CUDA graphs.
        self._paged = self._graphs = with_kernels is not None
        self._llama = with_kernels or LlamaLayers(model, int8_cache=kv_cache == "int8")

    @property
    def offers_int8_cache(self) -> bool:
        """Whether the GPU kernels run, that of attention in 8 bits too."""
        return self._paged and int8_kernel_compiles(self.model)

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return torch.device(self.model.device)

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        return self.prompts.tags()

    def in_grammar_probabilities(self, requests: Sequence[Request], sampling: Sampling) -> tuple[float, ...]:
        """How likely, in the first frames of these requests, an unconstrained token is of its slot: a mean for each of
        the 7 slots.
        """
        self._use_compute_stream()
        probes = probes_of(requests, self.batch_size)
        prompts = self.prompts.of(probes)
        loop = self._decode_loop(probes, prompts, sampling)
        return self._run(probes, prompts, loop.in_grammar_probabilities)

    def use_kv_cache(self, kv_cache: Literal["model", "int8"]) -> None:
        """Keep keys and values in this format from the next call on."""
        self.kv_cache, self._llama.int8_cache = kv_cache, kv_cache == "int8"

    def cache_rounding(self, requests: Sequence[Request], generations: Sequence[Generation]) -> CacheRounding:
        """What 8 bits change in the predictions for these generations of these requests.

        Raises:
            MachineError: the model's logits are not finite.
        """
        self._use_compute_stream()
        prompts = dict(zip((request.key for request in requests), self.prompts.of(requests), strict=True))
        divergence, same_best, tokens = 0.0, 0.0, 0
        for generation in generations:
            divergences, agreements = compare_caches(
                self._llama, self.layout, prompts[generation.key], generation.codes
            )
            divergence += float(divergences.sum())
            same_best += float(agreements.sum())
            tokens += len(divergences)
        if not math.isfinite(divergence):
            raise MachineError(NON_FINITE_LOGITS)
        return CacheRounding(len(generations), tokens, divergence / tokens, same_best / tokens)

    def _use_compute_stream(self) -> None:
        """Make the GPU's compute stream the current one of this thread."""
        stream = compute_stream(self.device)
        if stream is not None:
            torch.cuda.set_stream(stream)

    def peak_memory(self) -> int:
        """The most GPU memory that this process has held, in bytes; 0 on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        """Generate codes for all requests. They start in the order given; each is returned as soon as it ends.

        If GPU memory is full in spite of the plan, the engine halves the batch size and tries again; it keeps the batch
        size that worked.

        Raises:
            MachineError: GPU memory is too small for one sequence, a prompt leaves no room, or logits are not finite.
        """
        self._use_compute_stream()
        self._log_start()
        pending = {request.key: request for request in requests}
        noted = noting(hooks, pending)
        decode = self._generate_constrained if decoding == "framed" else self._generate_unconstrained
        while pending:
            remaining = list(pending.values())
            try:
                for generations in decode(remaining, sampling, noted):
                    for generation in generations:
                        del pending[generation.key]
                    yield generations
                continue
            except torch.OutOfMemoryError as error:
                short = str(error).split(". ")[0]
                log.debug("%s", error)
            # Outside the handler: its traceback keeps tensors alive that have to be freed.
            gc.collect()
            torch.cuda.empty_cache()
            tried = min(self.batch_size, len(remaining))
            if tried == 1:
                raise MachineError(
                    f"GPU memory is too small for one sequence of {remaining[0].max_frames} frames ({short}); "
                    "use --quantization nf4, a lower render.chunk_words, or a GPU with more memory"
                )
            self.batch_size = tried // 2
            log.warning("GPU memory is full with a batch size of %d; continuing with %d", tried, self.batch_size)

    def _generate_constrained(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        hooks: Hooks,
    ) -> Iterator[list[Generation]]:
        prompts = self.prompts.of(requests)
        joining = Joining(sequence_needs(requests, prompts), self.prompts, hooks)
        loop = self._decode_loop(requests, prompts, sampling, hooks.tick, joining)
        yield from self._run(requests, prompts, loop.decode)

    def _decode_loop(
        self,
        requests: Sequence[Request],
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        tick: Callable[[], None] | None = None,
        joining: Joining | None = None,
    ) -> DecodeLoop:
        needs = sequence_needs(requests, prompts)
        budget = plan_budget(self._llama, self.layout, needs, self.batch_size, self._paged)
        if self.device.type == "cuda":
            # The plan has room for a clip of max_frames, but most clips are shorter.
            frames = max(request.likely_frames for request in requests)
            self.stats.planned_bytes = predicted_peak(self._llama, self.layout, budget, frames)
        backend = TorchBackend(self._llama, self.layout, self._graphs)
        return DecodeLoop(backend, self.layout, requests, sampling, budget, self.stats, tick, joining)

    def _run(
        self,
        requests: Sequence[Request],
        prompts: Sequence[Sequence[int]],
        decode: Callable[[Sequence[list[int]]], Result],
    ) -> Result:
        """Run `decode` on these prompts inside the model's `generate`, which checks them."""

        def inside(model: object, input_ids: torch.Tensor, **model_kwargs: torch.Tensor | None) -> Result:
            return decode(unpad(input_ids, model_kwargs.get("attention_mask")))

        config = GenerationConfig(
            max_new_tokens=max(request.max_frames for request in requests) * SLOTS + 1,
            do_sample=False,
            eos_token_id=self.layout.eos,
            pad_token_id=self.layout.pad,
        )
        result: Result = self.model.generate(**self._inputs(prompts), generation_config=config, custom_generate=inside)
        return result

    def _generate_unconstrained(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        hooks: Hooks,
    ) -> Iterator[list[Generation]]:
        """Run one batch after the other through plain `generate`; a batch's sequences are returned together."""
        waiting = list(requests)

        def joined() -> list[Request]:
            all_waiting = [*hooks.retries(), *waiting]
            return [*all_waiting, *(hooks.later() if len(all_waiting) < self.batch_size else ())]

        while waiting := joined():
            batch, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
            inputs = self._inputs(self.prompts.of(batch))
            length = inputs["input_ids"].shape[1]
            max_frames = torch.tensor([request.max_frames for request in batch], device=self.device)
            longest = int(max_frames.max()) * SLOTS + 1
            seeds = [request.seed for request in batch]
            sampler = UnconstrainedSampler(self.layout, sampling, seeds, longest, self.device)
            config = GenerationConfig(
                max_new_tokens=longest,
                do_sample=False,  # the sampler has drawn already
                eos_token_id=self.layout.eos,
                pad_token_id=self.layout.pad,
                use_cache=True,
            )
            criteria = MaxFramesCriteria(max_frames, length, sampler.finite, hooks.tick)
            with torch.inference_mode():
                output = self.model.generate(
                    **inputs,
                    generation_config=config,
                    logits_processor=LogitsProcessorList([SamplingProcessor(sampler, length)]),
                    stopping_criteria=StoppingCriteriaList([criteria]),
                )
            if not bool(sampler.finite.all()):
                raise MachineError(NON_FINITE_LOGITS)
            sequences: list[list[int]] = output[:, length:].tolist()
            yield [
                parse_generation(request, tokens, self.layout) for request, tokens in zip(batch, sequences, strict=True)
            ]

    def _log_start(self) -> None:
        if not self._started and self.device.type == "cuda":
            log.info("Generation started on GPU device %d", self.device.index)
        self._started = True

    def _inputs(self, prompts: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """The prompts, padded on the left: input_ids and attention_mask [prompts, longest prompt], on the device."""
        return pad_left(prompts, self.layout.pad, self.device)
