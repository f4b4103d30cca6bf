"""Turns descriptions and texts into the prompts of a checkpoint."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Request
from maya_batch.errors import MachineError
from maya_batch.torch_errors import translated_load_errors


class TextTokenizer(Protocol):
    """The tokenizer of a checkpoint."""

    @property
    def path(self) -> Path:
        """Where it was loaded from, for messages."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens around it."""

    def name(self, token: int) -> str | None:
        """The text of a token; None if there is no token of this id."""

    def __len__(self) -> int:
        """The number of tokens."""

    def known(self, text: str) -> int | None:
        """The id of a text that is one token, other than the token for unknown text; None for all other texts."""


class Prompts:
    """Makes prompts with a checkpoint's tokenizer and token layout.

    `context` is the length of the model's context in tokens, `vocabulary` the rows of its embedding.
    """

    def __init__(self, tokenizer: TextTokenizer, layout: TokenLayout, context: int, vocabulary: int) -> None:
        self.tokenizer, self.layout, self._context, self._vocabulary = tokenizer, layout, context, vocabulary

    def encode(self, description: str, text: str) -> list[int]:
        """The prompt of a description and a text, as ids.

        Raises:
            MachineError: the tokenizer turns the text into nothing, or into tokens that are not text.
        """
        return self._encode([(description, text)])[0]

    def longest(self, largest: Request) -> list[int]:
        """The prompt of a `Later.largest`, which is not generated and need not fit into the model's context.

        Raises:
            MachineError: as in `encode`.
        """
        return self.encode(largest.description, largest.text)

    def of(self, requests: Sequence[Request]) -> list[list[int]]:
        """The prompts of these requests.

        Raises:
            MachineError: as in `encode`, or a prompt leaves no room in the model's context for its sequence.
        """
        prompts = self._encode([(request.description, request.text) for request in requests])
        for request, prompt in zip(requests, prompts, strict=True):
            needed = len(prompt) + request.max_frames * SLOTS + 1
            if needed > self._context:
                raise MachineError(
                    f"{len(prompt)} prompt tokens and {request.max_frames * SLOTS} speech tokens do not fit the "
                    f"model's context of {self._context}: {request.text[:60]!r}; lower render.max_tokens or "
                    "render.chunk_words"
                )
        return prompts

    def coming(
        self, due: Callable[[], Sequence[Request]] | None
    ) -> Callable[[], list[tuple[Request, list[int]]]] | None:
        """A function that returns the requests which `due` returns, with their prompts; it raises as `of`."""

        def with_prompts() -> list[tuple[Request, list[int]]]:
            requests = due() if due is not None else ()
            return list(zip(requests, self.of(requests), strict=True)) if requests else []

        return None if due is None else with_prompts

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        return tuple(tag for tag in self.layout.tags if self.tokenizer.known(f"<{tag}>") is not None)

    def _encode(self, texts: Sequence[tuple[str, str]]) -> list[list[int]]:
        """The prompts of (description, text) pairs. Tokenizing a book's texts together takes a tenth of the time."""
        plain = [f'<description="{description}"> {text}' for description, text in texts]
        layout = self.layout
        specials = {layout.bos, layout.eot, layout.soh, layout.eoh, layout.soa, layout.sos, layout.eos, layout.pad}
        band = range(layout.code_offset, layout.code_offset + SLOTS * layout.codebook_size)
        prompts: list[list[int]] = []
        # Some tokenizers fail only at certain texts.
        with translated_load_errors(self.tokenizer.path, "the tokenizer"):
            encoded = self.tokenizer.encode(plain)
        for ids, (_, text) in zip(encoded, texts, strict=True):
            if not ids or max(ids) >= self._vocabulary:
                wrong = f"token {max(ids)}, but the model has 0 to {self._vocabulary - 1}" if ids else "no tokens"
                raise MachineError(
                    f"the tokenizer does not fit the model: it turns {text[:60]!r} into {wrong}; fetch the model again"
                )
            stray = [token for token in ids if token in specials or token in band]
            if stray:
                raise MachineError(
                    f"the tokenizer turns {text[:60]!r} into token {stray[0]}, which is not text; "
                    "its ids do not fit the checkpoint's token layout; fetch the model again"
                )
            prompts.append(layout.prompt(ids))
        return prompts


def pad_left(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Prompts as `generate` takes them: input_ids and attention_mask [prompts, longest prompt], padded on the left."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, prompt in enumerate(prompts):
        ids[number, longest - len(prompt) :] = torch.tensor(prompt)
        mask[number, longest - len(prompt) :] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def unpad(ids: torch.Tensor, mask: torch.Tensor | None) -> list[list[int]]:
    """The prompts in `ids` [prompts, longest prompt], without the padding, for which the mask has 0."""
    if mask is None:
        prompts: list[list[int]] = ids.tolist()
        return prompts
    return [row[real].tolist() for row, real in zip(ids, mask.bool(), strict=True)]
