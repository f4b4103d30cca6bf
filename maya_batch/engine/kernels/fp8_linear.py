"""Projections of a model in FP8: a scale for each row of the weights, and one for each token.

Products of two numbers in FP8 take a GPU that has them (NVIDIA, from compute capability 8.9 on) half the time of
bfloat16. Elsewhere, which is for tests, both are multiplied in float32.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from maya_batch.engine.kernels.even_keys import even_keys
from maya_batch.engine.kernels.fp8_numbers import quantized
from maya_batch.engine.kernels.products import is_plain

if TYPE_CHECKING:  # transformers is imported by another thread while the kernels compile
    from transformers import PreTrainedModel

#: NVIDIA GPUs of Ada Lovelace (RTX 40) have compute capability 8.9, those of Hopper (H100) 9.0.
CAPABILITY = (8, 9)


class Fp8Linear(torch.nn.Module):
    """A projection without bias: [..., inputs] to [..., outputs], in the format of its input."""

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor) -> None:
        """`weight` [outputs, inputs] in FP8 and `scales` [outputs] in float32."""
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.scales = torch.nn.Parameter(scales, requires_grad=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The product."""
        values, scales = quantized(tokens.reshape(-1, tokens.shape[-1]))
        one = torch.ones((), device=values.device)
        product = unscaled_product(values, self.weight, tokens.dtype, one).float() * scales.unsqueeze(1) * self.scales
        return product.to(tokens.dtype).view(*tokens.shape[:-1], -1)


def unscaled_product(values: torch.Tensor, weight: torch.Tensor, dtype: torch.dtype, one: torch.Tensor) -> torch.Tensor:
    """The product [tokens, outputs] of FP8 numbers [tokens, inputs] and [outputs, inputs], without their scales; `one`
    is a 1 on their device, which would take a kernel for each product.
    """
    if values.device.type != "cuda":
        return values.float() @ weight.float().t()
    return torch._scaled_mm(values, weight.t(), scale_a=one, scale_b=one, out_dtype=dtype, use_fast_accum=True)


def joined(modules: Sequence[Fp8Linear]) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights and scales of several projections, one behind the other; the modules keep views of them."""
    weight = torch.cat([module.weight.data.view(torch.uint8) for module in modules]).view(torch.float8_e4m3fn)
    scales = torch.cat([module.scales.data for module in modules])
    start = 0
    for module in modules:
        end = start + len(module.scales)
        module.weight.data, module.scales.data = weight[start:end], scales[start:end]
        start = end
    return weight, scales


def quantize(model: "PreTrainedModel", device: torch.device) -> None:
    """Replace the projections of all layers, one after the other, and move the model to `device`.

    The model may be on another device, which then holds it whole: a GPU for FP8 may be too small for 16 bits.
    """
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for layer in model.model.layers:
        even_keys(layer, config.num_key_value_heads, head_dim)
        for block in (layer.self_attn, layer.mlp):
            for name, module in list(block.named_children()):
                if is_plain(module):
                    setattr(block, name, Fp8Linear(*quantized(module.weight.data.to(device))))
    model.to(device)
