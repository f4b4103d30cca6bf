"""The Hugging Face engine: padded batches through `model.generate`."""

import logging
from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
)

from maya_batch.engines import Decoding, Generation, Request, Sampling
from maya_batch.engines.sampling import RowCaps, RowSampler
from maya_batch.errors import MachineError
from maya_batch.tokens import MIN_FRAMES, SLOTS, FrameError, TokenLayout

log = logging.getLogger(__name__)

#: Rows whose first frames are measured for `band_mass`.
_PROBED = 8


class HfEngine:
    """Any causal language model of transformers that writes Maya1's frames."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        layout: TokenLayout,
        *,
        dtype: str,
        quantization: str,
        batch_size: int,
        context: int,
    ) -> None:
        self.model, self.tokenizer, self.layout = model, tokenizer, layout
        self.dtype, self.quantization = dtype, quantization
        self.batch_size, self.context = batch_size, context
        self._started = False

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return torch.device(self.model.device)

    def encode(self, description: str, text: str) -> list[int]:
        """The whole prompt, as ids.

        Raises:
            MachineError: the tokenizer made a special or speech token out of plain text.
        """
        ids: list[int] = self.tokenizer(f'<description="{description}"> {text}', add_special_tokens=False).input_ids
        layout = self.layout
        specials = {
            layout.bos,
            layout.eot,
            layout.soh,
            layout.eoh,
            layout.soa,
            layout.sos,
            layout.eos,
            layout.pad,
        }
        band = range(layout.code_offset, layout.code_offset + SLOTS * layout.codebook_size)
        stray = [token for token in ids if token in specials or token in band]
        if stray:
            raise MachineError(
                f"the tokenizer makes token {stray[0]}, which is not text, out of {text[:60]!r}; "
                "its ids do not fit the checkpoint's token layout"
            )
        return layout.prompt(ids)

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        return tuple(tag for tag in self.layout.tags if is_one_token(self.tokenizer, f"<{tag}>"))

    def band_mass(self, requests: Sequence[Request], sampling: Sampling) -> float:
        """The mean probability, over the first frames of these requests, that a free draw keeps to its slot."""
        batch = [
            Request(request.key, request.description, request.text, request.seed, MIN_FRAMES)
            for request in requests[: min(self.batch_size, _PROBED)]
        ]
        inputs = self._inputs(batch)
        sampler = self._sampler(batch, inputs, sampling, "framed", measure=True)
        self._run(batch, inputs, sampler, None)
        return float(torch.stack(sampler.masses).mean())

    def peak_memory(self) -> int:
        """The most GPU memory this process ever held, in bytes; 0 on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        tick: Callable[[], None] | None = None,
    ) -> Iterator[list[Generation]]:
        """Codes for all requests, in batches in the order given; a batch's rows come together.

        A batch that does not fit into the GPU's memory is halved and tried again, and the size that worked is kept.

        Raises:
            MachineError: one row alone does not fit, a prompt leaves no room, or the model's scores are not numbers.
        """
        pending = list(requests)
        while pending:
            batch = pending[: self.batch_size]
            try:
                generations = self._batch(batch, sampling, decoding, tick)
            except torch.OutOfMemoryError as error:
                short = str(error).split(". ")[0]
                generations = None
            if generations is None:
                # Outside the handler: the traceback would hold the very tensors that have to go.
                torch.cuda.empty_cache()
                if len(batch) == 1:
                    raise MachineError(
                        f"GPU memory does not hold one row of {batch[0].max_frames} frames ({short}); "
                        "use --quantization nf4, fewer render.chunk_words, or a larger card"
                    )
                self.batch_size = len(batch) // 2
                log.warning("GPU memory full with %d rows; going on with %d (batch_size)", len(batch), self.batch_size)
                continue
            pending = pending[len(batch) :]
            yield generations

    def _batch(
        self,
        batch: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        tick: Callable[[], None] | None,
    ) -> list[Generation]:
        inputs = self._inputs(batch)
        sampler = self._sampler(batch, inputs, sampling, decoding)
        if not self._started and inputs["input_ids"].device.type == "cuda":
            log.info("Generation started on GPU device %d", inputs["input_ids"].device.index)
        if not self._started and self.layout.drawn_frames is not None:
            log.warning("random weights: each row ends at a drawn length, not where its text does")
        self._started = True
        rows = self._run(batch, inputs, sampler, tick)
        return [self._parse(request, row) for request, row in zip(batch, rows, strict=True)]

    def _inputs(self, batch: Sequence[Request]) -> dict[str, torch.Tensor]:
        """The prompts, padded on the left: input_ids and attention_mask [rows, longest prompt], on the device."""
        prompts = [self.encode(request.description, request.text) for request in batch]
        longest = max(len(prompt) for prompt in prompts)
        for request, prompt in zip(batch, prompts, strict=True):
            needed = len(prompt) + request.max_frames * SLOTS + 1
            if needed > self.context:
                raise MachineError(
                    f"{len(prompt)} prompt tokens and {request.max_frames * SLOTS} of speech do not fit the model's "
                    f"context of {self.context}: {request.text[:60]!r}; lower render.max_tokens or render.chunk_words"
                )
        ids = torch.full((len(batch), longest), self.layout.pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        return {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}

    def _sampler(
        self,
        batch: Sequence[Request],
        inputs: dict[str, torch.Tensor],
        sampling: Sampling,
        decoding: Decoding,
        measure: bool = False,
    ) -> RowSampler:
        return RowSampler(
            self.layout,
            sampling,
            decoding,
            [request.seed for request in batch],
            prompt_length=inputs["input_ids"].shape[1],
            max_tokens=max(request.max_frames for request in batch) * SLOTS + 1,
            device=self.device,
            measure=measure,
        )

    def _run(
        self,
        batch: Sequence[Request],
        inputs: dict[str, torch.Tensor],
        sampler: RowSampler,
        tick: Callable[[], None] | None,
    ) -> list[list[int]]:
        """The ids each row wrote, as `generate` left them: padding stands behind a row that ended early."""
        length = inputs["input_ids"].shape[1]
        caps = torch.tensor([request.max_frames for request in batch], device=self.device)
        config = GenerationConfig(
            max_new_tokens=int(caps.max()) * SLOTS + 1,
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
                stopping_criteria=StoppingCriteriaList([RowCaps(caps, length, tick)]),
            )
        if not bool(sampler.finite.all()):
            raise MachineError(
                "the model's scores are not numbers (NaN or infinite); "
                "try --dtype bfloat16 or float32, or fetch the weights again"
            )
        rows: list[list[int]] = output[:, length:].tolist()
        return rows

    def _parse(self, request: Request, row: list[int]) -> Generation:
        """One row's ids as frames, and why it ended."""
        ended = self.layout.eos in row
        tokens = row[: row.index(self.layout.eos)] if ended else row[: request.max_frames * SLOTS]
        try:
            codes = self.layout.frames(tokens)
        except FrameError as error:
            return Generation(request.key, error.codes, "broken", str(error))
        return Generation(request.key, codes, "eos" if ended else "cap")


def is_one_token(tokenizer: PreTrainedTokenizerBase, tag: str) -> bool:
    """Whether a tag is a token of its own, and not spelt out in several."""
    ids = tokenizer(tag, add_special_tokens=False).input_ids
    return len(ids) == 1 and ids[0] != tokenizer.unk_token_id
