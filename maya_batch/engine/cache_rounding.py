"""What keys and values in 8 bits change in the model's predictions for a whole take.

The take is given to the model in one pass, once with each cache, so that all of its positions count and neither run
drifts from the other.
"""

from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional

from maya_batch.checkpoint.token_layout import SLOTS, Codes, TokenLayout
from maya_batch.engine.kernels.int8_numbers import dequantized, quantized
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.kernels.torch_attention import attend_prompt, prompt_attention, split_heads


@torch.inference_mode()
def compare_caches(
    llama: LlamaLayers, layout: TokenLayout, prompt: Sequence[int], codes: Codes
) -> tuple[torch.Tensor, torch.Tensor]:
    """The divergence of the predictions with 8 bits from those with the model's format, and whether the best agree.

    Both are float32 [tokens] on the model's device, for the tokens of codes [frames, 7] and the end after them. The
    divergence is Kullback and Leibler's, in nats, over what can be drawn in the token's slot.
    """
    divergences, agreements = [], []
    both = [predictions(llama, layout, prompt, codes, int8) for int8 in (False, True)]
    for exact, rounded in zip(*both, strict=True):
        divergences.append((exact.exp() * (exact - rounded)).sum(dim=-1))
        agreements.append((exact.argmax(dim=-1) == rounded.argmax(dim=-1)).float())
    return torch.cat(divergences), torch.cat(agreements)


@torch.inference_mode()
def predictions(
    llama: LlamaLayers, layout: TokenLayout, prompt: Sequence[int], codes: Codes, int8: bool
) -> Iterator[torch.Tensor]:
    """For each slot, logarithms of the probabilities [frames, codes] of its token.

    Slot 0 also has EOS as the last column, and a row for the token after the last frame. With `int8`, keys and values
    are rounded as the cache does it: speech attends to rounded ones, and prompts, which are computed in one pass
    before they are stored, to unrounded ones.
    """
    device = llama.head.device
    starts = torch.tensor([layout.slot_start(slot) for slot in range(SLOTS)])
    spoken = (torch.from_numpy(codes.astype("int64")) + starts).flatten()
    ids = torch.cat([torch.tensor(prompt), spoken]).to(device)
    cos, sin = llama.rotary(len(ids))
    first = len(prompt) - 1

    def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
        queries, keys, values = split_heads(qkv.unsqueeze(0), llama.kv_heads, llama.head_dim, cos, sin)
        if not int8:
            return attend_prompt(queries, keys, values)
        before = attend_prompt(queries[:, :first], keys[:, :first], values[:, :first])
        keys, values = (dequantized(*quantized(vectors), vectors.dtype) for vectors in (keys, values))
        return torch.cat([before, attend_prompt(queries, keys, values)[first:]])

    with prompt_attention(device):
        hidden = llama.forward(llama.embed(ids), attend)[first:]
    for slot in range(SLOTS):
        start = layout.slot_start(slot)
        head = llama.head[start : start + layout.codebook_size]
        if slot == 0:
            head = torch.cat([head, llama.head[layout.eos].unsqueeze(0)])
        yield functional.linear(hidden[slot::SLOTS], head).float().log_softmax(dim=-1)
