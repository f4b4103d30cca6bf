"""The Hugging Face engine: speech through `model.generate`, framed rows in lockstep, free ones in padded batches."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteriaList,
)

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, FrameError
from maya_batch.engine.api import Decoding, Generation, Request, Sampling, Work
from maya_batch.engine.batch_budget import Need, plan_budget, predicted_peak
from maya_batch.engine.decode_loop import NOT_NUMBERS, Lockstep
from maya_batch.engine.kernels.llama_layers import Llama
from maya_batch.engine.kernels.selection import fast_llama
from maya_batch.engine.prompts import Prompts, pad_left
from maya_batch.engine.sampling import FreeSampler, RowCaps
from maya_batch.errors import MachineError

log = logging.getLogger(__name__)

#: Rows whose first frames are measured for `in_grammar_probability`.
_PROBED = 8


class HfEngine:
    """A model of Llama's form, loaded by transformers, that writes Maya1's frames."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Prompts,
        *,
        dtype: str,
        quantization: str,
        batch_size: int,
    ) -> None:
        self.model, self.prompts, self.layout = model, prompts, prompts.layout
        self.dtype, self.quantization, self.batch_size = dtype, quantization, batch_size
        self.work = Work()
        self._started = False
        fast = fast_llama(model)
        # Where the kernels run, frames are CUDA graphs.
        self._paged = self._graphs = fast is not None
        self._llama = fast or Llama(model)

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return torch.device(self.model.device)

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        return self.prompts.tags()

    def in_grammar_probability(self, requests: Sequence[Request], sampling: Sampling) -> float:
        """The mean probability, over the first frames of these requests, that a free draw keeps to its slot."""
        rows = [replace(request, max_frames=MIN_FRAMES) for request in requests[: min(self.batch_size, _PROBED)]]
        prompts = self.prompts.of(rows)
        return float(self._run(rows, prompts, self._lockstep(rows, prompts, sampling).in_grammar_probability))

    def peak_memory(self) -> int:
        """The most GPU memory this process ever held, in bytes; 0 on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        tick: Callable[[], None] | None = None,
        more: Callable[[], Sequence[Request]] | None = None,
    ) -> Iterator[list[Generation]]:
        """Codes for all requests, each as soon as it has ended; they are begun in the order given, and those that
        `more` has, which are none but answered ones with other seeds, before all that wait. It is not asked any more
        when the last row has ended.

        Framed rows are decoded in lockstep. Where the GPU's memory is full after all, half as many are tried, and the
        number that worked is kept.

        Raises:
            MachineError: one row alone does not fit, a prompt leaves no room, or the model's scores are not numbers.
        """
        self._say_what_begins()
        pending = {request.key: request for request in requests}

        def joining() -> Sequence[Request]:
            # The cache is made for the longest of the rows that are begun with. Nobody who joins is longer than that
            # when those are all there are; when the memory was full and some are gone, somebody might be.
            joined = more() if more is not None and len(rows) == len(requests) else ()
            pending.update((request.key, request) for request in joined)
            return joined

        speak = self._speak_framed if decoding == "framed" else self._speak_free
        while pending:
            rows = list(pending.values())
            try:
                for generations in speak(rows, sampling, tick, joining):
                    for generation in generations:
                        del pending[generation.key]
                    yield generations
                continue
            except torch.OutOfMemoryError as error:
                short = str(error).split(". ")[0]
                log.debug("%s", error)
            # Outside the handler: the traceback would hold the very tensors that have to go.
            gc.collect()
            torch.cuda.empty_cache()
            tried = min(self.batch_size, len(rows))
            if tried == 1:
                raise MachineError(
                    f"GPU memory does not hold one row of {rows[0].max_frames} frames ({short}); "
                    "use --quantization nf4, fewer render.chunk_words, or a larger card"
                )
            self.batch_size = tried // 2
            log.warning("GPU memory full with %d rows; going on with %d (batch_size)", tried, self.batch_size)

    def _speak_framed(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        tick: Callable[[], None] | None,
        more: Callable[[], Sequence[Request]],
    ) -> Iterator[list[Generation]]:
        def joining() -> list[tuple[Request, list[int]]]:
            asked = more()
            return list(zip(asked, self.prompts.of(asked), strict=True)) if asked else []

        prompts = self.prompts.of(requests)
        yield from self._run(requests, prompts, self._lockstep(requests, prompts, sampling, tick, joining).decode)

    def _lockstep(
        self,
        requests: Sequence[Request],
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        tick: Callable[[], None] | None = None,
        more: Callable[[], list[tuple[Request, list[int]]]] | None = None,
    ) -> Lockstep:
        needs = [
            Need(len(prompt), request.max_frames, request.likely_frames)
            for prompt, request in zip(prompts, requests, strict=True)
        ]
        budget = plan_budget(self._llama, self.layout, needs, self.batch_size, self._paged)
        if self.device.type == "cuda":
            # The plan has room for a clip cut off at its cap; what is held in fact is one that ended.
            frames = max(request.likely_frames for request in requests)
            self.work.planned_bytes = predicted_peak(self._llama, self.layout, budget, frames)
        return Lockstep(self._llama, self.layout, requests, sampling, budget, self.work, self._graphs, tick, more)

    def _run(self, requests: Sequence[Request], prompts: Sequence[Sequence[int]], decode: Callable[..., Any]) -> Any:
        """What `decode` makes of these prompts, within the model's `generate`."""
        config = GenerationConfig(
            max_new_tokens=max(request.max_frames for request in requests) * SLOTS + 1,
            do_sample=False,
            eos_token_id=self.layout.eos,
            pad_token_id=self.layout.pad,
        )
        return self.model.generate(**self._inputs(prompts), generation_config=config, custom_generate=decode)

    def _speak_free(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        tick: Callable[[], None] | None,
        more: Callable[[], Sequence[Request]],
    ) -> Iterator[list[Generation]]:
        """A batch after the other through plain `generate`; a batch's rows come together."""
        waiting = list(requests)
        while waiting := [*more(), *waiting]:
            batch, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
            inputs = self._inputs(self.prompts.of(batch))
            length = inputs["input_ids"].shape[1]
            caps = torch.tensor([request.max_frames for request in batch], device=self.device)
            longest = int(caps.max()) * SLOTS + 1
            sampler = FreeSampler(
                self.layout, sampling, [request.seed for request in batch], length, longest, self.device
            )
            config = GenerationConfig(
                max_new_tokens=longest,
                do_sample=False,  # the sampler has drawn already
                eos_token_id=self.layout.eos,
                pad_token_id=self.layout.pad,
                use_cache=True,
            )
            with torch.inference_mode():
                output = self.model.generate(
                    **inputs,
                    generation_config=config,
                    logits_processor=LogitsProcessorList([sampler]),
                    stopping_criteria=StoppingCriteriaList([RowCaps(caps, length, sampler.finite, tick)]),
                )
            if not bool(sampler.finite.all()):
                raise MachineError(NOT_NUMBERS)
            rows: list[list[int]] = output[:, length:].tolist()
            yield [self._parse(request, row) for request, row in zip(batch, rows, strict=True)]

    def _say_what_begins(self) -> None:
        if not self._started and self.device.type == "cuda":
            log.info("Generation started on GPU device %d", self.device.index)
        if not self._started and self.layout.drawn_pace is not None:
            log.warning("random weights: each row ends at a drawn length, not where its text does")
        self._started = True

    def _inputs(self, prompts: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """The prompts, padded on the left: input_ids and attention_mask [rows, longest prompt], on the device."""
        return pad_left(prompts, self.layout.pad, self.device)

    def _parse(self, request: Request, row: list[int]) -> Generation:
        """One row's ids as frames, and why it ended."""
        ended = self.layout.eos in row
        tokens = row[: row.index(self.layout.eos)] if ended else row[: request.max_frames * SLOTS]
        try:
            codes = self.layout.frames(tokens)
        except FrameError as error:
            return Generation(request.key, error.codes, "broken", str(error))
        return Generation(request.key, codes, "eos" if ended else "cap")
